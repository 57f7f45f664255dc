// SNMP behind NAT: values that are the address of the translated client become what the other side knows (RFC 2962).
// Kernel: net/ipv4/netfilter/nf_nat_snmp_basic_main.c, nf_nat_snmp_basic.asn1.
//
// A message that is not as SNMPv1 and SNMPv2c have it may not pass: nothing of SNMPv3, and of SNMPv1 no trap. The kernel's
// description of it says of each alternative that it may be left out, so that a message may have no PDU, or several, and a
// variable no value.

import { be16 } from "../bytes";
import { Flow, Packet, World } from "../layout";
import { Dir, HelperFault, Proto } from "../vocabulary";
import { begin_ber, enter, find, go_in, goes_on, has_matched, leave, move_ber, pass, skip, value_at, value_size } from "./ber";
import { broadcast_help } from "./broadcast";
import { ALL, payload, payload_length, refuse, tuple_of, UDP_HEADER } from "./helper";
import { is_translated, replace, written } from "./rewrite";

/** Ports in wire order. */
const SNMP_PORT: u16 = 0xa100; // 161
const TRAP_PORT: u16 = 0xa200; // 162

/** The newest version that is read: SNMPv2c. */
const VERSION_MAX: u8 = 1;

const INTEGER: u32 = 0x02;
const OCTET_STRING: u32 = 0x04;
const OBJECT_IDENTIFIER: u32 = 0x06;
const SEQUENCE: u32 = 0x30;
const IP_ADDRESS: u32 = 0x40;

/** Tags of PDUs (RFC 3416 section 3) in the order in which they may follow each other. */
const PDUS: usize = memory.data<u8>([0xa0, 0xa1, 0xa5, 0xa2, 0xa3, 0xa6, 0xa7, 0xa8]);
const PDU_COUNT: u32 = 8;

/** With a value: it counts only if there is no other before it. */
const ALONE: u8 = 1;
/** Tag of each kind of value, and what is special about it, in the order in which they may follow each other. */
const VALUES: usize = memory.data<u8>([
  0x02, 0, 0x04, ALONE, 0x06, ALONE, // integer, string, object
  0x40, 0, 0x41, 0, 0x43, 0, 0x44, 0, 0x46, 0, 0x42, 0, // IpAddress, Counter32, TimeTicks, Opaque, Counter64, Unsigned32
  0x05, ALONE, 0x80, ALONE, 0x81, ALONE, 0x82, ALONE, // nothing, noSuchObject, noSuchInstance, endOfMibView
]);
const VALUE_COUNT: u32 = 13;

/** The helper `snmp`: answers to broadcasts, and what NAT asks for. */
export function snmp_help(w: World, flow: Flow, p: Packet): bool {
  broadcast_help(w, flow, p, SNMP_PORT);
  return snmp_trap_help(w, flow, p);
}

/** The helper `snmp_trap`: only what NAT asks for. */
export function snmp_trap_help(w: World, flow: Flow, p: Packet): bool {
  if (!is_translated(flow)) return true;
  if (p.protonum == Proto.UDP && p.sport == SNMP_PORT && p.dir != Dir.REPLY) return true;
  if (p.protonum == Proto.UDP && p.dport == TRAP_PORT && p.dir != Dir.ORIGINAL) return true;
  // An ICMP error about a packet of the flow is taken for one, too.
  if (p.l4_captured < UDP_HEADER || be16(p.l4 + 4) != p.l4_len) return refuse(p, HelperFault.SNMP_MALFORMED);
  const from = <u32>tuple_of(flow, Dir.ORIGINAL).src_lo;
  const to = <u32>tuple_of(flow, Dir.REPLY).dst_lo;
  if (from == to) return true;
  const length = payload_length(p, false, ALL);
  if (length == 0 && p.l4_len > UDP_HEADER) return true;
  begin_ber(payload(p, false), length);
  return read_message(w, p, from, to) || refuse(p, HelperFault.SNMP_PARSER);
}

/** Goes over a message and changes one address to another. False if it is none. */
function read_message(w: World, p: Packet, from: u32, to: u32): bool {
  if (!enter(SEQUENCE)) return false;
  const outer = go_in();
  if (!enter(INTEGER) || value_size() != 1 || load<u8>(payload(p, false) + value_at()) > VERSION_MAX) return false;
  pass();
  if (!skip(OCTET_STRING)) return false;
  for (let i: u32 = 0; i < PDU_COUNT; i++) {
    if (find(load<u8>(PDUS + i)) && !read_pdu(w, p, from, to)) return false;
  }
  return has_matched() && leave(outer);
}

function read_pdu(w: World, p: Packet, from: u32, to: u32): bool {
  const outer = go_in();
  if (!skip(INTEGER) || !skip(INTEGER) || !skip(INTEGER) || !enter(SEQUENCE)) return false;
  const list = go_in();
  do {
    if (!read_variable(w, p, from, to)) return false;
  } while (goes_on(list));
  return leave(list) && leave(outer);
}

function read_variable(w: World, p: Packet, from: u32, to: u32): bool {
  if (!enter(SEQUENCE)) return false;
  const outer = go_in();
  if (!skip(OBJECT_IDENTIFIER)) return false;
  for (let i: u32 = 0; i < VALUE_COUNT; i++) {
    const tag = <u32>load<u8>(VALUES + i * 2);
    if ((load<u8>(VALUES + i * 2, 1) == ALONE && has_matched()) || !find(tag)) continue;
    if (tag == IP_ADDRESS && !change_address(w, p, from, to)) return false;
    pass();
  }
  return has_matched() && leave(outer);
}

function change_address(w: World, p: Packet, from: u32, to: u32): bool {
  if (value_size() != 4) return false;
  if (load<u32>(payload(p, false) + value_at()) != from) return true;
  store<u32>(written(w), to);
  if (!replace(w, p, value_at(), 4, written(w), 4)) return false;
  move_ber(payload(p, false));
  return true;
}
