// How do messages of H.245 look, as far as it takes to find where media and T.120 shall go? (ITU-T H.245, version 7)
//
// Only OpenLogicalChannel and its acknowledgement are looked into. The words are explained in per.ts.

import {
  ADDRESS, BITS, CHOICE, DOTS, END, EXTENSIBLE, FOR, IN_LENGTH, LIST, LIVE, NUMBER, OCTETS, ONLY, OPTIONAL, PLAIN, SEQUENCE, STOP,
  STRING, TOLD,
} from "./per";

/** What finds in messages of H.245, H.225.0 and RAS are for. */
export enum Role {
  NONE = 0,
  /** A message of H.245 begins: which kind. */
  CONTROL = 1,
  /** An OpenLogicalChannel begins, or an acknowledgement. */
  CHANNEL = 2,
  CHANNEL_ACK = 3,
  /** The protocol of T.120 data in the channel (DataProtocolCapability). */
  DATA_PROTOCOL = 4,
  MEDIA = 5,
  T120 = 6,
  /** Where H.245 is spoken. */
  H245 = 7,
  /** The number that a call goes on to, and why (FacilityReason). */
  FORWARDED_TO = 8,
  FACILITY_REASON = 9,
  /** Which message of RAS it is (RasMessage). */
  RAS_MESSAGE = 10,
  RAS_ADDRESS = 11,
  CALL_SIGNAL = 12,
  LIFETIME = 13,
  /** Where a call goes to, and where it comes from. */
  CALLED = 14,
  CALLER = 15,
}

export const NOTHING: usize = memory.data<u32>([BITS, 0]);
export const BOOLEAN: usize = memory.data<u32>([BITS, 1]);
export const OCTET: usize = memory.data<u32>([OCTETS, 1]);
export const WORD: usize = memory.data<u32>([OCTETS, 2]);
export const LONG: usize = memory.data<u32>([NUMBER]);
export const OCTETS_4: usize = memory.data<u32>([OCTETS, 4]);
export const OCTETS_6: usize = memory.data<u32>([OCTETS, 6]);
export const OCTETS_16: usize = memory.data<u32>([OCTETS, 16]);
export const OCTET_STRING: usize = memory.data<u32>([STRING, IN_LENGTH, 0, 8]);
export const OBJECT: usize = memory.data<u32>([STRING, 64, 0, 8]);
/** OCTET STRING (SIZE(1..20)), as NSAP addresses are. */
export const NSAP: usize = memory.data<u32>([STRING, 5, 1, 8]);
/** Up to 128 digits in four bits each. */
export const DIGITS: usize = memory.data<u32>([STRING, 7, 1, 4]);
const DIGITS_16: usize = memory.data<u32>([STRING, 4, 1, 4]);
const BITS_2: usize = memory.data<u32>([BITS, 2]);
const BITS_4: usize = memory.data<u32>([BITS, 4]);
const BITS_5: usize = memory.data<u32>([BITS, 5]);
const BITS_7: usize = memory.data<u32>([BITS, 7]);
const BITS_8: usize = memory.data<u32>([BITS, 8]);
/** OCTET STRING (SIZE(2)) is not aligned. */
export const OCTETS_2: usize = memory.data<u32>([BITS, 16]);

/** Choices between names only; the numbers say how many. */
const EITHER: usize = memory.data<u32>([CHOICE, 1, 2, 2, END]);
export const EITHER_OPEN: usize = memory.data<u32>([CHOICE | EXTENSIBLE, 1, 2, 2, END]);
const ONE_OF_3: usize = memory.data<u32>([CHOICE | EXTENSIBLE, 2, 3, 3, END]);

const H221: usize = memory.data<u32>([SEQUENCE, 0, 0, PLAIN, OCTET, PLAIN, OCTET, PLAIN, WORD, END]);
const IDENTIFIER: usize = memory.data<u32>([CHOICE, 1, 2, 2, PLAIN, OBJECT, PLAIN, H221, END]);
const NON_STANDARD: usize = memory.data<u32>([SEQUENCE, 0, 0, PLAIN, IDENTIFIER, PLAIN, OCTET_STRING, END]);
const NON_STANDARDS: usize = memory.data<u32>([LIST, 0, PLAIN, NON_STANDARD]);

