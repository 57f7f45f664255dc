// Which packets must meet in one lane?
//
// Packets of one flow always do: a packet's shard is a symmetric hash of its tuple, for ICMP errors of the tuple they
// quote. A rule whose outcome depends on packets of other flows (a limit, say) needs all of them in order.

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
