// UDP: no states, but a flow that is still answered two seconds after its birth is a stream with a longer timeout.
// Kernel: net/netfilter/nf_conntrack_proto_udp.c.

import { be16 } from "../bytes";
import { accept_checksum, refresh } from "../conntrack";
import { Flow, Packet, World } from "../layout";
import { timeout_ns } from "../sysctl";
import { EventBit, Reason, Status, Sysctl } from "../vocabulary";
import { Track } from "./tracker";

const UDP_HEADER: u32 = 8;
const STREAM_AFTER: u64 = 2_000_000_000;

export function udp_packet(w: World, flow: Flow, p: Packet, dir: u32, fresh: bool): Track {
  const length: u32 = p.l4_len >= UDP_HEADER ? be16(p.l4 + 4) : 0;
  if (length > p.l4_len || length < UDP_HEADER) {
    p.reason = <u8>Reason.TRUNCATED_L4;
    return Track.INVALID;
  }
  if (!accept_checksum(w, p)) return Track.INVALID;

  if (fresh) flow.udp_stream_after = w.now + STREAM_AFTER;
  if (!(flow.status & Status.SEEN_REPLY)) {
    refresh(w, flow, p, dir, timeout_ns(w, Sysctl.UDP_TIMEOUT));
    return Track.ACCEPT;
  }
  const stream = w.now > flow.udp_stream_after;
  refresh(w, flow, p, dir, timeout_ns(w, stream ? Sysctl.UDP_TIMEOUT_STREAM : Sysctl.UDP_TIMEOUT));
  if (stream && !(flow.status & Status.ASSURED)) {
    flow.status |= <u16>Status.ASSURED;
    flow.pending_events |= <u16>EventBit.ASSURED;
  }
  return Track.ACCEPT;
}
