// Tuples: hash, equality, inverse.
//
// The hash is symmetric: both directions of a flow without NAT hash alike, so one slot of the index serves both and a
// packet's shard does not depend on its direction. ICMP takes part with its id alone, because a query and its answer
// differ in type.

import { Tuple } from "./layout";
import { icmp_inverse, icmpv6_inverse } from "./wire/icmp";
import { Proto } from "./vocabulary";

const MIX_1: u64 = 0x9e3779b97f4a7c15;
const MIX_2: u64 = 0xff51afd7ed558ccd;

/** Hashing is seeded per run, so that a capture cannot be built to collide. Set by init(); no output depends on it. */
let seed: u64 = 0;

export function seed_hash(value: u64): void {
  seed = value;
}

/** Protocols whose tuple holds the first two 16-bit words of the transport header (kernel: nf_ct_get_tuple_ports()). */
export function has_ports(protonum: u32): bool {
  return protonum == Proto.TCP || protonum == Proto.UDP || protonum == Proto.SCTP || protonum == Proto.UDPLITE;
}

/** A key of another kind, hashed with the seed. */
export function seeded(key: u64): u64 {
  const h = (key ^ seed) * MIX_1;
  return (h ^ (h >> 32)) * MIX_2 >> 32;
}

// @ts-ignore: decorator
@inline function endpoint(lo: u64, hi: u64, port: u64): u64 {
  let h = (lo ^ seed) * MIX_1;
  h = (h ^ (h >> 32) ^ hi) * MIX_2;
  return (h ^ (h >> 29) ^ port) * MIX_1;
}

/** Symmetric hash of a tuple; never 0. */
export function tuple_hash(t: Tuple): u32 {
  const icmp = is_icmp(t.protonum);
  const source = endpoint(t.src_lo, t.src_hi, t.sport);
  const target = endpoint(t.dst_lo, t.dst_hi, icmp ? t.sport : t.dport);
  return join_endpoints(source + target, t.protonum);
}

/** tuple_hash() of IPv4 with ports: `ports` holds both as they lie in the packet. */
// @ts-ignore: decorator
@inline export function ports_hash(src: u32, dst: u32, ports: u32, protonum: u32): u32 {
  return join_endpoints(endpoint(src, 0, ports & 0xffff) + endpoint(dst, 0, ports >> 16), protonum);
}

/** Symmetric hash of the addresses of a tuple. */
export function pair_hash(t: Tuple): u32 {
  return join_endpoints(endpoint(t.src_lo, t.src_hi, 0) + endpoint(t.dst_lo, t.dst_hi, 0), t.l3num);
}

// @ts-ignore: decorator
@inline function join_endpoints(sum: u64, protonum: u64): u32 {
  const h = (sum ^ (sum >> 32) ^ protonum) * MIX_2;
  const folded = <u32>(h >> 32) ^ <u32>h;
  return folded == 0 ? 1 : folded;
}

// @ts-ignore: decorator
@inline export function tuple_equal(a: usize, b: usize): bool {
  return v128.any_true(v128.or(
    v128.or(v128.xor(v128.load(a), v128.load(b)), v128.xor(v128.load(a, 16), v128.load(b, 16))),
    i64x2.splat(load<u64>(a, 32) ^ load<u64>(b, 32)),
  )) == false;
}

// @ts-ignore: decorator
@inline export function is_icmp(protonum: u32): bool {
  return protonum == Proto.ICMP || protonum == Proto.ICMPV6;
}

/** Is `a` with addresses and ports swapped the same as `b`? The inverse of what is not ICMP, zone included. */
// @ts-ignore: decorator
@inline export function tuple_is_reverse(a: usize, b: usize): bool {
  const rest = (rotl<u32>(load<u32>(a, 32), 16) ^ load<u32>(b, 32)) | (load<u32>(a, 36) ^ load<u32>(b, 36));
  return v128.any_true(v128.or(
    v128.or(v128.xor(v128.load(a), v128.load(b, 16)), v128.xor(v128.load(a, 16), v128.load(b))),
    i32x4.splat(rest),
  )) == false;
}

/** Is `a` the packet that goes back on `b`, where the inverse of `b` is its addresses and ports swapped? Zones aside. */
export function tuple_is_inverse(a: Tuple, b: Tuple): bool {
  if (((a.src_lo ^ b.dst_lo) | (a.src_hi ^ b.dst_hi) | (a.dst_lo ^ b.src_lo) | (a.dst_hi ^ b.src_hi)) != 0) return false;
  if (a.protonum != b.protonum || a.l3num != b.l3num) return false;
  if (a.protonum == Proto.ICMP) return a.sport == b.sport && icmp_inverse_dport(b.dport) == <i32>a.dport;
  if (a.protonum == Proto.ICMPV6) return a.sport == b.sport && icmpv6_inverse_dport(b.dport) == <i32>a.dport;
  return a.sport == b.dport && a.dport == b.sport;
}

/** ICMP keeps type (low byte) and code (high byte) in dport. -1 if the type has no inverse. */
function icmp_inverse_dport(dport: u32): i32 {
  const type = icmp_inverse(dport & 0xff);
  return type < 0 ? -1 : type | <i32>(dport & 0xff00);
}

function icmpv6_inverse_dport(dport: u32): i32 {
  const type = icmpv6_inverse(dport & 0xff);
  return type < 0 ? -1 : type | <i32>(dport & 0xff00);
}

/** Does the protocol know an answer to this tuple? */
// @ts-ignore: decorator
@inline export function tuple_has_inverse(t: Tuple): bool {
  return !is_icmp(t.protonum) || icmp_tuple_has_inverse(t);
}

function icmp_tuple_has_inverse(t: Tuple): bool {
  return inverse_type(t) >= 0;
}

/** The dport of the inverse of an ICMP or ICMPv6 tuple, -1 if there is none. */
function inverse_type(t: Tuple): i32 {
  return t.protonum == Proto.ICMP ? icmp_inverse_dport(t.dport) : icmpv6_inverse_dport(t.dport);
}

/** Writes the tuple of the opposite direction to `target`; false if the protocol has none (an ICMP type without answer). */
export function tuple_invert(target: Tuple, source: Tuple): bool {
  let sport = source.dport;
  let dport = source.sport;
  if (is_icmp(source.protonum)) {
    const inverse = inverse_type(source);
    if (inverse < 0) return false;
    sport = source.sport;
    dport = <u16>inverse;
  }
  const src_lo = source.src_lo;
  const src_hi = source.src_hi;
  target.src_lo = source.dst_lo;
  target.src_hi = source.dst_hi;
  target.dst_lo = src_lo;
  target.dst_hi = src_hi;
  target.sport = sport;
  target.dport = dport;
  target.protonum = source.protonum;
  target.l3num = source.l3num;
  target.zone = source.zone;
  return true;
}
