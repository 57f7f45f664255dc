// SIP behind NAT: the headers of a message name the other side's view of both ends (RFC 3261).
// Kernel: nf_nat_sip() in net/netfilter/nf_nat_sip.c.

import { bswap16 } from "../bytes";
import { help_of } from "../help";
import { Flow, Packet, Tuple, World } from "../layout";
import { Dir, Proto } from "../vocabulary";
import { scratch, tuple_of } from "./helper";
import { change_address, change_endpoint, change_number, message_at, message_length } from "./sip-message";
import {
  end_of_number, end_of_value, find_address_parameter, find_parameter, find_readable, find_target, found_at, found_length, found_port,
  Header, is_like, read_number, walk_contacts,
} from "./sip-text";

/** Offset in Help.data of the port that a telephone listens at which sends from another one (wire order; Cisco's do). */
const FORCED_PORT: usize = 8;

export function forced_port(w: World, flow: Flow): u16 {
  return load<u16>(help_of(w, flow).memory() + FORCED_PORT);
}

/** A request whose Via names another port than it comes from is answered there (process_sip_request()). */
export function learn_forced_port(w: World, flow: Flow, p: Packet): void {
  if (!find_readable(message_at(p), 0, message_length(), Header.VIA_UDP, p.l3num, scratch(w))) return;
  const own = tuple_of(flow, p.dir);
  const port = <u16>bswap16(found_port());
  if (port == own.sport || !is_source(w, own)) return;
  store<u16>(help_of(w, flow).memory() + FORCED_PORT, port);
}

/** Is the address that was read the source, or the target, of a tuple? */
// @ts-ignore: decorator
@inline function is_source(w: World, t: Tuple): bool {
  return load<u64>(scratch(w)) == t.src_lo && load<u64>(scratch(w), 8) == t.src_hi;
}
// @ts-ignore: decorator
@inline function is_target(w: World, t: Tuple): bool {
  return load<u64>(scratch(w)) == t.dst_lo && load<u64>(scratch(w), 8) == t.dst_hi;
}

// @ts-ignore: decorator
@inline function target_of(t: Tuple): usize {
  return changetype<usize>(t) + offsetof<Tuple>("dst_lo");
}

/** Changes the message in work; false if the packet may not pass because that failed. */
export function change_message(w: World, flow: Flow, p: Packet): bool {
  const version = memory.data<u8>([115, 105, 112, 47, 50, 46, 48]); // "sip/2.0"
  const request = message_length() < 7 || !is_like(message_at(p), version, 7);
  if (request && find_target(message_at(p), message_length(), p.l3num, scratch(w)) && !change_found(w, flow, p)) return false;
  if (!change_via(w, flow, p, request)) return false;
  let from: u32 = 0;
  for (let within = false; walk_contacts(message_at(p), from, message_length(), within, p.l3num, scratch(w)); within = true) {
    from = found_at() + found_length();
    const before = message_length();
    if (!change_found(w, flow, p)) return false;
    from += message_length() - before;
  }
  if (!change_header(w, flow, p, Header.FROM) || !change_header(w, flow, p, Header.TO)) return false;
  const forced = forced_port(w, flow);
  if (p.dir == Dir.ORIGINAL || forced == 0) return true;
  if (flow.protonum != Proto.UDP) return false;
  if (p.protonum == Proto.UDP) p.dport = forced;
  return true;
}

/** Changes an endpoint that was found: an end of the connection becomes what the other side calls it (map_addr()). */
function change_found(w: World, flow: Flow, p: Packet): bool {
  const own = tuple_of(flow, p.dir);
  const other = tuple_of(flow, p.dir ^ 1);
  const port = <u16>bswap16(found_port());
  let address: usize = 0;
  let new_port: u16 = 0;
  if (is_source(w, own) && own.sport == port) {
    address = target_of(other);
    new_port = other.dport;
  } else if (is_target(w, own) && own.dport == port) {
    const forced = forced_port(w, flow);
    address = changetype<usize>(other);
    new_port = forced ? forced : other.sport;
  } else return true;
  const stays = load<u64>(address) == load<u64>(scratch(w)) && load<u64>(address, 8) == load<u64>(scratch(w), 8);
  return (stays && new_port == port) || change_endpoint(w, p, found_at(), found_length(), address, bswap16(new_port));
}

function change_header(w: World, flow: Flow, p: Packet, header: Header): bool {
  return !find_readable(message_at(p), 0, message_length(), header, p.l3num, scratch(w)) || change_found(w, flow, p);
}

/** The topmost Via, where it names the end that sends requests, and its parameters (RFC 3261 section 18.2.1, RFC 3581). */
function change_via(w: World, flow: Flow, p: Packet, request: bool): bool {
  const maddr = memory.data<u8>([109, 97, 100, 100, 114, 61]); // "maddr="
  const received = memory.data<u8>([114, 101, 99, 101, 105, 118, 101, 100, 61]); // "received="
  const rport = memory.data<u8>([114, 112, 111, 114, 116, 61]); // "rport="
  const own = tuple_of(flow, p.dir);
  const other = tuple_of(flow, p.dir ^ 1);
  const target = scratch(w);
  const header = flow.protonum == Proto.TCP ? Header.VIA_TCP : Header.VIA_UDP;
  if (!find_readable(message_at(p), 0, message_length(), header, p.l3num, target)) return true;
  const port = <u16>bswap16(found_port());
  if (request ? !is_source(w, own) || port != own.sport : !is_target(w, own) || port != own.dport) return true;
  const length = message_length();
  let behind = found_at() + found_length();
  if (!change_found(w, flow, p)) return false;
  behind += message_length() - length;
  if (find_address_parameter(message_at(p), behind, message_length(), maddr, 6, p.l3num, target, true)) {
    if (is_source(w, own) && !is_target(w, other)) {
      if (!change_address(w, p, found_at(), found_length(), target_of(other), true)) return false;
    }
  }
  if (find_address_parameter(message_at(p), behind, message_length(), received, 9, p.l3num, target, false)) {
    if (is_target(w, own) && !is_source(w, other)) {
      if (!change_address(w, p, found_at(), found_length(), changetype<usize>(other), false)) return false;
    }
  }
  const at = find_parameter(message_at(p), behind, message_length(), rport, 6);
  if (at == 0) return true;
  const number = read_number(message_at(p), at, end_of_value(message_at(p), behind, message_length()));
  const end = end_of_number();
  if (number < 1024 || number > 65535 || <u16>bswap16(number) != own.dport || own.dport == other.sport) return true;
  return change_number(w, p, at, end - at, bswap16(other.sport));
}
