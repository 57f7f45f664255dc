// How much a connection has carried: net/netfilter/xt_connbytes.c, connbytes_mt().

import { account_of } from "../account";
import { Flow, Packet, World } from "../layout";
import { sysctl } from "../sysctl";
import { Carried, CarriedBy, Sysctl } from "../vocabulary";

/** What rule_connbytes() answers for a packet without an entry, or an entry without counters: never a match. */
const NOT_COUNTED: u32 = 2;

/** 1 if the connection's counter lies between `low` and `high`, 0 if not, 2 if there is none. */
export function rule_connbytes(packet: usize, world: usize, carried: u32, by: u32, low: u64, high: u64): u32 {
  const p = changetype<Packet>(packet);
  const w = changetype<World>(world);
  if (p.flow == 0 || w.accounts == 0 || !sysctl(w, Sysctl.ACCT)) return NOT_COUNTED;
  const account = account_of(w, changetype<Flow>(<usize>p.flow));
  let packets: u64 = 0;
  let bytes: u64 = 0;
  if (by != CarriedBy.REPLY) {
    packets = account.packets_original;
    bytes = account.bytes_original;
  }
  if (by != CarriedBy.ORIGINAL) {
    packets += account.packets_reply;
    bytes += account.bytes_reply;
  }
  let value = packets;
  if (carried == Carried.BYTES) value = bytes;
  else if (carried == Carried.AVERAGE) value = packets ? bytes / packets : 0;
  return value >= low && value <= high;
}
