// ICMP (RFC 792) and ICMPv6 (RFC 4443): which types are errors, queries, and what answers what.

/** Highest ICMP type that Linux knows (NR_ICMP_TYPES). */
export const ICMP_TYPE_MAX: u32 = 18;
export const ICMP_HEADER: u32 = 8;

/** Error types: destination unreachable, source quench, redirect, time exceeded, parameter problem. */
export function icmp_is_error(type: u32): bool {
  return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

/** The type that answers a query or is answered by it; -1 for a type without a counterpart. */
export function icmp_inverse(type: u32): i32 {
  switch (type) {
    case 8: return 0; // echo
    case 0: return 8;
    case 13: return 14; // timestamp
    case 14: return 13;
    case 15: return 16; // information
    case 16: return 15;
    case 17: return 18; // address mask
    case 18: return 17;
    default: return -1;
  }
}

/** Query types, which may begin a flow. */
export function icmp_may_begin(type: u32): bool {
  return type == 8 || type == 13 || type == 15 || type == 17;
}

export const ICMPV6_REDIRECT: u32 = 137;

export function icmpv6_is_error(type: u32): bool {
  return type < 128;
}

/** Echo and node information (RFC 4620). */
export function icmpv6_inverse(type: u32): i32 {
  switch (type) {
    case 128: return 129;
    case 129: return 128;
    case 139: return 140;
    case 140: return 139;
    default: return -1;
  }
}

export function icmpv6_may_begin(type: u32): bool {
  return type == 128 || type == 139;
}

/** Neighbour discovery, multicast listeners and router discovery: never tracked. */
export function icmpv6_is_untracked(type: u32): bool {
  return (type >= 130 && type <= 136) || type == 143 || type == 151 || type == 152;
}
