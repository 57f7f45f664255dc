// Names and numbers that the engine (AssemblyScript) and the rest (TypeScript) share.
//
// Plain enums compile under both compilers, so a state has one number and one name everywhere. Numbers that the
// kernel exposes (hooks, status bits, TCP states, event bits) are the kernel's.

/** Layer 3 families (NFPROTO_*). */
export enum L3 {
  NONE = 0,
  IPV4 = 2,
  IPV6 = 10,
}

/** IP protocol numbers that the engine treats by name (IANA). */
export enum Proto {
  ICMP = 1,
  TCP = 6,
  UDP = 17,
  DCCP = 33,
  GRE = 47,
  ESP = 50,
  AH = 51,
  ICMPV6 = 58,
  SCTP = 132,
  UDPLITE = 136,
}

/** Netfilter hooks in the kernel's numbering (NF_INET_*). */
export enum Hook {
  PREROUTING = 0,
  INPUT = 1,
  FORWARD = 2,
  OUTPUT = 3,
  POSTROUTING = 4,
}

/** Which hooks a packet meets. */
export enum Path {
  NONE = 0,
  FORWARD = 1,
  INPUT = 2,
  OUTPUT = 3,
}

/** What happened to a packet in the end. NONE: it was not judged, `Reason` says why. */
export enum Verdict {
  NONE = 0,
  ACCEPT = 1,
  DROP = 2,
  REJECT = 3,
  QUEUE = 4,
}

/** What a base chain or a user chain returned (the emitted rule code and the hook loop speak it). */
export enum ChainVerdict {
  /** Fell off the end of a user chain or met RETURN: the caller goes on. Never returned by a base chain. */
  CONTINUE = 0,
  ACCEPT = 1,
  DROP = 2,
  REJECT = 3,
  QUEUE = 4,
}

/** The state that `--ctstate` would match. NONE: the packet never reached connection tracking. */
export enum CtState {
  NONE = 0,
  NEW = 1,
  ESTABLISHED = 2,
  RELATED = 3,
  INVALID = 4,
  UNTRACKED = 5,
}

/** Direction of a packet within its flow (IP_CT_DIR_*). */
export enum Dir {
  ORIGINAL = 0,
  REPLY = 1,
}

/** TCP connection states (TCP_CONNTRACK_*); MAX marks an invalid transition, IGNORE one that is let through unjudged. */
export enum TcpConntrack {
  NONE = 0,
  SYN_SENT = 1,
  SYN_RECV = 2,
  ESTABLISHED = 3,
  FIN_WAIT = 4,
  CLOSE_WAIT = 5,
  LAST_ACK = 6,
  TIME_WAIT = 7,
  CLOSE = 8,
  SYN_SENT2 = 9,
  MAX = 10,
  IGNORE = 11,
}

/** SCTP association states (SCTP_CONNTRACK_*); MAX marks an invalid transition. */
export enum SctpConntrack {
  NONE = 0,
  CLOSED = 1,
  COOKIE_WAIT = 2,
  COOKIE_ECHOED = 3,
  ESTABLISHED = 4,
  SHUTDOWN_SENT = 5,
  SHUTDOWN_RECD = 6,
  SHUTDOWN_ACK_SENT = 7,
  HEARTBEAT_SENT = 8,
  MAX = 9,
}

/** Chunk types (RFC 9260 section 3.2). */
export enum SctpChunk {
  DATA = 0,
  INIT = 1,
  INIT_ACK = 2,
  SACK = 3,
  HEARTBEAT = 4,
  HEARTBEAT_ACK = 5,
  ABORT = 6,
  SHUTDOWN = 7,
  SHUTDOWN_ACK = 8,
  ERROR = 9,
  COOKIE_ECHO = 10,
  COOKIE_ACK = 11,
  SHUTDOWN_COMPLETE = 14,
}

/** Packet.tcp_state and tcp_before hold a TcpConntrack below this, this plus a SctpConntrack from here on. */
export const SCTP_STATE_BASE = 16;