const H261_VIDEO: usize = memory.data<u32>([
  SEQUENCE | EXTENSIBLE, 2, 1,
  OPTIONAL, BITS_2, OPTIONAL, BITS_2, // qcifMPI, cifMPI
  PLAIN, BOOLEAN, PLAIN, WORD, PLAIN, BOOLEAN, // ..., maxBitRate, ...
  END,
]);
const BOOLEANS_11: usize = memory.data<u32>([BITS, 11]);
const H262_VIDEO: usize = memory.data<u32>([
  SEQUENCE | EXTENSIBLE, 6, 1,
  PLAIN, BOOLEANS_11, // profiles and levels
  OPTIONAL, LONG, OPTIONAL, LONG, // videoBitRate, vbvBufferSize
  OPTIONAL, WORD, OPTIONAL, WORD, OPTIONAL, BITS_4, // samplesPerLine, linesPerFrame, framesPerSecond
  OPTIONAL, LONG, // luminanceSampleRate
  END,
]);
const BOOLEANS_5: usize = memory.data<u32>([BITS, 5]);
const H263_VIDEO: usize = memory.data<u32>([
  SEQUENCE | EXTENSIBLE, 7, 8,
  OPTIONAL, BITS_5, OPTIONAL, BITS_5, OPTIONAL, BITS_5, OPTIONAL, BITS_5, OPTIONAL, BITS_5, // ...MPI
  PLAIN, LONG, PLAIN, BOOLEANS_5, // maxBitRate, what it can
  OPTIONAL, LONG, OPTIONAL, WORD, // hrd-B, bppMaxKb
  END,
]);
const IS11172_VIDEO: usize = memory.data<u32>([
  SEQUENCE | EXTENSIBLE, 6, 1,
  PLAIN, BOOLEAN,
  OPTIONAL, LONG, OPTIONAL, LONG, // videoBitRate, vbvBufferSize
  OPTIONAL, WORD, OPTIONAL, WORD, OPTIONAL, BITS_4, // samplesPerLine, linesPerFrame, pictureRate
  OPTIONAL, LONG, // luminanceSampleRate
  END,
]);
const VIDEO: usize = memory.data<u32>([
  CHOICE | EXTENSIBLE, 3, 5, 6,
  PLAIN, NON_STANDARD, PLAIN, H261_VIDEO, PLAIN, H262_VIDEO, PLAIN, H263_VIDEO, PLAIN, IS11172_VIDEO,
  END,
]);

const G7231: usize = memory.data<u32>([SEQUENCE, 0, 0, PLAIN, OCTET, PLAIN, BOOLEAN, END]);
const BOOLEANS_8: usize = memory.data<u32>([BITS, 8]);
const BOOLEANS_20: usize = memory.data<u32>([BITS, 20]);
const IS11172_AUDIO: usize = memory.data<u32>([SEQUENCE | EXTENSIBLE, 0, 0, PLAIN, BOOLEANS_8, PLAIN, WORD, END]);
const IS13818_AUDIO: usize = memory.data<u32>([SEQUENCE | EXTENSIBLE, 0, 0, PLAIN, BOOLEANS_20, PLAIN, WORD, END]);
const AUDIO: usize = memory.data<u32>([
  CHOICE | EXTENSIBLE, 4, 14, 22,
  PLAIN, NON_STANDARD,
  PLAIN, OCTET, PLAIN, OCTET, PLAIN, OCTET, PLAIN, OCTET, // g711...: frames in a packet
  PLAIN, OCTET, PLAIN, OCTET, PLAIN, OCTET, // g722...
  PLAIN, G7231,
  PLAIN, OCTET, PLAIN, OCTET, PLAIN, OCTET, // g728, g729, g729AnnexA
  PLAIN, IS11172_AUDIO, PLAIN, IS13818_AUDIO,
  END,
]);

