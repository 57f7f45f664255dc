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
  const value = carried_by(w, changetype<Flow>(<usize>p.flow), carried, by);
  return value >= low && value <= high;
}

/** What nft's `ct packets`, `bytes` and `avgpkt` are of a packet with an entry: 0 where nothing is counted. */
export function rule_ct_counter(packet: usize, world: usize, carried: u32, by: u32): u64 {
  const w = changetype<World>(world);
  const p = changetype<Packet>(packet);
  if (p.flow == 0 || w.accounts == 0 || !sysctl(w, Sysctl.ACCT)) return 0;
  return carried_by(w, changetype<Flow>(<usize>p.flow), carried, by);
}

function carried_by(w: World, flow: Flow, carried: u32, by: u32): u64 {
  const account = account_of(w, flow);
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
  if (carried == Carried.BYTES) return bytes;
  if (carried == Carried.AVERAGE) return packets ? bytes / packets : 0;
  return packets;
}