/** Status bits of an entry (IPS_*). */
export enum Status {
  EXPECTED = 1,
  SEEN_REPLY = 2,
  ASSURED = 4,
  CONFIRMED = 8,
  SRC_NAT = 16,
  DST_NAT = 32,
  SEQ_ADJUST = 64,
  SRC_NAT_DONE = 128,
  DST_NAT_DONE = 256,
  DYING = 512,
  FIXED_TIMEOUT = 1024,
  HELPER = 8192,
}

/** Connection tracking helpers; `src/report/names.ts` has the kernel's names. */
export enum Helper {
  NONE = 0,
  FTP = 1,
  TFTP = 2,
  IRC = 3,
  SANE = 4,
  NETBIOS_NS = 5,
  SNMP = 6,
  AMANDA = 7,
  PPTP = 8,
  SIP = 9,
  RAS = 10,
  Q931 = 11,
  H245 = 12,
  SNMP_TRAP = 13,
}

/** How an address is reached, if not by a next hop that has a number of its own (layout/h323.ts). */
export enum HopKind {
  /** Not at all. */
  NONE = 0,
  /** By itself: it is a neighbour, or the host's own. */
  NEIGHBOUR = 1,
  /** The least number of a next hop. */
  FIRST = 2,
}

/** Flags of an expectation (NF_CT_EXPECT_*). */
export enum ExpectFlag {
  PERMANENT = 1,
  INACTIVE = 2,
  USERSPACE = 4,
}

/** What NAT does to a connection that was expected (kernel: nf_conntrack_expect.expectfn). */
export enum ExpectNat {
  /** What the rules say. */
  RULES = 0,
  /** As its master goes (nf_nat_follow_master()). */
  MASTER = 1,
  /** As SIP wants its media and calls (nf_nat_sip_expected()). */
  SIP = 2,
  /** As calls of PPTP (pptp_nat_expected()). */
  CALL = 3,
  /** As a forwarded call of H.323 (ip_nat_callforwarding_expect()). */
  FORWARDED = 4,
}

/** Kinds of lines that `conntrack -E` prints. */
export enum EventKind {
  NONE = 0,
  NEW = 1,
  UPDATE = 2,
  DESTROY = 3,
  /** Lines of `conntrack -E expect`. */
  EXPECT_NEW = 4,
  EXPECT_DESTROY = 5,
}

/** Event bits (1 << IPCT_*). */
export enum EventBit {
  NEW = 1,
  RELATED = 2,
  DESTROY = 4,
  REPLY = 8,
  ASSURED = 16,
  PROTOINFO = 32,
  HELPER = 64,
  MARK = 128,
  LABEL = 1024,
}

/** Bits of Template.flags. */
export enum TemplateFlag {
  /** The zone holds for the original direction, for the reply direction (1 << Dir). */
  ZONE_ORIGINAL = 1,
  ZONE_REPLY = 2,
  /** The zone is the packet's mark. */
  ZONE_MARK = 4,
}

/** Bits of Packet.flags. */
export enum PacketFlag {
  /** Any fragment of an IP packet that is not whole (offset or more-fragments set). */
  FRAGMENT = 1,
  /** A fragment that is not the first one: there is no transport header in it. */
  LATER_FRAGMENT = 2,
  /** The IP header has options (IPv4) or extension headers (IPv6). */
  IP_OPTIONS = 4,
  /** The packet carries an ICMP or ICMPv6 error: its flow is found by the packet it quotes. */
  ICMP_ERROR = 8,
  /** The transport checksum is wrong. */
  BAD_CHECKSUM = 16,
  /** A checksum (IP or transport) that was left to the network card: wrong on the wire of the capture, not in truth. */
  OFFLOADED = 32,
  /** A packet put together from fragments; its record is that of the fragment that completed it. */
  REASSEMBLED = 64,
  /** A fragment that shows what became of its packet: see Packet.hash. */
  FRAGMENT_OF = 128,
  /** One of the host's own that answers a packet of the capture (assembly/answer.ts), or the copy of such an answer. */
  ANSWER = 256,
  /** NAT has changed the packet: the record shows it as it was captured, its Translation as it left (assembly/nat.ts). */
  TRANSLATED = 512,
  /** Counted by the lane that tracked it (assembly/tally.ts). */
  TALLIED = 1024,
  /** So counted, and it has no entry: reports still have to find out whether its conversation was seen before. */
  STRANGER = 2048,
  /** The copy that comes back of what the host sends to everybody or to a group (assembly/answer.ts). */
  ECHO = 4096,
  /** The capture shows the packet where it came to the host, or where it left the host (assembly/sight.ts). */
  ARRIVING = 8192,
  LEAVING = 16384,
  /** TCP whose header is whole and has ACK, but neither SYN, FIN nor RST. */
  PLAIN_ACK = 32768,
}