/** DataProtocolCapability; alternative 10 is separateLANStack. */
const DATA_PROTOCOL: usize = memory.data<u32>([CHOICE | EXTENSIBLE | TOLD, 3, 7, 14, PLAIN, NON_STANDARD, END]);
export const SEPARATE_LAN_STACK: u32 = 10;
const BOOLEANS_19: usize = memory.data<u32>([BITS, 19]);
const T84_RESTRICTED: usize = memory.data<u32>([SEQUENCE | EXTENSIBLE, 0, 0, PLAIN, BOOLEANS_19, END]);
const T84_PROFILE: usize = memory.data<u32>([CHOICE, 1, 2, 2, PLAIN, NOTHING, PLAIN, T84_RESTRICTED, END]);
const T84: usize = memory.data<u32>([SEQUENCE, 0, 0, PLAIN, DATA_PROTOCOL, PLAIN, T84_PROFILE, END]);
const NLPID: usize = memory.data<u32>([SEQUENCE, 0, 0, PLAIN, DATA_PROTOCOL, PLAIN, OCTET_STRING, END]);
const APPLICATION: usize = memory.data<u32>([
  CHOICE | EXTENSIBLE, 4, 10, 14,
  PLAIN, NON_STANDARD,
  LIVE | <u32>Role.DATA_PROTOCOL * FOR, DATA_PROTOCOL, // t120
  PLAIN, DATA_PROTOCOL, PLAIN, DATA_PROTOCOL, // dsm-cc, userData
  PLAIN, T84,
  PLAIN, DATA_PROTOCOL, PLAIN, DATA_PROTOCOL, // t434, h224
  PLAIN, NLPID,
  PLAIN, NOTHING, // dsvdControl
  PLAIN, DATA_PROTOCOL, // h222DataPartitioning
  END,
]);
const DATA: usize = memory.data<u32>([SEQUENCE | EXTENSIBLE, 0, 0, LIVE, APPLICATION, PLAIN, LONG, END]);
const ENCRYPTION: usize = memory.data<u32>([CHOICE | EXTENSIBLE, 1, 2, 2, PLAIN, NON_STANDARD, END]);
const DATA_TYPE: usize = memory.data<u32>([
  CHOICE | EXTENSIBLE, 3, 6, 9,
  PLAIN, NON_STANDARD, PLAIN, NOTHING, PLAIN, VIDEO, PLAIN, AUDIO, LIVE, DATA, PLAIN, ENCRYPTION,
  END,
]);

const H222: usize = memory.data<u32>([
  SEQUENCE | EXTENSIBLE, 3, 0,
  PLAIN, WORD, PLAIN, WORD, OPTIONAL, WORD, // resourceID, subChannelID, pcr-pid
  OPTIONAL, OCTET_STRING, OPTIONAL, OCTET_STRING, // descriptors
  END,
]);
const AL3: usize = memory.data<u32>([SEQUENCE, 0, 0, PLAIN, BITS_2, PLAIN, LONG, END]);
const ADAPTATION_LAYER: usize = memory.data<u32>([
  CHOICE | EXTENSIBLE, 3, 6, 9,
  PLAIN, NON_STANDARD, PLAIN, NOTHING, PLAIN, NOTHING, PLAIN, NOTHING, PLAIN, NOTHING, PLAIN, AL3,
  END,
]);
const H223: usize = memory.data<u32>([SEQUENCE | EXTENSIBLE, 0, 0, PLAIN, ADAPTATION_LAYER, PLAIN, BOOLEAN, END]);
const HDLC: usize = memory.data<u32>([SEQUENCE | EXTENSIBLE, 0, 0, PLAIN, ONE_OF_3, PLAIN, WORD, PLAIN, BOOLEAN, END]);
const ERROR_RECOVERY: usize = memory.data<u32>([SEQUENCE | EXTENSIBLE, 0, 0, PLAIN, BITS_7, PLAIN, ONE_OF_3, END]);
const V76_MODE: usize = memory.data<u32>([CHOICE | EXTENSIBLE, 1, 2, 2, PLAIN, ERROR_RECOVERY, END]);
const V75: usize = memory.data<u32>([SEQUENCE | EXTENSIBLE, 0, 0, PLAIN, BOOLEAN, END]);
const V76: usize = memory.data<u32>([
  SEQUENCE | EXTENSIBLE, 0, 0,
  PLAIN, HDLC, PLAIN, ONE_OF_3, PLAIN, BOOLEAN, PLAIN, V76_MODE, PLAIN, V75,
  END,
]);

