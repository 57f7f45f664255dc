// Amanda: the answer to a request of the backup server names the ports of up to four connections (`CONNECT DATA 1 MESG 2`).
// Kernel: net/netfilter/nf_conntrack_amanda.c.

import { expect_source, expect_target } from "../expect";
import { help_of } from "../help";
import { Flow, Packet, World } from "../layout";
import { set_expiry } from "../timer";
import { Dir, Proto, Status } from "../vocabulary";
import { ALL, expect, expectation_of, payload, payload_length, tuple_of } from "./helper";
import { decimal, is_text } from "./text";

/** Answers may take their time. */
const MASTER_TIMEOUT: u64 = 300_000_000_000;
/** Digits of a port. */
const PORT_DIGITS: usize = 5;

export function amanda_help(w: World, flow: Flow, p: Packet): bool {
  if (p.dir == Dir.ORIGINAL) return true;
  if (flow.status & Status.CONFIRMED) set_expiry(w, flow, w.now + MASTER_TIMEOUT);
  const connect = memory.data<u8>([67, 79, 78, 78, 69, 67, 84, 32]); // "CONNECT "
  const newline = memory.data<u8>([10]);
  const length = payload_length(p, false, ALL);
  if (length == 0) return true;
  const text = payload(p, false);
  const start = find(text, text + length, connect, 8);
  if (start == 0) return true;
  const stop = find(start + 8, text + length, newline, 1);
  if (stop == 0) return true;
  return expect_ports(w, flow, p, start + 8, stop);
}

/** Expects a connection for each of DATA, MESG, INDEX and STATE that stands on the line with a port. */
function expect_ports(w: World, flow: Flow, p: Packet, at: usize, end: usize): bool {
  const names = memory.data<u8>([68, 65, 84, 65, 32, 0, 77, 69, 83, 71, 32, 0, 73, 78, 68, 69, 88, 32, 83, 84, 65, 84, 69, 32]); // "DATA MESG INDEX STATE "
  let passes = true;
  for (let i: u32 = 0; i < 4; i++) {
    const length: u32 = i < 2 ? 5 : 6;
    const found = find(at, end, names + i * 6, length);
    if (found == 0) continue;
    const digits = found + length;
    const port = <u16>decimal(digits, min(digits + PORT_DIGITS, end));
    if (port == 0) return passes;
    const original = tuple_of(flow, Dir.ORIGINAL);
    const e = expectation_of(w, help_of(w, flow), Proto.TCP, 0);
    expect_source(e, original);
    expect_target(e, original, bswap<u16>(port));
    if (!expect(w, p, e)) passes = false;
  }
  return passes;
}

/** Where `length` bytes of `pattern` lie first, 0 if nowhere. */
function find(at: usize, end: usize, pattern: usize, length: u32): usize {
  for (; at + length <= end; at++) {
    if (is_text(at, pattern, length)) return at;
  }
  return 0;
}