/** What a part of an IP set's key is (assembly/layout/ip-set.ts). */
export enum IpSetPart {
  ADDRESS = 1,
  PORT = 2,
  MAC = 3,
  MARK = 4,
}

/** What an IP set says of a packet. */
export enum IpSetAnswer {
  ABSENT = 0,
  FOUND = 1,
  /** The element that is nearest says that it does not match. */
  NOMATCH = 2,
}

/** Targets of the nat table. */
export enum NatKind {
  SNAT = 1,
  DNAT = 2,
  MASQUERADE = 3,
  REDIRECT = 4,
  NETMAP = 5,
}

/** Bits of NatRange.flags (NF_NAT_RANGE_*). */
export enum NatFlag {
  MAP_IPS = 1,
  PROTO_SPECIFIED = 2,
  PROTO_RANDOM = 4,
  PERSISTENT = 8,
  PROTO_RANDOM_FULLY = 16,
  PROTO_OFFSET = 32,
}

/** Bits of HostAddress.flags (IFA_F_*). */
export enum AddressFlag {
  SECONDARY = 1,
  DEPRECATED = 2,
  TEMPORARY = 4,
}

/** What to do about checksums (`--checksums`). */
export enum Checksums {
  IGNORE = 0,
  VERIFY = 1,
  /** As VERIFY, but a checksum that bears the marks of transmit offload counts as right. */
  AUTO = 2,
}

/** Link-layer destination as `-m pkttype` names it (PACKET_*). */
export enum PktType {
  HOST = 0,
  BROADCAST = 1,
  MULTICAST = 2,
  OTHERHOST = 3,
}

/** Kinds of addresses as `-m addrtype` names them (RTN_*); NONE: no route leads there. */
export enum AddrType {
  UNSPEC = 0,
  UNICAST = 1,
  LOCAL = 2,
  BROADCAST = 3,
  ANYCAST = 4,
  MULTICAST = 5,
  BLACKHOLE = 6,
  UNREACHABLE = 7,
  PROHIBIT = 8,
}

/** Which of its chunks a packet must have for `-m sctp --chunk-types`: any or all of those listed, or no other. */
export enum ChunkMatch {
  ANY = 0,
  ALL = 1,
  ONLY = 2,
}

/** What `-m connbytes` counts of a connection, and the direction it counts. */
export enum Carried {
  PACKETS = 0,
  BYTES = 1,
  AVERAGE = 2,
}
export enum CarriedBy {
  ORIGINAL = 0,
  REPLY = 1,
  BOTH = 2,
}

/** What `-m owner` asks for, and which of that is inverted (XT_OWNER_*). */
export enum OwnerFlag {
  UID = 1,
  GID = 2,
  SOCKET = 4,
  SUPPL_GROUPS = 8,
}

/** What `-m rpfilter` lets pass besides sources whose route leads back by the way that the packet came (XT_RPFILTER_*). */
export enum RpfilterFlag {
  LOOSE = 1,
  ACCEPT_LOCAL = 4,
}

/** What `-m recent` does and asks for (XT_RECENT_*), of which address, and whether the outcome is inverted. */
export enum RecentFlag {
  CHECK = 1,
  SET = 2,
  UPDATE = 4,
  REMOVE = 8,
  TTL = 16,
  REAP = 32,
  DESTINATION = 64,
  INVERT = 128,
}

/** What `-m hashlimit` makes buckets of and counts (XT_HASHLIMIT_*). */
export enum HashlimitFlag {
  DESTINATION = 1,
  DPORT = 2,
  SOURCE = 4,
  SPORT = 8,
  BYTES = 32,
  RATE = 64,
}

/** Why a run cannot go on (World.table_full). */
export enum Full {
  NONE = 0,
  /** The lane's connection table. */
  TABLE = 1,
  /** What rules with -m connlimit count. */
  CONNLIMIT = 2,
}

