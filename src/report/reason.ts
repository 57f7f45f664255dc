// Why has a packet no verdict, or why is it INVALID, or dropped without a rule? The stable words of `why` in outputs.
//
// The part before a colon is the word that programs may test; what follows a colon is how the kernel says it
// (nf_conntrack_log_invalid), with the numbers of this packet.

import { HelperFault, Reason } from '../../assembly/vocabulary.ts';
import { tcpStateName } from './names.ts';

interface Words {
  /** Stable word. */
  word: string;
  /** The kernel's message, with %u for the value, or a function for values that hold several things. */
  message?: string | ((value: number, tag: number) => string);
  /** The message without numbers, for counting; left out where the word alone says it. */
  label?: string;
}

/** Names of TCP flag classes by the kernel's index (enum tcp_bit_set). */
const FLAG_CLASSES = ['SYN', 'SYN/ACK', 'FIN', 'ACK', 'RST', 'NONE'];

/** Reason.TCP_INVALID_STATE and TCP_IGNORED_STATE: index << 16 | dir << 8 | old state. */
function stateMessage(value: number, fate: string): string {
  return `packet (index ${value >>> 16}) in dir ${(value >>> 8) & 0xff} ${fate}, state ${tcpStateName(value & 0xff)}`;
}

/** Reason.SCTP_INVALID_STATE: old state << 16 | dir << 8 | chunk type. */
function sctpStateMessage(value: number): string {
  return `Invalid, old_state ${value >>> 16}, dir ${(value >>> 8) & 0xff}, type ${value & 0xff}`;
}

/** Reason.SCTP_CHUNKS: chunk number << 25 | flag << 24 | type << 16 | length. */
function chunksMessage(value: number): string {
  const [number, flag, type, length] = [value >>> 25, (value >>> 24) & 1, (value >>> 16) & 0xff, value & 0xffff];
  return `do_basic_checks failed. chunk num ${number}, type ${type}, len ${length} flag ${flag}`;
}

/** What the kernel says when a helper drops a packet (nf_ct_helper_log()). */
const HELPER_FAULTS: Record<HelperFault, string> = {
  [HelperFault.PARTIAL_PORT]: "partial matching of `PORT'",
  [HelperFault.PARTIAL_EPRT]: "partial matching of `EPRT'",
  [HelperFault.PARTIAL_227]: "partial matching of `227 '",
  [HelperFault.PARTIAL_229]: "partial matching of `229 '",
  [HelperFault.CANNOT_ADD_EXPECTATION]: 'cannot add expectation',
  [HelperFault.SIP_NO_CSEQ]: 'cannot parse cseq',
  [HelperFault.SIP_BAD_CSEQ]: 'cannot get cseq',
  [HelperFault.SIP_NO_CODE]: 'cannot get code',
  [HelperFault.SIP_BAD_EXPIRES]: 'cannot parse expires',
  [HelperFault.SIP_BAD_SDP]: 'cannot parse SDP message',
  [HelperFault.SIP_NO_MEDIA]: 'cannot add expectation for voice',
  [HelperFault.ALL_PORTS_IN_USE]: 'all ports in use',
  [HelperFault.CANNOT_MANGLE]: 'cannot mangle packet',
  [HelperFault.SIP_ALL_PORTS_IN_USE]: 'all ports in use for SIP',
  [HelperFault.SIP_CANNOT_MANGLE_SDP]: 'cannot mangle SDP',
  [HelperFault.SIP_CANNOT_NAT]: 'cannot NAT SIP message',
  [HelperFault.SILENT]: '',
  [HelperFault.RAS_MESSAGE]: 'cannot process RAS message',
  [HelperFault.Q931_MESSAGE]: 'cannot process Q.931 message',
  [HelperFault.H245_MESSAGE]: 'cannot process H.245 message',
  [HelperFault.SNMP_MALFORMED]: 'dropping malformed packet',
  [HelperFault.SNMP_PARSER]: 'parser failed',
};

/** Reason.HELPER: a HelperFault, or 256 and a port that is none of media's. */
export function helperMessage(value: number): string {
  return value < 256 ? HELPER_FAULTS[value as HelperFault] : `wrong port ${value - 256}`;
}

/** Both tags as they lie in the packet, read as the kernel does: %x of a number in wire order. */
function vtagMessage(tag: number, right: number, dir: number): string {
  return `verification tag check failed ${tag.toString(16)} vs ${right.toString(16)} for dir ${dir}`;
}

