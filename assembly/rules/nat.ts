// What the targets of the nat table do: they say to which addresses and ports the new flow may be mapped.
// Kernel: net/netfilter/xt_nat.c, xt_MASQUERADE.c, xt_REDIRECT.c, xt_NETMAP.c.

import { Flow, HostAddress, Nat, NatRange, Packet, World } from "../layout";
import { fresh_range, manip_of, nat_of, nat_setup, set_address } from "../nat";
import { masquerade_address4, masquerade_address6, redirect_address4, redirect_address6 } from "../nat-address";
import { Manip } from "../nat-tuple";
import { ChainVerdict, Hook, L3, NatFlag, NatKind, Reason } from "../vocabulary";

const LOOPBACK4: u64 = 0x0100007f;
const LOOPBACK6_HI: u64 = 0x0100000000000000;

/** Binds the packet's flow as the rule with this NatRange wants it. Returns a ChainVerdict. */
export function rule_nat(packet: usize, world: usize, index: u32): u32 {
  return rule_nat_range(packet, world, <usize>nat_of(changetype<World>(world)).ranges + <usize>index * offsetof<NatRange>());
}

/** The same with a NatRange that rule code has put together. */
export function rule_nat_range(packet: usize, world: usize, range: usize): u32 {
  const w = changetype<World>(world);
  const p = changetype<Packet>(packet);
  const n = nat_of(w);
  const flow = changetype<Flow>(<usize>p.flow);
  const given = changetype<NatRange>(range);
  switch (<u32>given.kind) {
    case NatKind.SNAT:
      return nat_setup(w, p, flow, given, Manip.SRC);
    case NatKind.DNAT:
      return nat_setup(w, p, flow, given, Manip.DST);
    case NatKind.NETMAP:
      return netmap(w, p, flow, given);
    case NatKind.MASQUERADE: {
      const v6 = p.l3num == L3.IPV6;
      // A host that asks for its address has none yet.
      if (!v6 && flow.src_lo == 0) return ChainVerdict.ACCEPT;
      return take(w, p, given, v6 ? masquerade_address6(n, p) : masquerade_address4(n, p), Manip.SRC);
    }
    default: {
      if (n.hook == Hook.OUTPUT) {
        const v6 = p.l3num == L3.IPV6;
        const range = with_ports_of(n, given);
        set_address(range, v6 ? 0 : LOOPBACK4, v6 ? LOOPBACK6_HI : 0);
        return nat_setup(w, p, flow, range, Manip.DST);
      }
      return take(w, p, given, p.l3num == L3.IPV6 ? redirect_address6(n, p) : redirect_address4(n, p), Manip.DST);
    }
  }
}

/** A range with the ports and flags of the rule. */
function with_ports_of(n: Nat, given: NatRange): NatRange {
  const range = fresh_range(n, given.flags | NatFlag.MAP_IPS);
  range.min_proto = given.min_proto;
  range.max_proto = given.max_proto;
  return range;
}

/** Maps to an address of the host. Without one the packet is dropped. */
function take(w: World, p: Packet, given: NatRange, address: HostAddress, manip: u32): u32 {
  if (changetype<usize>(address) == 0) {
    p.reason = <u8>Reason.NAT_NO_ADDRESS;
    return ChainVerdict.DROP;
  }
  const range = with_ports_of(nat_of(w), given);
  set_address(range, address.lo, address.hi);
  return nat_setup(w, p, changetype<Flow>(<usize>p.flow), range, manip);
}

/** The network part of the address is replaced; where both ends of the range agree it is network. */
function netmap(w: World, p: Packet, flow: Flow, given: NatRange): u32 {
  const n = nat_of(w);
  const manip = manip_of(n.hook);
  const range = with_ports_of(n, given);
  const lo = manip == Manip.SRC ? p.src_lo : p.dst_lo;
  const hi = manip == Manip.SRC ? p.src_hi : p.dst_hi;
  const host_lo = given.min_lo ^ given.max_lo;
  const host_hi = given.min_hi ^ given.max_hi;
  set_address(range, (lo & host_lo) | (given.min_lo & ~host_lo), (hi & host_hi) | (given.min_hi & ~host_hi));
  return nat_setup(w, p, flow, range, manip);
}
