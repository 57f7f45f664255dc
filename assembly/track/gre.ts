// GRE: a flow is a pair of hosts and, for enhanced GRE, a call id; answered traffic is a stream. Which tuple a packet
// has is told by wire/gre.ts. Kernel: net/netfilter/nf_conntrack_proto_gre.c.

import { refresh } from "../conntrack";
import { Flow, Packet, World } from "../layout";
import { timeout_ns } from "../sysctl";
import { EventBit, Status, Sysctl } from "../vocabulary";
import { Track } from "./tracker";

export function gre_packet(w: World, flow: Flow, p: Packet, dir: u32): Track {
  if (!(flow.status & Status.SEEN_REPLY)) {
    refresh(w, flow, p, dir, timeout_ns(w, Sysctl.GRE_TIMEOUT));
    return Track.ACCEPT;
  }
  refresh(w, flow, p, dir, timeout_ns(w, Sysctl.GRE_TIMEOUT_STREAM));
  if (!(flow.status & Status.ASSURED)) {
    flow.status |= <u16>Status.ASSURED;
    flow.pending_events |= <u16>EventBit.ASSURED;
  }
  return Track.ACCEPT;
}
