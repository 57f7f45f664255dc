// Accounting and time stamps of flows (nf_conntrack_acct, nf_conntrack_timestamp): a table parallel to the flows that
// exists only when one of the two is on.

import { flow_number } from "./flow-pool";
import { Account, Flow, Packet, World } from "./layout";
import { sysctl } from "./sysctl";
import { Sysctl } from "./vocabulary";

/** The unconfirmed entry's account lies right behind it. */
export function account_of(w: World, flow: Flow): Account {
  const address = changetype<usize>(flow);
  if (address == <usize>w.unconfirmed) return changetype<Account>(address + offsetof<Flow>());
  return changetype<Account>(<usize>w.accounts + flow_number(w, flow) * w.account_bytes);
}

/** Counts a packet (IP bytes) for its direction (kernel: nf_ct_acct_update()). */
// @ts-ignore: decorator
@inline export function account_packet(w: World, flow: Flow, p: Packet, dir: u32): void {
  if (w.accounts == 0 || !sysctl(w, Sysctl.ACCT)) return;
  const account = account_of(w, flow);
  if (dir == 0) {
    account.packets_original++;
    account.bytes_original += p.ip_len;
  } else {
    account.packets_reply++;
    account.bytes_reply += p.ip_len;
  }
}
