// UDP-Lite (RFC 3828): as UDP, but an answered flow is a stream at once, and the checksum is never left out and may
// cover less than the packet. Kernel: nf_conntrack_udplite_packet() in net/netfilter/nf_conntrack_proto_udp.c.

import { be16 } from "../bytes";
import { accept_checksum, refresh } from "../conntrack";
import { Flow, Packet, World } from "../layout";
import { timeout_ns } from "../sysctl";
import { EventBit, Reason, Status, Sysctl } from "../vocabulary";
import { Track } from "./tracker";

export const UDPLITE_HEADER: u32 = 8;

/** Bytes that the checksum covers; 0 if the header says something impossible (RFC 3828 section 3.1). */
export function udplite_coverage(l4: usize, l4_len: u32): u32 {
  const coverage = be16(l4 + 4);
  if (coverage == 0) return l4_len;
  return coverage < UDPLITE_HEADER || coverage > l4_len ? 0 : coverage;
}

export function udplite_packet(w: World, flow: Flow, p: Packet, dir: u32): Track {
  const reason = header_fault(p);
  if (reason != Reason.NONE) {
    p.reason = <u8>reason;
    return Track.INVALID;
  }
  if (!accept_checksum(w, p)) return Track.INVALID;
  if (!(flow.status & Status.SEEN_REPLY)) {
    refresh(w, flow, p, dir, timeout_ns(w, Sysctl.UDP_TIMEOUT));
    return Track.ACCEPT;
  }
  refresh(w, flow, p, dir, timeout_ns(w, Sysctl.UDP_TIMEOUT_STREAM));
  if (!(flow.status & Status.ASSURED)) {
    flow.status |= <u16>Status.ASSURED;
    flow.pending_events |= <u16>EventBit.ASSURED;
  }
  return Track.ACCEPT;
}

function header_fault(p: Packet): Reason {
  if (p.l4_len < UDPLITE_HEADER) return Reason.TRUNCATED_L4;
  if (udplite_coverage(p.l4, p.l4_len) == 0) return Reason.UDPLITE_COVERAGE;
  return load<u16>(p.l4, 6) == 0 ? Reason.UDPLITE_NO_CHECKSUM : Reason.NONE;
}
