// What does an IP set say of a packet? Element by element, from what ipset(8) says and the kernel was seen to do.
import { IpSetAnswer, L3, PacketFlag, Path, Proto } from '../../assembly/vocabulary.ts';
import { PACKET, WORLD } from '../../src/engine/layout.ts';
import type { ElementSet, Part } from '../../src/ruleset/ipset/ipset.ts';

const JIFFY_NS = 4_000_000n;
const JIFFIES_PER_SECOND = 250n;

/** Bytes of the headers that have a port, or type and code. */
const HEADERS = new Map<number, number>([
  [Proto.TCP, 20],
  [Proto.SCTP, 12],
  [Proto.UDP, 8],
  [Proto.UDPLITE, 8],
  [Proto.ICMP, 8],
  [Proto.ICMPV6, 8],
]);

/** Of the elements that hold what the packet shows and are still there, the one with the longest networks answers. */
export function askIpSet(memory: Uint8Array, set: ElementSet, sources: number, p: number, w: number): IpSetAnswer {
  const view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
  if (set.family !== undefined && set.family !== view.getUint8(p + PACKET.l3num)) return IpSetAnswer.ABSENT;
  const shown = set.parts.map((part, index) => show(memory, view, set, part, (sources >> index) & 1, p));
  if (shown.some((each) => each === undefined)) return IpSetAnswer.ABSENT;
  const jiffies = (at: number) => view.getBigUint64(at, true) / JIFFY_NS;
  const age = jiffies(p + PACKET.clock) - jiffies(w + WORLD.began);
  const held = set.elements.filter(({ left, lengths, words }) => {
    if (left !== undefined && age > BigInt(left) * JIFFIES_PER_SECOND) return false;
    let [word, net] = [0, 0];
    return shown.every((value, index) => {
      const own = Buffer.alloc(value!.length);
      for (let at = 0; at < own.length; at += 4) own.writeUInt32LE(words[word++]!, at);
      const part = set.parts[index];
      const bits = part === 'net' ? lengths[net++]! : own.length * 8;
      const masked = part === 'net' || part === 'ip' ? mask(value!, bits, set.mask) : value!;
      return own.equals(masked);
    });
  });
  // What the text adds twice is there once, as it came last.
  const [nearest] = held.reverse().sort(({ lengths: [a = 0, b = 0] }, { lengths: [c = 0, d = 0] }) => c - a || d - b);
  if (nearest === undefined) return IpSetAnswer.ABSENT;
  return nearest.nomatch ? IpSetAnswer.NOMATCH : IpSetAnswer.FOUND;
}

function mask(address: Uint8Array, length: number, also: Uint8Array | undefined): Uint8Array {
  return address.map((byte, at) => {
    const bits = Math.min(8, Math.max(0, length - at * 8));
    return byte & (256 - (1 << (8 - bits))) & (also?.[at] ?? 0xff);
  });
}

/** What a packet shows for a part of an element, as its words lie in memory; undefined if it lacks that. */
function show(
  memory: Uint8Array,
  view: DataView,
  set: ElementSet,
  part: Part,
  source: number,
  p: number,
): Uint8Array | undefined {
  switch (part) {
    case 'ip':
    case 'net': {
      const at = p + (source ? PACKET.src_lo : PACKET.dst_lo);
      return memory.slice(at, at + (view.getUint8(p + PACKET.l3num) === L3.IPV6 ? 16 : 4));
    }
    case 'mark':
      return word(view.getUint32(p + PACKET.mark, true));
    case 'mac': {
      const header = view.getUint32(p + PACKET.mac, true);
      if (header === 0 || view.getUint8(p + PACKET.path) === Path.OUTPUT) return undefined;
      const at = header + (source ? 6 : 0);
      const address = memory.slice(at, at + 6);
      return address.some((byte) => byte !== 0) ? Uint8Array.of(...address, 0, 0) : undefined;
    }
    case 'port': {
      const found = portOf(view, source, p);
      if (found === undefined || !set.barePorts) return found && word(found.protocol * 65536 + found.port);
      const bare = found.protocol === Proto.TCP || found.protocol === Proto.UDP;
      return bare ? word(found.port) : undefined;
    }
  }
}

function word(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** As ip_set_get_ip4_port() and ip_set_get_ip6_port() find it. */
function portOf(view: DataView, source: number, p: number): { protocol: number; port: number } | undefined {
  const protocol = view.getUint8(p + PACKET.protonum);
  const header = HEADERS.get(protocol);
  const l4 = view.getUint32(p + PACKET.l4, true);
  const later = (view.getUint16(p + PACKET.flags, true) & PacketFlag.LATER_FRAGMENT) !== 0;
  if (view.getUint8(p + PACKET.l3num) === L3.IPV6) {
    if (later || l4 === 0) return undefined;
  } else if (later) {
    return header === undefined || protocol === Proto.ICMPV6 ? { protocol, port: 0 } : undefined;
  }
  if (header === undefined) return { protocol, port: 0 };
  if (view.getUint32(p + PACKET.l4_len, true) < header) return undefined;
  const icmp = protocol === Proto.ICMP || protocol === Proto.ICMPV6;
  return { protocol, port: view.getUint16(icmp ? l4 : p + (source ? PACKET.sport : PACKET.dport)) };
}