/** What REJECT answers with. */
export enum RejectWith {
  NONE = 0,
  ICMP_NET_UNREACHABLE = 1,
  ICMP_HOST_UNREACHABLE = 2,
  ICMP_PROTO_UNREACHABLE = 3,
  ICMP_PORT_UNREACHABLE = 4,
  ICMP_NET_PROHIBITED = 5,
  ICMP_HOST_PROHIBITED = 6,
  ICMP_ADMIN_PROHIBITED = 7,
  TCP_RESET = 8,
  ICMP6_NO_ROUTE = 9,
  ICMP6_ADM_PROHIBITED = 10,
  ICMP6_ADDR_UNREACHABLE = 11,
  ICMP6_PORT_UNREACHABLE = 12,
  ICMP6_POLICY_FAIL = 13,
  ICMP6_REJECT_ROUTE = 14,
}

/**
 * Why a packet has no verdict, is INVALID, or was dropped without a rule. `src/report/reason.ts` has the words; a
 * number in Packet.why_value completes those marked (value).
 */
export enum Reason {
  NONE = 0,

  // Not judged (verdict NONE): no IP stack would see it, or it is beyond what is tracked so far.
  NOT_IP = 1,
  UNKNOWN_LINK_HEADER = 2,
  CUT_SHORT = 3,
  BAD_IP_HEADER = 4,
  BAD_IP_CHECKSUM = 5,
  /** A fragment whose packet was not decided in time to say so (src/report/hold.ts); every fragment until it is. */
  FRAGMENT_PENDING = 6,
  /** What left the host, and was judged where it arrived, or where the host made it. */
  EGRESS_COPY = 7,
  IP_TRUNCATED = 12,
  /** Loopback or multicast addresses where none may be: IPv6 packets like that are dropped on receipt. */
  MARTIAN_ADDRESS = 13,
  /** A fragment whose packet was still incomplete at the end of the input. */
  FRAGMENT_INCOMPLETE = 16,
  /** Hop-by-hop options that are malformed, or of a kind that the host does not know and may not pass over. */
  HOP_BY_HOP = 20,

  // Dropped without a rule.
  NO_ROUTE = 32,
  TTL_EXCEEDED = 33,
  ROUTE_BLACKHOLE = 34,
  ROUTE_UNREACHABLE = 35,
  ROUTE_PROHIBIT = 36,
  TABLE_FULL = 37,
  NOT_FOR_US = 39,
  MARTIAN = 40,
  /** A link-local source that another link would have to answer. */
  BEYOND_SCOPE = 41,
  /** MASQUERADE or REDIRECT where the interface has no address to take. */
  NAT_NO_ADDRESS = 42,
  /** No tuple was free that the binding of a new flow may have. */
  NAT_CLASH = 43,
  /** What belongs to a translated flow and cannot be changed: an ICMP redirect, an error that quotes too little ... */
  NAT_UNTRANSLATABLE = 44,
  /** Longer than the link carries that it would leave by, and not to be cut. */
  MTU_EXCEEDED = 45,
  /** IPv4 options that are malformed. */
  IP_OPTIONS = 56,
  /** IPv4 options that ask for a route (accept_source_route is 0). */
  SOURCE_ROUTE = 57,
  /** A helper does not let the packet pass. */
  HELPER = 58, // (value: HelperFault)
  /** A segment of a connection that a helper rewrites, with options that cannot be read. */
  SEQ_ADJUST = 59,

  // Fragments that reassembly gave up (assembly/fragment.ts).
  FRAGMENT_TIMEOUT = 48,
  FRAGMENT_OVERLAP = 49,
  FRAGMENT_DUPLICATE = 50,
  FRAGMENT_BAD_LENGTH = 51,
  FRAGMENT_TOO_BIG = 52,
  FRAGMENT_MEMORY = 53,
  FRAGMENT_TOO_FAR = 54,
  FRAGMENT_ECN = 55,