const IP4: usize = memory.data<u32>([ADDRESS, 4]);
const IP6: usize = memory.data<u32>([ADDRESS, 16]);
/** The port follows its address at once. */
const IP_ADDRESS: usize = memory.data<u32>([SEQUENCE | EXTENSIBLE, 0, 0, LIVE, IP4, PLAIN, WORD, END]);
export const IP6_ADDRESS: usize = memory.data<u32>([SEQUENCE | EXTENSIBLE, 0, 0, LIVE, IP6, PLAIN, WORD, END]);
/** In H.225.0 the one for IPv4 cannot be extended. */
export const IP_ADDRESS_ALONE: usize = memory.data<u32>([SEQUENCE, 0, 0, LIVE, IP4, PLAIN, WORD, END]);
const IPX_ADDRESS: usize = memory.data<u32>([SEQUENCE | EXTENSIBLE, 0, 0, PLAIN, OCTETS_6, PLAIN, OCTETS_4, PLAIN, OCTETS_2, END]);
export const ROUTE: usize = memory.data<u32>([LIST, 0, PLAIN, OCTETS_4]);
const SOURCE_ROUTE: usize = memory.data<u32>([
  SEQUENCE | EXTENSIBLE, 0, 0,
  PLAIN, EITHER, PLAIN, OCTETS_4, PLAIN, WORD, PLAIN, ROUTE, // strict or loose, address, port, route
  END,
]);
const UNICAST: usize = memory.data<u32>([
  CHOICE | EXTENSIBLE, 3, 5, 7,
  LIVE, IP_ADDRESS, PLAIN, IPX_ADDRESS, LIVE, IP6_ADDRESS, PLAIN, OCTETS_16, PLAIN, SOURCE_ROUTE, // the fourth is NetBIOS
  END,
]);
const MULTICAST: usize = memory.data<u32>([CHOICE | EXTENSIBLE, 1, 2, 4, PLAIN, IP_ADDRESS, PLAIN, IP6_ADDRESS, END]);
const TRANSPORT: usize = memory.data<u32>([CHOICE | EXTENSIBLE, 1, 2, 2, LIVE, UNICAST, PLAIN, MULTICAST, END]);

const MEDIA: u32 = <u32>Role.MEDIA * FOR | LIVE | OPTIONAL;
const H2250: usize = memory.data<u32>([
  SEQUENCE | EXTENSIBLE, 10, 3,
  OPTIONAL, NON_STANDARDS, PLAIN, OCTET, OPTIONAL, BITS_8, // ..., sessionID, associatedSessionID
  MEDIA, TRANSPORT, OPTIONAL, BOOLEAN, MEDIA, TRANSPORT, // mediaChannel, ..., mediaControlChannel
  STOP, NOTHING,
  END,
]);
const H2250_ACK: usize = memory.data<u32>([
  SEQUENCE | EXTENSIBLE, 5, 2,
  OPTIONAL, NON_STANDARDS, OPTIONAL, BITS_8, // ..., sessionID
  MEDIA, TRANSPORT, MEDIA, TRANSPORT, // mediaChannel, mediaControlChannel
  OPTIONAL, BITS_5, // dynamicRTPPayloadType
  END,
]);

