// Which packets must meet in one lane?
//
// Packets of one flow always do: a packet's shard is a symmetric hash of its tuple, for ICMP errors of the tuple they
// quote. A rule whose outcome depends on packets of other flows (a limit, say) needs all of them in order.
//
// So does a limit on the number of entries (nf_conntrack_max), once it is reached. Hosts nearly always state one that their
// captures never come near, so lanes go on until a batch could have reached it: what was delivered before that batch does
// not depend on lanes, and the rest is replayed in one.

/** What a compiled ruleset says about the state that its rules share. */
export interface SharedState {
  /** The first rule whose state is shared by all flows, as `table/chain/number`, and what makes it so. */
  oneLane?: { rule: string; reason: string } | undefined;
}

export interface ShardPlan {
  /** tuple: flows may be dealt to any number of lanes. one-lane: one lane tracks everything. */
  key: 'tuple' | 'one-lane';
  /** The rule that forced it. */
  rule?: string;
  reason?: string;
}

/** The coarsest key that any of the rulesets needs, because all of them judge the same packets in one pass. */
export function planShards(rulesets: readonly SharedState[]): ShardPlan {
  for (const { oneLane } of rulesets) {
    if (oneLane !== undefined) return { key: 'one-lane', rule: oneLane.rule, reason: oneLane.reason };
  }
  return { key: 'tuple' };
}

/** The limits of the hosts on their numbers of entries, 0 for none. */
export class EntryLimit {
  /** Some host has a limit. */
  readonly stated: boolean;

  constructor(private readonly limits: readonly number[]) {
    this.stated = limits.some((limit) => limit !== 0);
  }

  /**
   * @param entries of the host's table when a batch began
   * @param packets of the batch; each begins one entry at most
   * @param delivered packets of the batches before
   * @throws LimitReached if the table could have been full at some moment of the batch
   */
  check(host: number, entries: number, packets: number, delivered: number): void {
    const limit = this.limits[host] ?? 0;
    if (limit !== 0 && entries + packets >= limit) throw new LimitReached(delivered);
  }
}

/** Several lanes cannot go on, because the table may be full. */
export class LimitReached extends Error {
  /** @param packets delivered so far, which hold */
  constructor(readonly packets: number) {
    super('the limit on entries may be reached');
  }
}
