// How many connections an address has: net/netfilter/xt_connlimit.c, connlimit_mt(), and nf_conncount.c.
//
// A list holds the connections that came to the rule, and forgets those that have ended when it is asked the next time, but
// only once in a jiffy. On its way to a list the kernel looks at a few others, too, which depend on a hash with a random
// key: that comes earlier then, and is not done here.

import { find_flow, find_in_zones } from "../flow-table";
import { ConnlimitList, ConnlimitNode, ConnlimitTable, Flow, Packet, Tuple, World } from "../layout";
import { has_ports, tuple_equal, tuple_hash } from "../tuple";
import { Full, PacketFlag, Proto, Status, TcpConntrack } from "../vocabulary";
import { gre_has_tuple } from "../wire/gre";
import { ICMP_HEADER } from "../wire/icmp";
import { jiffies } from "./jiffies";
import { keyed_find, keyed_insert, keyed_remove, keyed_table } from "./keyed-table";

/** What rule_connlimit() answers where the kernel drops the packet: nothing is counted for it. */
const DROPPED: u32 = 2;
/** CONNCOUNT_GC_MAX_COLLECT: dead connections that are forgotten at once, and new ones that come in without a look. */
const COLLECT_MAX: u32 = 64;
const PORTS_BYTES: u32 = 4;

/**
 * 1 if the packet's address has more than `most` connections, 0 if not, 2 if the packet is to be dropped. `mask`: offset of
 * what is looked at of addresses (16 bytes), which also tells rules apart; `field`: offset of the address in the packet.
 */
export function rule_connlimit(packet: usize, world: usize, table: u32, mask: u32, field: u32, most: u32): u32 {
  const p = changetype<Packet>(packet);
  const w = changetype<World>(world);
  const t = changetype<ConnlimitTable>(keyed_table(world, table));
  const bits = keyed_table(world, mask);
  const flow = p.flow ? know(t, changetype<Flow>(<usize>p.flow), w) : look_up(t, p, w);
  if (flow == NO_TUPLE) return DROPPED;
  const key = t.key();
  key.src_lo = load<u64>(packet + field) & load<u64>(bits);
  key.src_hi = load<u64>(packet + field, 8) & load<u64>(bits, 8);
  key.dst_lo = mask;
  // The zone of the connection, in whichever direction it holds. A packet without one is in none.
  key.zone = p.flow ? t.wanted().zone | t.wanted_reply_zone : 0;
  const count = counted(w, t, flow, jiffies(p));
  if (count == 0) return DROPPED;
  return count > most ? 1 : 0;
}

/** What look_up() answers for a packet that has no tuple. */
const NO_TUPLE: usize = 1;

/** Notes the packet's own connection. */
function know(t: ConnlimitTable, flow: Flow, w: World): usize {
  memory.copy(changetype<usize>(t.wanted()), changetype<usize>(flow), offsetof<ConnlimitNode>("next"));
  t.wanted_reply_zone = w.templates ? flow.reply_zone : 0;
  return changetype<usize>(flow);
}

/** Notes the tuple of a packet without a connection, and finds the one that it would belong to. */
function look_up(t: ConnlimitTable, p: Packet, w: World): usize {
  if (!has_tuple(p)) return NO_TUPLE;
  memory.copy(changetype<usize>(t.wanted()), changetype<usize>(p), offsetof<ConnlimitNode>("next"));
  t.wanted().zone = 0;
  t.wanted_reply_zone = 0;
  return find(w, changetype<ConnlimitNode>(changetype<usize>(t.wanted())), 0);
}

/** nf_ct_get_tuplepr() */
function has_tuple(p: Packet): bool {
  if (p.l4 == 0 || p.flags & PacketFlag.LATER_FRAGMENT) return false;
  if (p.protonum == Proto.ICMP || p.protonum == Proto.ICMPV6) return p.l4_len >= ICMP_HEADER;
  if (p.protonum == Proto.GRE) return gre_has_tuple(p.l4, p.l4_len);
  return !has_ports(p.protonum) || p.l4_len >= PORTS_BYTES;
}

/** The entry that a tuple belongs to, in either direction; 0 if there is none or it has expired. */
function find(w: World, tuple: ConnlimitNode, reply_zone: u16): usize {
  const hash = tuple_hash(tuple);
  const found = w.templates ? find_in_zones(w, tuple, hash, reply_zone, true) : find_flow(w, tuple, hash);
  return found != 0 && changetype<Flow>(found).expires > w.now ? found : 0;
}