const Q2931_NUMBER: usize = memory.data<u32>([CHOICE | EXTENSIBLE, 1, 2, 2, PLAIN, DIGITS_16, PLAIN, NSAP, END]);
const Q2931: usize = memory.data<u32>([SEQUENCE | EXTENSIBLE, 1, 0, PLAIN, Q2931_NUMBER, OPTIONAL, NSAP, END]);
const NETWORK_ADDRESS: usize = memory.data<u32>([CHOICE | EXTENSIBLE, 2, 3, 3, PLAIN, Q2931, PLAIN, DIGITS, LIVE, TRANSPORT, END]);
const REFERENCE: usize = memory.data<u32>([STRING, 8, 1, 8]);
/** NetworkAccessParameters: where a separate stack is reached. */
const ACCESS: usize = memory.data<u32>([
  SEQUENCE | EXTENSIBLE, 2, 1,
  OPTIONAL, EITHER_OPEN, LIVE, NETWORK_ADDRESS, PLAIN, BOOLEAN, OPTIONAL, REFERENCE,
  END,
]);

const FORWARD_MULTIPLEX: usize = memory.data<u32>([
  CHOICE | EXTENSIBLE, 2, 3, 5,
  PLAIN, H222, PLAIN, H223, PLAIN, V76, LIVE, H2250,
  END,
]);
const FORWARD: usize = memory.data<u32>([
  SEQUENCE | EXTENSIBLE, 1, 2,
  OPTIONAL, WORD, LIVE, DATA_TYPE, LIVE, FORWARD_MULTIPLEX,
  END,
]);
const REVERSE_MULTIPLEX: usize = memory.data<u32>([CHOICE | EXTENSIBLE, 1, 2, 3, PLAIN, H223, PLAIN, V76, LIVE, H2250, END]);
const REVERSE: usize = memory.data<u32>([SEQUENCE | EXTENSIBLE, 1, 2, PLAIN, DATA_TYPE, LIVE | OPTIONAL, REVERSE_MULTIPLEX, END]);
export const OPEN_CHANNEL: usize = memory.data<u32>([
  SEQUENCE | EXTENSIBLE | TOLD, 1, 2,
  PLAIN, WORD, LIVE, FORWARD, LIVE | OPTIONAL, REVERSE,
  DOTS, 0,
  LIVE | <u32>Role.T120 * FOR, ACCESS, // separateStack
  STOP, NOTHING,
  END,
]);

const REVERSE_ACK_MULTIPLEX: usize = memory.data<u32>([CHOICE | EXTENSIBLE, 0, 1, 2, PLAIN, H222, LIVE, H2250, END]);
const REVERSE_ACK: usize = memory.data<u32>([
  SEQUENCE | EXTENSIBLE, 2, 1,
  PLAIN, WORD, OPTIONAL, WORD, LIVE | OPTIONAL, REVERSE_ACK_MULTIPLEX,
  END,
]);
const FORWARD_ACK: usize = memory.data<u32>([CHOICE | EXTENSIBLE, 0, 1, 1, LIVE, H2250_ACK, END]);
const CHANNEL_ACK: usize = memory.data<u32>([
  SEQUENCE | EXTENSIBLE | TOLD, 1, 3,
  PLAIN, WORD, LIVE | OPTIONAL, REVERSE_ACK,
  DOTS, 0,
  LIVE | <u32>Role.T120 * FOR, ACCESS, // separateStack
  LIVE, FORWARD_ACK,
  STOP, NOTHING,
  END,
]);

const REQUEST: usize = memory.data<u32>([
  CHOICE | EXTENSIBLE | ONLY, 4, 11, 15,
  PLAIN, NOTHING, PLAIN, NOTHING, PLAIN, NOTHING, LIVE | <u32>Role.CHANNEL * FOR, OPEN_CHANNEL,
  END,
]);
const RESPONSE: usize = memory.data<u32>([
  CHOICE | EXTENSIBLE | ONLY, 5, 19, 24,
  PLAIN, NOTHING, PLAIN, NOTHING, PLAIN, NOTHING, PLAIN, NOTHING, PLAIN, NOTHING, LIVE | <u32>Role.CHANNEL_ACK * FOR, CHANNEL_ACK,
  END,
]);
/** MultimediaSystemControlMessage: request, response, command, indication. */
export const CONTROL_MESSAGE: usize = memory.data<u32>([
  CHOICE | EXTENSIBLE | ONLY | TOLD, 2, 4, 4,
  LIVE, REQUEST, LIVE, RESPONSE,
  END,
]);