  // INVALID, or let through without being believed (kernel: nf_conntrack_log_invalid).
  TRUNCATED_L4 = 64,
  BAD_CHECKSUM = 65,
  TCP_FLAGS = 66,
  TCP_INVALID_NEW = 67,
  TCP_NOT_LOOSE = 68,
  TCP_INVALID_STATE = 69, // (value: index << 16 | dir << 8 | old state)
  TCP_IGNORED_STATE = 70, // (value: as above)
  TCP_CHALLENGE_ACK = 71,
  TCP_INVALID_RST = 72,
  TCP_OVERSHOT = 73, // (value: bytes)
  TCP_SEQ_OVER = 74, // (value: bound)
  TCP_ACK_OVER = 75, // (value: bound)
  TCP_SEQ_UNDER = 76, // (value: bound)
  TCP_ACK_UNDER = 77, // (value: bound)
  ICMP_INVALID_NEW = 78, // (value: type)
  ICMP_BAD_TYPE = 79, // (value: type)
  ICMP_ERROR_SHORT = 80,
  ICMP_ERROR_UNKNOWN_PROTO = 81,
  ICMP_ERROR_NO_FLOW = 82,
  ICMP_ERROR_WRONG_SENDER = 83,
  SCTP_CHUNKS = 96, // (value: chunk number << 25 | flag << 24 | type << 16 | length in host order)
  SCTP_INVALID_NEW = 97,
  SCTP_VTAG_ORIGINAL = 98, // (value: the tag that is right, as a word of the host's byte order)
  SCTP_VTAG_REPLY = 99, // (value: as above)
  SCTP_VTAG_CHUNK = 100, // (value: chunk type)
  SCTP_INVALID_STATE = 101, // (value: old state << 16 | dir << 8 | chunk type)
  UDPLITE_COVERAGE = 102,
  UDPLITE_NO_CHECKSUM = 103,
  GRE_NOT_PPP = 104,
  ICMPV6_REDIRECT_SHORT = 105,
  ICMPV6_REDIRECT_SENDER = 106,
  ICMPV6_REDIRECT_OPTIONS = 107,
  /** A helper did not see the packet, because not all of its bytes were captured. */
  HELPER_CUT_SHORT = 108,
}

/** What is left of a packet for those who want it as it left (Sent.kind). */
export enum SentKind {
  /** The IP packet as far as it was captured, with what helpers changed; addresses, ports and checksums as captured. */
  REWRITTEN = 1,
  /** The tuple that NAT changes one end of the packet to that an ICMP error quotes. */
  QUOTED = 2,
  /** TCPMSS: the most that a segment announces. */
  MSS = 3,
}

/** What a helper says against a packet. */
export enum HelperFault {
  PARTIAL_PORT = 1,
  PARTIAL_EPRT = 2,
  PARTIAL_227 = 3,
  PARTIAL_229 = 4,
  CANNOT_ADD_EXPECTATION = 5,
  SIP_NO_CSEQ = 6,
  SIP_BAD_CSEQ = 7,
  SIP_NO_CODE = 8,
  SIP_BAD_EXPIRES = 9,
  SIP_BAD_SDP = 10,
  SIP_NO_MEDIA = 11,
  ALL_PORTS_IN_USE = 12,
  CANNOT_MANGLE = 13,
  SIP_ALL_PORTS_IN_USE = 14,
  SIP_CANNOT_MANGLE_SDP = 15,
  SIP_CANNOT_NAT = 16,
  /** The kernel says nothing. */
  SILENT = 17,
  RAS_MESSAGE = 18,
  Q931_MESSAGE = 19,
  H245_MESSAGE = 20,
  SNMP_MALFORMED = 21,
  SNMP_PARSER = 22,
}

