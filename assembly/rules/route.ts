// The question of `-m addrtype`, for rule code: records as addresses.

import { World } from "../layout";
import { route_types } from "../route";

/** Kinds of the address at `address` as bits by AddrType; `iface` limits local ones to that interface, 0 does not. */
export function rule_route_types(w: usize, l3num: u32, address: usize, iface: u32): u32 {
  return route_types(changetype<World>(w), l3num, address, iface);
}
