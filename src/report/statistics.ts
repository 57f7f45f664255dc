// What would `conntrack -S` have counted? The kernel's counters (struct ip_conntrack_stat) as far as they have a meaning
// where packets come one after the other and the hash table is not the kernel's.

import { CtState, Proto, Reason } from '../../assembly/vocabulary.ts';
import { PACKET } from '../engine/layout.ts';

/**
 * INVALID packets that the kernel counts as `error`: those that the handlers of ICMP errors stop
 * (nf_conntrack_handle_icmp()), before a tracker sees the packet.
 */
const ICMP_ERRORS: ReadonlySet<Reason> = new Set([
  Reason.TRUNCATED_L4,
  Reason.BAD_CHECKSUM,
  Reason.ICMP_BAD_TYPE,
  Reason.ICMP_ERROR_SHORT,
  Reason.ICMP_ERROR_UNKNOWN_PROTO,
  Reason.ICMP_ERROR_NO_FLOW,
  Reason.ICMP_ERROR_WRONG_SENDER,
  Reason.ICMPV6_REDIRECT_SHORT,
  Reason.ICMPV6_REDIRECT_SENDER,
  Reason.ICMPV6_REDIRECT_OPTIONS,
]);

/** Counts of one world. */
export class ConntrackStatistics {
  invalid = 0;
  drop = 0;
  error = 0;

  /** Counts a batch. @param packets address of PACKET[count] */
  add(bytes: Uint8Array, packets: number, count: number): void {
    for (let at = packets; at < packets + count * PACKET.size; at += PACKET.size) {
      const reason = bytes[at + PACKET.reason]! as Reason;
      if (reason === Reason.TABLE_FULL) this.drop++;
      if (bytes[at + PACKET.ct_state] !== CtState.INVALID) continue;
      const protonum = bytes[at + PACKET.protonum];
      const icmp = protonum === Proto.ICMP || protonum === Proto.ICMPV6;
      if (icmp && ICMP_ERRORS.has(reason)) this.error++;
      else this.invalid++;
    }
  }

  /**
   * A line of `conntrack -S`. There is one processor.
   *
   * @param earlyDropped entries that went for others (nf_conntrack_max)
   */
  line(earlyDropped: number): string {
    return (
      `cpu=0   \tfound=0 invalid=${this.invalid} insert=0 insert_failed=0 drop=${this.drop} early_drop=${earlyDropped} ` +
      `error=${this.error} search_restart=0 clash_resolve=0 chaintoolong=0 \n`
    );
  }
}
