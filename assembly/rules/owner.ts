// Who sent a packet? Kernel: net/netfilter/xt_owner.c, owner_mt().

import { Packet, World } from "../layout";
import { L3, OwnerFlag, PacketFlag, Path, Proto } from "../vocabulary";

const ICMP_ECHO: u32 = 8;
const ICMP_TIMESTAMP: u32 = 13;
const ICMP_INFO_REQUEST: u32 = 15;
const ICMP_ADDRESS: u32 = 17;
const ICMPV6_ECHO: u32 = 128;
const NDISC_SOLICITATION: u32 = 135;
const NDISC_ADVERTISEMENT: u32 = 136;

/** 1 if it is who the rule asks for; `asked` and `inverted` are OwnerFlag bits. */
export function rule_owner(
  packet: usize, world: usize, rule: u32, asked: u32, inverted: u32,
  uid_low: u32, uid_high: u32, gid_low: u32, gid_high: u32,
): u32 {
  const p = changetype<Packet>(packet);
  if (has_no_socket(p)) return asked == inverted;
  if (asked & inverted & OwnerFlag.SOCKET) return 0;
  const who: u32 = OwnerFlag.UID | OwnerFlag.GID;
  if (is_of_kernel(p)) return ((asked ^ inverted) & who) == 0;
  if (!(asked & who)) return 1;
  const w = changetype<World>(world);
  if (!w.owned) {
    if (w.unowned == 0) {
      w.unowned = w.number + 1;
      w.unowned_rule = rule;
    }
    return 0;
  }
  const by_user = w.uid >= uid_low && w.uid <= uid_high;
  if (asked & OwnerFlag.UID && by_user == ((inverted & OwnerFlag.UID) != 0)) return 0;
  const by_group = w.gid >= gid_low && w.gid <= gid_high;
  return !(asked & OwnerFlag.GID) || by_group != ((inverted & OwnerFlag.GID) != 0);
}

/** What is forwarded, a REJECT's RST, and the copies of broadcasts and multicasts (skb_clone() leaves the socket behind). */
// @ts-ignore: decorator
@inline function has_no_socket(p: Packet): bool {
  if (p.path != Path.OUTPUT || p.flags & PacketFlag.ECHO) return true;
  return (p.flags & PacketFlag.ANSWER) != 0 && p.protonum == Proto.TCP;
}

/** The kernel answers pings, reports errors and resolves neighbours through sockets that are of no process. */
function is_of_kernel(p: Packet): bool {
  if (p.flags & PacketFlag.ANSWER) return true;
  if (p.flags & PacketFlag.LATER_FRAGMENT || p.l4_len == 0) return false;
  const type = <u32>load<u8>(p.l4);
  if (p.l3num == L3.IPV4) {
    const asks = type == ICMP_ECHO || type == ICMP_TIMESTAMP || type == ICMP_INFO_REQUEST || type == ICMP_ADDRESS;
    return p.protonum == Proto.ICMP && !asks;
  }
  const resolves = type == NDISC_SOLICITATION || type == NDISC_ADVERTISEMENT;
  return p.protonum == Proto.ICMPV6 && (type < ICMPV6_ECHO || type == ICMPV6_ECHO + 1 || resolves);
}