const REASONS: Record<Exclude<Reason, Reason.NONE>, Words> = {
  [Reason.NOT_IP]: { word: 'not-ip' },
  [Reason.UNKNOWN_LINK_HEADER]: { word: 'unknown-link-header' },
  [Reason.CUT_SHORT]: { word: 'cut-short' },
  [Reason.BAD_IP_HEADER]: { word: 'bad-ip-header' },
  [Reason.BAD_IP_CHECKSUM]: { word: 'bad-ip-checksum' },
  [Reason.EGRESS_COPY]: { word: 'egress-copy' },
  [Reason.FRAGMENT_PENDING]: { word: 'fragment-pending' },
  [Reason.FRAGMENT_INCOMPLETE]: { word: 'fragment-incomplete' },
  [Reason.FRAGMENT_TIMEOUT]: { word: 'fragment-timeout' },
  [Reason.FRAGMENT_OVERLAP]: { word: 'fragment-overlap' },
  [Reason.FRAGMENT_DUPLICATE]: { word: 'fragment-duplicate' },
  [Reason.FRAGMENT_BAD_LENGTH]: { word: 'fragment-bad-length' },
  [Reason.FRAGMENT_TOO_BIG]: { word: 'fragment-too-big' },
  [Reason.FRAGMENT_MEMORY]: { word: 'fragment-memory' },
  [Reason.FRAGMENT_TOO_FAR]: { word: 'fragment-too-far' },
  [Reason.FRAGMENT_ECN]: { word: 'fragment-ecn' },
  [Reason.MARTIAN_ADDRESS]: { word: 'martian-address' },
  [Reason.HOP_BY_HOP]: { word: 'hop-by-hop-options' },
  [Reason.IP_OPTIONS]: { word: 'ip-options' },
  [Reason.SOURCE_ROUTE]: { word: 'source-route' },
  [Reason.NOT_FOR_US]: { word: 'not-for-us' },
  [Reason.MARTIAN]: { word: 'martian' },
  [Reason.BEYOND_SCOPE]: { word: 'beyond-scope' },
  [Reason.HELPER]: { word: 'dropped-by-helper', message: helperMessage },
  [Reason.SEQ_ADJUST]: { word: 'seq-adjust-failed' },
  [Reason.HELPER_CUT_SHORT]: { word: 'not-seen-by-helper' },
  [Reason.IP_TRUNCATED]: { word: 'ip-truncated' },

  [Reason.NO_ROUTE]: { word: 'no-route' },
  [Reason.TTL_EXCEEDED]: { word: 'ttl-exceeded' },
  [Reason.MTU_EXCEEDED]: { word: 'mtu-exceeded' },
  [Reason.ROUTE_BLACKHOLE]: { word: 'route-blackhole' },
  [Reason.ROUTE_UNREACHABLE]: { word: 'route-unreachable' },
  [Reason.ROUTE_PROHIBIT]: { word: 'route-prohibit' },
  [Reason.TABLE_FULL]: { word: 'table-full' },

  [Reason.NAT_NO_ADDRESS]: { word: 'nat-no-address' },
  [Reason.NAT_CLASH]: { word: 'nat-clash' },
  [Reason.NAT_UNTRANSLATABLE]: { word: 'nat-untranslatable' },

  [Reason.TRUNCATED_L4]: { word: 'truncated-header' },
  [Reason.BAD_CHECKSUM]: { word: 'invalid-checksum' },
  [Reason.TCP_FLAGS]: { word: 'invalid-tcp-flags' },
  [Reason.TCP_INVALID_NEW]: { word: 'invalid-new' },
  [Reason.TCP_NOT_LOOSE]: { word: 'not-loose' },
  [Reason.TCP_INVALID_STATE]: { word: 'invalid-state', message: (value) => stateMessage(value, 'invalid') },
  [Reason.TCP_IGNORED_STATE]: { word: 'ignored-state', message: (value) => stateMessage(value, 'ignored') },
  [Reason.TCP_CHALLENGE_ACK]: { word: 'challenge-ack-ignored' },
  [Reason.TCP_INVALID_RST]: { word: 'invalid-rst' },
  [Reason.TCP_OVERSHOT]: {
    word: 'out-of-window',
    message: '%u bytes more than expected',
    label: 'more bytes than expected',
  },
  [Reason.TCP_SEQ_OVER]: {
    word: 'out-of-window',
    message: 'SEQ is over upper bound %u (over the window of the receiver)',
    label: 'SEQ is over upper bound (over the window of the receiver)',
  },
  [Reason.TCP_ACK_OVER]: {
    word: 'out-of-window',
    message: 'ACK is over upper bound %u (ACKed data not seen yet)',
    label: 'ACK is over upper bound (ACKed data not seen yet)',
  },
  [Reason.TCP_SEQ_UNDER]: {
    word: 'out-of-window',
    message: 'SEQ is under lower bound %u (already ACKed data retransmitted)',
    label: 'SEQ is under lower bound (already ACKed data retransmitted)',
  },
  [Reason.TCP_ACK_UNDER]: {
    word: 'out-of-window',
    message: 'ignored ACK under lower bound %u (possible overly delayed)',
    label: 'ignored ACK under lower bound (possible overly delayed)',
  },
  [Reason.ICMP_INVALID_NEW]: { word: 'icmp-invalid-new', message: 'type %u' },
  [Reason.ICMP_BAD_TYPE]: { word: 'icmp-invalid-type', message: 'type %u' },
  [Reason.ICMP_ERROR_SHORT]: { word: 'icmp-error-short' },
  [Reason.ICMP_ERROR_UNKNOWN_PROTO]: { word: 'icmp-error-unknown-protocol' },
  [Reason.ICMP_ERROR_NO_FLOW]: { word: 'icmp-error-no-flow' },
  [Reason.ICMP_ERROR_WRONG_SENDER]: { word: 'icmp-error-wrong-sender' },
  [Reason.SCTP_CHUNKS]: { word: 'invalid-chunks', message: chunksMessage },
  [Reason.SCTP_INVALID_NEW]: { word: 'sctp-invalid-new' },
  [Reason.SCTP_VTAG_ORIGINAL]: {
    word: 'wrong-tag',
    message: (right, tag) => vtagMessage(tag, right, 0),
    label: 'dir 0',
  },
  [Reason.SCTP_VTAG_REPLY]: { word: 'wrong-tag', message: (right, tag) => vtagMessage(tag, right, 1), label: 'dir 1' },
  [Reason.SCTP_VTAG_CHUNK]: { word: 'wrong-chunk-tag', message: 'chunk type %u' },
  [Reason.SCTP_INVALID_STATE]: { word: 'sctp-invalid-state', message: sctpStateMessage },
  [Reason.UDPLITE_COVERAGE]: { word: 'invalid-coverage', message: 'invalid checksum coverage' },
  [Reason.UDPLITE_NO_CHECKSUM]: { word: 'checksum-missing' },
  [Reason.GRE_NOT_PPP]: { word: 'gre-not-ppp' },
  [Reason.ICMPV6_REDIRECT_SHORT]: { word: 'icmpv6-redirect', message: 'short redirect', label: 'short redirect' },
  [Reason.ICMPV6_REDIRECT_SENDER]: {
    word: 'icmpv6-redirect',
    message: 'invalid saddr or hoplimit for redirect',
    label: 'invalid saddr or hoplimit for redirect',
  },
  [Reason.ICMPV6_REDIRECT_OPTIONS]: {
    word: 'icmpv6-redirect',
    message: 'redirect without options',
    label: 'redirect without options',
  },
};

