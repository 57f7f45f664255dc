// ICMPv6 queries (echo, node information). Kernel: net/netfilter/nf_conntrack_proto_icmpv6.c.

import { refresh } from "../conntrack";
import { Flow, Packet, World } from "../layout";
import { timeout_ns } from "../sysctl";
import { L3, Reason, Sysctl } from "../vocabulary";
import { icmpv6_may_begin } from "../wire/icmp";
import { Track } from "./tracker";

export function icmpv6_packet(w: World, flow: Flow, p: Packet, dir: u32, fresh: bool): Track {
  const type: u32 = flow.dport & 0xff;
  if (p.l3num != L3.IPV6 || (fresh && !icmpv6_may_begin(type))) {
    p.reason = <u8>Reason.ICMP_INVALID_NEW;
    p.why_value = type;
    return Track.INVALID;
  }
  refresh(w, flow, p, dir, timeout_ns(w, Sysctl.ICMPV6_TIMEOUT));
  return Track.ACCEPT;
}
