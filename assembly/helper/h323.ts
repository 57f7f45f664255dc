// H.323: calls announce where H.245 is spoken (Q.931, ITU-T H.225.0), and both where media and T.120 go; who registers
// with a gatekeeper says where he may be called (RAS). Kernel: net/netfilter/nf_conntrack_h323_main.c, module parameters
// at their defaults: calls from the gatekeeper only, no expectation for forwarded calls that stay on their side.

import { expect_source, expect_target } from "../expect";
import { Expectation, Find, Flow, H323, Help, HELPER_SCRATCH, Packet, World } from "../layout";
import { L3, Proto } from "../vocabulary";
import { expectation_of, payload, scratch, tuple_of } from "./helper";
import { FindKind } from "./per";
import { replace, written } from "./rewrite";

const ADDRESS_AND_PORT: u32 = 6;

// @ts-ignore: decorator
@inline export function h323_of(w: World): H323 {
  return changetype<H323>(scratch(w) + HELPER_SCRATCH);
}

/** A find of a message that has been read. */
// @ts-ignore: decorator
@inline export function find_at(w: World, number: u32): Find {
  return changetype<Find>(h323_of(w).finds() + <usize>number * offsetof<Find>());
}

/** The message in work: where it stands, and its offset in the payload. */
let message: usize = 0;
let offset: u32 = 0;
/** The address and port that were read last, as in a tuple. */
let lo: u64 = 0;
let hi: u64 = 0;
let port: u16 = 0;

/** A message has been read; its finds are counted from `start`. */
export function set_message(start: usize, offset_in_payload: u32): void {
  message = start;
  offset = offset_in_payload;
}
// @ts-ignore: decorator
@inline export function message_at(): usize {
  return message;
}

/**
 * Puts an address of IPv4 and a port (wire order) in place of a find. In a datagram the kernel takes the message to begin where
 * the payload does from then on: so it does, but for H.245 over UDP (set_addr()).
 */
export function change_address(w: World, p: Packet, find: Find, address: u64, new_port: u16): void {
  const text = written(w);
  store<u32>(text, <u32>address);
  store<u16>(text, new_port, 4);
  replace(w, p, offset + find.value, ADDRESS_AND_PORT, text, ADDRESS_AND_PORT);
  const tcp = p.protonum == Proto.TCP;
  message = payload(p, tcp) + (tcp ? offset : 0);
}

// @ts-ignore: decorator
@inline export function read_port(): u16 {
  return port;
}

/** Reads an address of the message. False if it is of another family than the connection. */
export function read_address(flow: Flow, find: Find): bool {
  const at = message + find.value;
  if (find.kind != (flow.l3num == L3.IPV6 ? FindKind.IPV6 : FindKind.IPV4)) return false;
  const v6 = find.kind == FindKind.IPV6;
  lo = v6 ? load<u64>(at) : load<u32>(at);
  hi = v6 ? load<u64>(at, 8) : 0;
  port = load<u16>(at + (v6 ? 16 : 4));
  return true;
}

/** Is the address that was read the one at `address`? */
// @ts-ignore: decorator
@inline export function is_address(address: usize): bool {
  return lo == load<u64>(address) && hi == load<u64>(address, 8);
}

/** Does it belong to the sender, with a port? */
export function is_senders(flow: Flow, p: Packet): bool {
  return port != 0 && is_address(changetype<usize>(tuple_of(flow, p.dir)));
}

/** Expects a connection from the other end to the address, as that end knows it, and port that were read: the sender's. */
export function from_other_end(w: World, flow: Flow, help: Help, p: Packet, protonum: u32, number: u32): Expectation {
  const e = expectation_of(w, help, protonum, number);
  const other = tuple_of(flow, p.dir ^ 1);
  expect_source(e, other);
  expect_target(e, other, port);
  return e;
}

/** The same, to whomever the address that was read belongs. */
export function from_other_end_to(w: World, flow: Flow, help: Help, p: Packet, protonum: u32): Expectation {
  const e = from_other_end(w, flow, help, p, protonum, 0);
  e.dst_lo = lo;
  e.dst_hi = hi;
  return e;
}
