// Protocols without a tracker of their own: a flow is a pair of addresses and a protocol.

import { refresh } from "../conntrack";
import { Flow, Packet, World } from "../layout";
import { timeout_ns } from "../sysctl";
import { Sysctl } from "../vocabulary";
import { Track } from "./tracker";

export function generic_packet(w: World, flow: Flow, p: Packet, dir: u32): Track {
  refresh(w, flow, p, dir, timeout_ns(w, Sysctl.GENERIC_TIMEOUT));
  return Track.ACCEPT;
}