function words(reason: number): Words | undefined {
  return REASONS[reason as Exclude<Reason, Reason.NONE>];
}

/** The stable word of a reason, `reason-N` for a number that the vocabulary does not have. */
export function reasonWord(reason: number): string {
  return words(reason)?.word ?? `reason-${reason}`;
}

/** Whether the text of a reason depends on the packet's number. */
export function hasNumber(reason: number): boolean {
  return words(reason)?.message !== undefined;
}

/**
 * `why` of a packet: the stable word, and the kernel's message with the packet's number where there is one:
 * `out-of-window: SEQ is over upper bound 12345 (over the window of the receiver)`.
 *
 * @param value Packet.why_value
 * @param tag Packet.ct_mark, which some reasons say beside the value
 */
export function whyText(reason: number, value: number, tag: number): string {
  const { message } = words(reason) ?? {};
  if (message === undefined) return reasonWord(reason);
  const said = typeof message === 'string' ? message.replace('%u', String(value)) : message(value, tag);
  return said === '' ? reasonWord(reason) : `${reasonWord(reason)}: ${said}`;
}

/** A reason for counting, without the numbers of one packet: each reason has a label of its own. */
export function reasonLabel(reason: number): string {
  const label = words(reason)?.label;
  return label === undefined ? reasonWord(reason) : `${reasonWord(reason)}: ${label}`;
}

/** Name of a TCP flag class by its index in the kernel (enum tcp_bit_set). */
export function flagClassName(index: number): string {
  return FLAG_CLASSES[index] ?? String(index);
}
