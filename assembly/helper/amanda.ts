// Amanda: the answer to a request of the backup server names the ports of up to four connections (`CONNECT DATA 1 MESG 2`).
// Kernel: net/netfilter/nf_conntrack_amanda.c, nf_nat_amanda.c.

import { bswap16 } from "../bytes";
import { expect_source, expect_target, unlink_expectation } from "../expect";
import { put_u32 } from "../format/write";
import { help_of } from "../help";
import { Expectation, Flow, Packet, World } from "../layout";
import { set_expiry } from "../timer";
import { Dir, HelperFault, Proto, Status } from "../vocabulary";
import { ALL, expect, expect_port, expectation_of, payload, payload_length, refuse, tuple_of } from "./helper";
import { follow_master, is_translated, replace, written } from "./rewrite";
import { decimal, end_of_decimal, is_text } from "./text";

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
  return expect_ports(w, flow, p, start + 8 - text, stop - text);
}

/** Expects a connection for each of DATA, MESG, INDEX and STATE that stands on the line with a port; offsets of the payload. */
function expect_ports(w: World, flow: Flow, p: Packet, start: usize, stop: usize): bool {
  // "DATA MESG INDEX STATE "
  const names = memory.data<u8>([
    68, 65, 84, 65, 32, 0, 77, 69, 83, 71, 32, 0, 73, 78, 68, 69, 88, 32, 83, 84, 65, 84, 69, 32,
  ]);
  let passes = true;
  for (let i: u32 = 0; i < 4; i++) {
    // Where a port became longer or shorter, the line still ends where it did.
    const text = payload(p, false);
    const length: u32 = i < 2 ? 5 : 6;
    const end = min(text + stop, p.l4 + p.l4_captured);
    const found = find(text + start, end, names + i * 6, length);
    if (found == 0) continue;
    const digits = found + length;
    const port = bswap<u16>(<u16>decimal(digits, min(digits + PORT_DIGITS, end)));
    if (port == 0) return passes;
    const original = tuple_of(flow, Dir.ORIGINAL);
    const e = expectation_of(w, help_of(w, flow), Proto.TCP, 0);
    expect_source(e, original);
    expect_target(e, original, port);
    if (is_translated(flow)) passes = announce(w, p, e, port, <u32>(digits - text), <u32>(end_of_decimal() - digits));
    else if (!expect(w, p, e)) passes = false;
  }
  return passes;
}

/** Expects the connection at this port or another one, and says so in place of the digits. */
function announce(w: World, p: Packet, e: Expectation, port: u16, offset: u32, length: u32): bool {
  follow_master(e, Dir.ORIGINAL, port);
  const made = expect_port(w, p, e, port);
  if (changetype<usize>(made) == 0) return false;
  const text = written(w);
  if (replace(w, p, offset, length, text, <u32>(put_u32(text, bswap16(made.dport)) - text))) return true;
  unlink_expectation(w, made, 0, true);
  return refuse(p, HelperFault.CANNOT_MANGLE);
}

/** Where `length` bytes of `pattern` lie first, 0 if nowhere. */
function find(at: usize, end: usize, pattern: usize, length: u32): usize {
  for (; at + length <= end; at++) {
    if (is_text(at, pattern, length)) return at;
  }
  return 0;
}
