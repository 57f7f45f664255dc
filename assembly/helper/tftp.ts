// TFTP: the server answers a request from a port of its own choice (RFC 1350 section 4).
// Kernel: net/netfilter/nf_conntrack_tftp.c.

import { be16 } from "../bytes";
import { expect_source, expect_target } from "../expect";
import { help_of } from "../help";
import { Flow, Packet, World } from "../layout";
import { Dir, Proto } from "../vocabulary";
import { expect, expectation_of, payload, payload_length, tuple_of } from "./helper";
import { follow_master, is_translated } from "./rewrite";

const OPCODE_BYTES: u32 = 2;
const READ_REQUEST: u32 = 1;
const WRITE_REQUEST: u32 = 2;

export function tftp_help(w: World, flow: Flow, p: Packet): bool {
  if (payload_length(p, false, OPCODE_BYTES) < OPCODE_BYTES) return true;
  const opcode = be16(payload(p, false));
  if (opcode != READ_REQUEST && opcode != WRITE_REQUEST) return true;
  const reply = tuple_of(flow, Dir.REPLY);
  const e = expectation_of(w, help_of(w, flow), Proto.UDP, 0);
  expect_source(e, reply);
  expect_target(e, reply, reply.dport);
  if (is_translated(flow)) follow_master(e, Dir.REPLY, flow.sport);
  return expect(w, p, e);
}
