// How many expectations of a class may an entry have at a time, and how long do they wait?
// Kernel: struct nf_conntrack_expect_policy in each helper.

import { Tuple, World } from "../layout";
import { Helper, L3, Proto } from "../vocabulary";

/** Classes of SIP's expectations (SIP_EXPECT_*). */
export enum SipClass {
  SIGNALLING = 0,
  AUDIO = 1,
  VIDEO = 2,
  IMAGE = 3,
}

/** Most expectations of a class that an entry has at a time; 0 is no limit. */
export function max_expected(helper: u32, klass: u32): u32 {
  switch (helper) {
    case Helper.IRC: return 8;
    case Helper.AMANDA: return 4;
    case Helper.PPTP: return 2;
    case Helper.SIP: return klass == SipClass.SIGNALLING ? 1 : klass == SipClass.IMAGE ? 2 : 4;
    case Helper.RAS: return 32;
    case Helper.Q931: return 20;
    case Helper.H245: return 18;
    default: return 1;
  }
}

/** Ports (wire order) that helpers are given to where the kernel does it by itself. */
const FTP: u16 = 0x1500; // 21
const TFTP: u16 = 0x4500; // 69
const NETBIOS_NS: u16 = 0x8900; // 137
const SNMP: u16 = 0xa100; // 161
const PPTP: u16 = 0xbb06; // 1723
const SIP: u16 = 0xc413; // 5060
const SANE: u16 = 0xa619; // 6566
const IRC: u16 = 0x0b1a; // 6667
const AMANDA: u16 = 0x6027; // 10080

/**
 * The helper that kernels before 6.0 give with nf_conntrack_helper=1: by protocol and the port that answers come from
 * (nf_ct_lookup_helper()). NONE for none; nor SNMP's with NAT, whose parser has to be loaded by hand.
 */
export function default_helper(w: World, reply: Tuple): u32 {
  const port = reply.sport;
  const v4 = reply.l3num == L3.IPV4;
  if (reply.protonum == Proto.TCP) {
    if (port == FTP) return Helper.FTP;
    if (port == SANE) return Helper.SANE;
    if (port == SIP) return Helper.SIP;
    if (port == IRC && v4) return Helper.IRC;
    return port == PPTP && v4 ? Helper.PPTP : Helper.NONE;
  }
  if (reply.protonum != Proto.UDP) return Helper.NONE;
  if (port == TFTP) return Helper.TFTP;
  if (port == SIP) return Helper.SIP;
  if (port == AMANDA) return Helper.AMANDA;
  if (port == NETBIOS_NS && v4) return Helper.NETBIOS_NS;
  return port == SNMP && v4 && w.nat == 0 ? Helper.SNMP : Helper.NONE;
}

/** Seconds. */
export function timeout_s(w: World, helper: u32, klass: u32): u32 {
  switch (helper) {
    case Helper.NETBIOS_NS: return 3;
    case Helper.SNMP: return 30;
    case Helper.AMANDA: return 180;
    case Helper.SIP: return 180;
    case Helper.RAS:
    case Helper.Q931:
    case Helper.H245: return 240;
    default: return 300;
  }
}
