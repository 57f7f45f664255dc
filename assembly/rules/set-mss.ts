// TCPMSS: no verdict depends on the MSS that a segment announces, so it is only noted, for those who want packets as they left.
// But a segment that announced none becomes longer, which later rules count. Kernel: net/netfilter/xt_TCPMSS.c.

import { Packet, World } from "../layout";
import { mtu_of } from "../mtu";
import { route_lookup } from "../route";
import { keep_mss } from "../sent";
import { L3 } from "../vocabulary";
import { TCP_HEADER_MIN, tcp_header_length } from "../wire/tcp";
import { rule_tcp_mss } from "./tcp-option";

/** --clamp-mss-to-pmtu (XT_TCPMSS_CLAMP_PMTU). */
const CLAMP: u32 = 0xffff;
const HEADERS4: u32 = 40;
const HEADERS6: u32 = 60;
const OPTION: u32 = 4;
const TCP_HEADER_MAX: u32 = 60;

/** The packet that was made longer last: its record, which is another one in each world, and its number. */
let grown: usize = 0;
let grown_number: u64 = 0;

/** The segment announces no more than `mss`, or with CLAMP no more than its way out and the way back carry. */
export function rule_set_mss(packet: usize, world: usize, mss: u32): void {
  const w = changetype<World>(world);
  const p = changetype<Packet>(packet);
  const grows = (grown != packet || grown_number != w.number) && lacks_option(p);
  if (grows) {
    grown = packet;
    grown_number = w.number;
    p.ip_len += OPTION;
  }
  if (w.sent == 0) return;
  const least = mss == CLAMP ? carried(w, p) : mss;
  if (least || grows) keep_mss(w, p, least, grows);
}

/** The same for nft's `tcp option maxseg size set`, which adds no option (nft_exthdr_tcp_set_eval()). */
export function rule_lower_mss(packet: usize, world: usize, mss: u32): void {
  const w = changetype<World>(world);
  const p = changetype<Packet>(packet);
  if (w.sent == 0 || p.l4_captured < TCP_HEADER_MIN || rule_tcp_mss(packet) < 0) return;
  const least = mss == CLAMP ? carried(w, p) : mss;
  if (least) keep_mss(w, p, least, false);
}

/** There is no MSS option, and there is room for one: no payload would have to be moved. */
function lacks_option(p: Packet): bool {
  if (p.l4_captured < TCP_HEADER_MIN || tcp_header_length(p.l4) != p.l4_len || p.l4_len >= TCP_HEADER_MAX) return false;
  return rule_tcp_mss(changetype<usize>(p)) == -1;
}

/** 0 if a link's MTU is not known. */
function carried(w: World, p: Packet): u32 {
  if (w.mtus == 0) return 0;
  const headers = p.l3num == L3.IPV6 ? HEADERS6 : HEADERS4;
  const mtu = min(mtu_of(w, p.oif), mtu_of(w, route_lookup(w, p.l3num, changetype<usize>(p)) & 0xffff));
  return mtu > headers ? mtu - headers : 0;
}
