// SANE: the port of the data connection stands in the answer to SANE_NET_START (SANE network protocol, section 5.2.7).
// Kernel: net/netfilter/nf_conntrack_sane.c.

import { expect_source, expect_target } from "../expect";
import { help_of } from "../help";
import { Flow, Packet, World } from "../layout";
import { CtState, Dir, Proto } from "../vocabulary";
import { expect, expectation_of, payload, payload_length, tuple_of } from "./helper";

// Request: procedure, handle; answer: status, zero, port. Numbers as they lie in the packet.
const MESSAGE: u32 = 8;
const SANE_NET_START: u32 = 0x07000000;
const SANE_STATUS_SUCCESS: u32 = 0;

export function sane_help(w: World, flow: Flow, p: Packet): bool {
  if (p.ct_state != CtState.ESTABLISHED) return true;
  const length = payload_length(p, true, MESSAGE);
  if (length == 0) return true;
  const help = help_of(w, flow);
  const message = payload(p, true);
  // What is remembered (Help.data): 1 while the answer to a start is awaited.
  if (p.dir == Dir.ORIGINAL) {
    if (length == MESSAGE) help.data = load<u32>(message) == SANE_NET_START ? 1 : 0;
    return true;
  }
  if (help.data == 0) return true;
  help.data = 0;
  if (length < MESSAGE || load<u32>(message) != SANE_STATUS_SUCCESS || load<u16>(message, 4) != 0) return true;
  const original = tuple_of(flow, Dir.ORIGINAL);
  const e = expectation_of(w, help, Proto.TCP, 0);
  expect_source(e, original);
  expect_target(e, original, load<u16>(message, 6));
  return expect(w, p, e);
}
