// NetBIOS names and SNMP: what the host itself asks everybody on its network, anyone there may answer, as often as he likes.
// Kernel: net/netfilter/nf_conntrack_broadcast.c, nf_conntrack_netbios_ns.c, nf_conntrack_snmp.c.

import { expect_related, expect_sport, expect_target, helping_of } from "../expect";
import { help_of } from "../help";
import { Broadcast, Flow, Packet, World } from "../layout";
import { set_expiry } from "../timer";
import { Dir, ExpectFlag, PacketFlag, Path, Proto, Status } from "../vocabulary";
import { expectation_of, tuple_of } from "./helper";
import { timeout_s } from "./policy";

const SECOND: u64 = 1_000_000_000;

/** Expects answers from `port` (wire order) of everybody whom the packet is for. */
export function broadcast_help(w: World, flow: Flow, p: Packet, port: u16): bool {
  // Neither what is forwarded or received nor the copy of a broadcast belongs to a socket of the host's.
  if (p.path != Path.OUTPUT || p.oif == 0 || p.flags & PacketFlag.ECHO || p.dir != Dir.ORIGINAL) return true;
  const mask = network_mask(w, p);
  if (mask == 0) return true;
  const help = help_of(w, flow);
  const reply = tuple_of(flow, Dir.REPLY);
  const e = expectation_of(w, help, Proto.UDP, 0);
  e.src_lo = reply.src_lo;
  e.mask_lo = mask;
  expect_sport(e, port);
  expect_target(e, reply, reply.dport);
  e.flags = <u8>ExpectFlag.PERMANENT;
  // Refused, it is not missed: the packet passes all the same.
  expect_related(w, e);
  const timeout = <u64>timeout_s(w, help.helper, 0) * SECOND;
  if (flow.status & Status.CONFIRMED) set_expiry(w, flow, w.now + timeout);
  else flow.expires = timeout;
  return true;
}

/** Mask (wire order) of the network whose broadcast address the packet is sent to, on the interface it leaves by; 0: none. */
function network_mask(w: World, p: Packet): u32 {
  let at = <usize>helping_of(w).broadcasts;
  for (; changetype<Broadcast>(at).mask; at += offsetof<Broadcast>()) {
    const network = changetype<Broadcast>(at);
    if (network.iface == p.oif && network.address == <u32>p.dst_lo) return network.mask;
  }
  return 0;
}