/** Sysctls the engine reads, in the order of the Sysctls record; `src/topology/sysctl.ts` has names and defaults. */
export enum Sysctl {
  TCP_TIMEOUT_NONE = 0, // unused: keeps TCP timeouts indexed by TcpConntrack
  TCP_TIMEOUT_SYN_SENT = 1,
  TCP_TIMEOUT_SYN_RECV = 2,
  TCP_TIMEOUT_ESTABLISHED = 3,
  TCP_TIMEOUT_FIN_WAIT = 4,
  TCP_TIMEOUT_CLOSE_WAIT = 5,
  TCP_TIMEOUT_LAST_ACK = 6,
  TCP_TIMEOUT_TIME_WAIT = 7,
  TCP_TIMEOUT_CLOSE = 8,
  TCP_TIMEOUT_SYN_SENT2 = 9,
  TCP_TIMEOUT_MAX_RETRANS = 10,
  TCP_TIMEOUT_UNACKNOWLEDGED = 11,
  UDP_TIMEOUT = 12,
  UDP_TIMEOUT_STREAM = 13,
  ICMP_TIMEOUT = 14,
  ICMPV6_TIMEOUT = 15,
  GENERIC_TIMEOUT = 16,
  TCP_LOOSE = 17,
  TCP_BE_LIBERAL = 18,
  TCP_IGNORE_INVALID_RST = 19,
  TCP_MAX_RETRANS = 20,
  CHECKSUM = 21,
  ACCT = 22,
  TIMESTAMP = 23,
  MAX = 24,
  IP_FORWARD = 25,
  IPV6_FORWARDING = 26,
  SCTP_TIMEOUT_NONE = 27, // unused: keeps SCTP timeouts indexed by SctpConntrack
  SCTP_TIMEOUT_CLOSED = 28,
  SCTP_TIMEOUT_COOKIE_WAIT = 29,
  SCTP_TIMEOUT_COOKIE_ECHOED = 30,
  SCTP_TIMEOUT_ESTABLISHED = 31,
  SCTP_TIMEOUT_SHUTDOWN_SENT = 32,
  SCTP_TIMEOUT_SHUTDOWN_RECD = 33,
  SCTP_TIMEOUT_SHUTDOWN_ACK_SENT = 34,
  SCTP_TIMEOUT_HEARTBEAT_SENT = 35,
  GRE_TIMEOUT = 36,
  GRE_TIMEOUT_STREAM = 37,
  BUCKETS = 38,
  IPFRAG_TIME = 39,
  IPFRAG_HIGH_THRESH = 40,
  IPFRAG_MAX_DIST = 41,
  FRAG6_TIMEOUT = 42,
  FRAG6_HIGH_THRESH = 43,
  EXPECT_MAX = 44,
  HELPER = 45,
  COUNT = 46,
}

/** Records of a traced packet (TraceRecord); the numbers each kind holds stand in assembly/trace.ts. */
export enum TraceKind {
  HOOK = 1,
  CHAIN = 2,
  RULE = 3,
  CONNTRACK = 4,
  WINDOW = 5,
  FLOW = 6,
  PEERS = 7,
  ROUTE = 8,
  CHAIN_END = 9,
  ANSWER = 10,
  NAT = 11,
  EXPECTED = 12,
  HELPER = 13,
  EXPECT = 14,
  REWRITE = 15,
  REFUSED = 16,
}

/** Kinds of steps in a hook's list (Step). */
export enum StepKind {
  END = 0,
  /** A base chain. */
  CHAIN = 1,
  /** A base chain of the filter table: its decision is the one that is reported for an accepted packet. */
  FILTER_CHAIN = 2,
  CONNTRACK = 3,
  /** Address translation; its slot is the first chain that may bind the flow. */
  NAT = 4,
  /** Behind NAT: the next chain that may, if none before has. */
  NAT_CHAIN = 5,
}

/** How the elements of a set are found (KeySet). */
export enum SetKind {
  /** Keys that are single values, in a hash table. */
  HASH = 0,
  /** Keys of one part that are ranges: a binary search. */
  RANGES = 1,
  /** Keys of several parts, some of them ranges: one after the other. */
  PARTS = 2,
}

/** Fields that a run of rules is found by (Dimension). */
export enum DispatchField {
  /** A byte: map is u16[256]. */
  L4PROTO = 0,
  CT_STATE = 1,
  TCP_FLAGS = 2,
  /** 16 bits in host order: map is u16[256], a page for the upper byte, then u16[256] for each page. */
  SPORT = 3,
  DPORT = 4,
  TH_SPORT = 5,
  TH_DPORT = 6,
  /** 32 bits, addresses in host order: map is an IntervalMap. */
  MARK = 7,
  SADDR = 8,
  DADDR = 9,
  /** Addresses of 16 bytes. */
  SADDR6 = 10,
  DADDR6 = 11,
  /** Classes of interfaces by the names that rules use: map is u16[classes]. */
  IIF = 12,
  OIF = 13,
}
