// What a protocol tracker answers, and which tracker a protocol has (kernel: nf_conntrack_handle_packet()).

import { Flow, Packet, World } from "../layout";
import { Proto, SCTP_STATE_BASE } from "../vocabulary";
import { generic_packet } from "./generic";
import { gre_packet } from "./gre";
import { icmp_packet } from "./icmp";
import { icmpv6_packet } from "./icmpv6";
import { sctp_packet } from "./sctp";
import { tcp_packet } from "./tcp";
import { udp_packet } from "./udp";
import { udplite_packet } from "./udplite";

/** A tracker's answer. */
export enum Track {
  /** The packet belongs to the flow. */
  ACCEPT = 0,
  /** It does not: the packet goes on as INVALID; p.reason says why. */
  INVALID = 1,
  /** The flow was killed because its tuple begins a new life: look it up again. */
  REPEAT = 2,
}

/** The state of a flow as a packet reports it (Packet.tcp_state): 0 for protocols without states. */
export function shown_state(flow: Flow): u8 {
  return flow.protonum == Proto.SCTP ? flow.tcp_state + <u8>SCTP_STATE_BASE : flow.tcp_state;
}

/** Hands a packet to the tracker of its flow's protocol; `fresh` if the entry was made for this packet. */
export function track(w: World, flow: Flow, p: Packet, dir: u32, fresh: bool): Track {
  switch (<u32>flow.protonum) {
    case Proto.TCP:
      return tcp_packet(w, flow, p, dir, fresh);
    case Proto.UDP:
      return udp_packet(w, flow, p, dir, fresh);
    case Proto.ICMP:
      return icmp_packet(w, flow, p, dir);
    case Proto.ICMPV6:
      return icmpv6_packet(w, flow, p, dir, fresh);
    case Proto.SCTP:
      return sctp_packet(w, flow, p, dir, fresh);
    case Proto.UDPLITE:
      return udplite_packet(w, flow, p, dir);
    case Proto.GRE:
      return gre_packet(w, flow, p, dir);
    default:
      return generic_packet(w, flow, p, dir);
  }
}
