// How many expectations of a class may an entry have at a time, and how long do they wait?
// Kernel: struct nf_conntrack_expect_policy in each helper.

import { World } from "../layout";
import { Helper } from "../vocabulary";

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
