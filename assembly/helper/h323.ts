// H.323: calls announce where H.245 is spoken (Q.931, ITU-T H.225.0), and both where media and T.120 go; who registers
// with a gatekeeper says where he may be called (RAS). Kernel: net/netfilter/nf_conntrack_h323_main.c, module parameters
// at their defaults: calls from the gatekeeper only, no expectation for forwarded calls that stay on their side.

import { expect_source } from "../expect";
import { Expectation, Find, Flow, H323, Help, HELPER_SCRATCH, Packet, World } from "../layout";
import { L3 } from "../vocabulary";
import { expectation_of, scratch, tuple_of } from "./helper";
import { FindKind } from "./per";

// @ts-ignore: decorator
@inline export function h323_of(w: World): H323 {
  return changetype<H323>(scratch(w) + HELPER_SCRATCH);
}

/** A find of a message that has been read. */
// @ts-ignore: decorator
@inline export function find_at(w: World, number: u32): Find {
  return changetype<Find>(h323_of(w).finds() + <usize>number * offsetof<Find>());
}

/** The address and port that were read last, as in a tuple. */
let lo: u64 = 0;
let hi: u64 = 0;
let port: u16 = 0;

// @ts-ignore: decorator
@inline export function read_port(): u16 {
  return port;
}

/** Reads an address of the message at `message`. False if it is of another family than the connection. */
export function read_address(flow: Flow, find: Find, message: usize): bool {
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

/** Expects a connection from the other end to the address and port that were read. */
export function other_end(w: World, flow: Flow, help: Help, p: Packet, protonum: u32, number: u32): Expectation {
  const e = expectation_of(w, help, protonum, number);
  expect_source(e, tuple_of(flow, p.dir ^ 1));
  e.dst_lo = lo;
  e.dst_hi = hi;
  e.dport = port;
  return e;
}
