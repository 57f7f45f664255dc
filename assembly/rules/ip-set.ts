// The look-up of `-m set`: net/netfilter/ipset/ip_set_hash_gen.h mtype_test(), the kadt functions of the types, and
// ip_set_getport.c.

import { be16, bswap16 } from "../bytes";
import { IP_SET_NOMATCH, IpSet, IpSetSlot, Packet, World } from "../layout";
import { IpSetAnswer, IpSetPart, L3, PacketFlag, Path, Proto } from "../vocabulary";
import { HZ, jiffies, tick_of } from "./jiffies";

const SECONDS: u32 = 0x3fffffff;
const KEY: usize = offsetof<IpSetSlot>();

const TCP_HEADER: u32 = 20;
const SCTP_HEADER: u32 = 12;
const SHORT_HEADER: u32 = 8;

/** The word of a packet that has no port. */
const NO_PORT: u32 = 0xffffffff;

/**
 * IpSetAnswer of the set at `offset` (from World.dispatch); `sources`: a bit for each part that is the packet's source;
 * `scratch`: u32[IP_SET_WORDS] in World.rule_state.
 */
export function rule_ip_set(packet: usize, world: usize, offset: u32, sources: u32, scratch: u32): u32 {
  const p = changetype<Packet>(packet);
  const w = changetype<World>(world);
  const tables: usize = w.dispatch;
  const set = changetype<IpSet>(tables + offset);
  if (set.family != 0 && set.family != p.l3num) return IpSetAnswer.ABSENT;
  const key = <usize>w.rule_state + scratch;
  if (!fill_key(p, set, sources, key)) return IpSetAnswer.ABSENT;
  const words = <usize>set.words << 2;
  let masks = tables + set.shapes;
  for (let shape: u32 = 0; shape < set.shape_count; shape++) {
    const value = find(tables + set.slots, set.slot_mask, shape, key, masks, words);
    if (value != 0 && lives(w, p, value & SECONDS)) {
      return value & IP_SET_NOMATCH ? IpSetAnswer.NOMATCH : IpSetAnswer.FOUND;
    }
    masks += words;
  }
  return IpSetAnswer.ABSENT;
}

/** The value of a masked key, 0 if it is not there. */
function find(slots: usize, slot_mask: u32, shape: u32, key: usize, masks: usize, words: usize): u32 {
  let hash = ip_set_mix(0, shape);
  for (let at: usize = 0; at < words; at += 4) hash = ip_set_mix(hash, load<u32>(key + at) & load<u32>(masks + at));
  const size = KEY + words;
  let place = hash & slot_mask;
  while (true) {
    const slot = slots + <usize>place * size;
    const value = changetype<IpSetSlot>(slot).value;
    if (value == 0) return 0;
    let at: usize = 0;
    while (at < words && load<u32>(slot + KEY + at) == (load<u32>(key + at) & load<u32>(masks + at))) at += 4;
    if (at == words && changetype<IpSetSlot>(slot).shape == shape) return value;
    place = (place + 1) & slot_mask;
  }
}

/** src/ruleset/ipset/compile.ts does the same. */
// @ts-ignore: decorator
@inline function ip_set_mix(hash: u32, word: u32): u32 {
  const mixed = (hash ^ word) * 0x9e3779b1;
  return mixed ^ (mixed >> 15);
}

/** An element with `seconds` of time left at the first packet is there for so long (ip_set_timeout_expired()). */
// @ts-ignore: decorator
@inline function lives(w: World, p: Packet, seconds: u32): bool {
  if (seconds == 0) return true;
  return jiffies(p) - tick_of(w.began) <= <u64>seconds * HZ;
}

/** Puts together what the packet is looked up by. False if it lacks something of it. */
function fill_key(p: Packet, set: IpSet, sources: u32, key: usize): bool {
  let to = key;
  for (let i: u32 = 0; i < 3; i++) {
    const part = load<u8>(changetype<usize>(set) + i, offsetof<IpSet>("part_0"));
    const source = (sources >> i) & 1;
    if (part == IpSetPart.ADDRESS) {
      const from = changetype<usize>(p) + (source ? 0 : offsetof<Packet>("dst_lo"));
      store<u32>(to, load<u32>(from));
      to += 4;
      if (p.l3num == L3.IPV6) {
        store<u32>(to, load<u32>(from, 4));
        store<u64>(to, load<u64>(from, 8), 4);
        to += 12;
      }
    } else if (part == IpSetPart.PORT) {
      const port = port_word(p, source);
      if (port == NO_PORT) return false;
      const proto = port >> 16;
      if (set.bare_ports && proto != Proto.TCP && proto != Proto.UDP) return false;
      store<u32>(to, set.bare_ports ? port & 0xffff : port);
      to += 4;
    } else if (part == IpSetPart.MAC) {
      // What the host sends itself has no header of a link at its hooks.
      if (p.mac == 0 || p.path == Path.OUTPUT) return false;
      const from = <usize>p.mac + (source ? 6 : 0);
      store<u32>(to, load<u32>(from));
      store<u32>(to, <u32>load<u16>(from, 4), 4);
      if (load<u64>(to) == 0) return false;
      to += 8;
    } else if (part == IpSetPart.MARK) {
      store<u32>(to, p.mark);
      to += 4;
    }
  }
  return true;
}

/** Protocol << 16 | port, or type and code of ICMP; NO_PORT if the packet should have one and has not. */
function port_word(p: Packet, source: u32): u32 {
  const proto = <u32>p.protonum;
  const later = (p.flags & PacketFlag.LATER_FRAGMENT) != 0;
  if (p.l3num == L3.IPV6 && (later || p.l4 == 0)) return NO_PORT;
  const icmp = proto == Proto.ICMP || proto == Proto.ICMPV6;
  const ported = proto == Proto.TCP || proto == Proto.UDP || proto == Proto.UDPLITE || proto == Proto.SCTP;
  // In a later fragment of IPv4 the kernel forgets about ICMPv6, which is not at home there.
  if (later) return ported || proto == Proto.ICMP ? NO_PORT : proto << 16;
  if (!icmp && !ported) return proto << 16;
  const need = proto == Proto.TCP ? TCP_HEADER : proto == Proto.SCTP ? SCTP_HEADER : SHORT_HEADER;
  if (p.l4_len < need) return NO_PORT;
  const port = icmp ? be16(p.l4) : bswap16(source ? p.sport : p.dport);
  return (proto << 16) | port;
}
