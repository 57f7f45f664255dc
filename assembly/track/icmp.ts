// ICMP queries (echo, timestamp, information, address mask): a flow is a query id between two hosts. Errors never come
// here, they belong to the flow they quote. Kernel: net/netfilter/nf_conntrack_proto_icmp.c.

import { refresh } from "../conntrack";
import { Flow, Packet, World } from "../layout";
import { timeout_ns } from "../sysctl";
import { L3, Reason, Sysctl } from "../vocabulary";
import { icmp_may_begin } from "../wire/icmp";
import { Track } from "./tracker";

export function icmp_packet(w: World, flow: Flow, p: Packet, dir: u32): Track {
  const type: u32 = flow.dport & 0xff;
  if (p.l3num != L3.IPV4 || !icmp_may_begin(type)) {
    p.reason = <u8>Reason.ICMP_INVALID_NEW;
    p.why_value = type;
    return Track.INVALID;
  }
  refresh(w, flow, p, dir, timeout_ns(w, Sysctl.ICMP_TIMEOUT));
  return Track.ACCEPT;
}