/** Counts the connection, if it is not, and all of its list; 0 where the kernel counts none. */
function counted(w: World, t: ConnlimitTable, flow: usize, now: u64): u32 {
  const known = keyed_find(t);
  const status: u32 = flow ? changetype<Flow>(flow).status : 0;
  if (known == 0) {
    if (!make_room(w, t, 0)) return 1;
    const list = changetype<ConnlimitList>(keyed_insert(t));
    list.first = 0;
    list.last = 0;
    list.count = 0;
    list.last_gc = now;
    list.last_gc_count = 0;
    append(t, list);
    return 1;
  }
  const list = changetype<ConnlimitList>(known);
  if (status & Status.CONFIRMED && status & Status.ASSURED) {
    if (list.count != 0 && list.last_gc != now) collect(w, t, list, now);
    return list.count;
  }
  const look = (status & Status.CONFIRMED) != 0 || list.last_gc != now || list.count - list.last_gc_count >= COLLECT_MAX;
  if (look && is_counted(w, t, list, now)) return list.count;
  if (make_room(w, t, known)) append(t, list);
  return list.count;
}

/** Looks for the connection in its list, and forgets those that have ended on the way. */
function is_counted(w: World, t: ConnlimitTable, list: ConnlimitList, now: u64): bool {
  const wanted = t.wanted();
  let collected: u32 = 0;
  let before: usize = 0;
  for (let at: usize = list.first; at != 0 && collected <= COLLECT_MAX; ) {
    const node = changetype<ConnlimitNode>(at);
    const next: usize = node.next;
    const found = find(w, node, node.reply_zone);
    if (found != 0 && is_same(node, wanted, changetype<Flow>(found))) return true;
    if (found == 0 || is_closed(changetype<Flow>(found))) {
      forget(t, list, node, before);
      collected++;
    } else {
      before = at;
    }
    at = next;
  }
  list.last_gc = now;
  list.last_gc_count = list.count;
  return false;
}

// @ts-ignore: decorator
@inline function is_same(node: ConnlimitNode, wanted: Tuple, found: Flow): bool {
  return tuple_equal(changetype<usize>(node), changetype<usize>(wanted)) && found.zone == wanted.zone;
}

/** Forgets the connections of a list that have ended. */
function collect(w: World, t: ConnlimitTable, list: ConnlimitList, now: u64): void {
  let collected: u32 = 0;
  let before: usize = 0;
  for (let at: usize = list.first; at != 0; ) {
    const node = changetype<ConnlimitNode>(at);
    const next: usize = node.next;
    const found = find(w, node, node.reply_zone);
    if (found == 0 || is_closed(changetype<Flow>(found))) {
      forget(t, list, node, before);
      collected++;
    } else {
      before = at;
      if (collected > COLLECT_MAX) break;
    }
    at = next;
  }
  list.last_gc = now;
  list.last_gc_count = list.count;
}

// @ts-ignore: decorator
@inline function is_closed(flow: Flow): bool {
  const state = flow.tcp_state;
  return flow.protonum == Proto.TCP && (state == TcpConntrack.TIME_WAIT || state == TcpConntrack.CLOSE);
}

function append(t: ConnlimitTable, list: ConnlimitList): void {
  let at: usize = t.nodes_free;
  if (at != 0) t.nodes_free = changetype<ConnlimitNode>(at).next;
  else at = changetype<usize>(t) + t.nodes + <usize>(t.nodes_top++) * offsetof<ConnlimitNode>();
  t.nodes_count++;
  const node = changetype<ConnlimitNode>(at);
  memory.copy(at, changetype<usize>(t.wanted()), offsetof<ConnlimitNode>("next"));
  node.reply_zone = t.wanted_reply_zone;
  node.next = 0;
  if (list.last) changetype<ConnlimitNode>(<usize>list.last).next = <u32>at;
  else list.first = <u32>at;
  list.last = <u32>at;
  list.count++;
}

function forget(t: ConnlimitTable, list: ConnlimitList, node: ConnlimitNode, before: usize): void {
  if (before) changetype<ConnlimitNode>(before).next = node.next;
  else list.first = node.next;
  if (node.next == 0) list.last = <u32>before;
  list.count--;
  node.next = t.nodes_free;
  t.nodes_free = <u32>changetype<usize>(node);
  t.nodes_count--;
}

/**
 * Is there room for another address and another connection? The kernel takes what memory there is. Where ours is used up,
 * what has ended is forgotten everywhere, and empty lists but `kept`; if that is not much, the run cannot go on.
 */
function make_room(w: World, t: ConnlimitTable, kept: usize): bool {
  if (t.count < t.max && t.nodes_count < t.nodes_max) return true;
  for (let at: usize = t.oldest; at != 0; ) {
    const list = changetype<ConnlimitList>(at);
    at = list.newer;
    collect(w, t, list, list.last_gc);
    if (list.count == 0 && changetype<usize>(list) != kept) keyed_remove(t, list);
  }
  if (t.count < t.max - t.max / 8 && t.nodes_count < t.nodes_max - t.nodes_max / 8) return true;
  w.table_full = <u32>Full.CONNLIMIT;
  return false;
}
