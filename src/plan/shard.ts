// Which packets must meet in one lane?
//
// Packets of one flow always do: a packet's shard is a symmetric hash of its tuple, for ICMP errors of the tuple they
// quote. Where helpers expect flows, the shard is a hash of the two addresses, because expected flows are nearly always
// between the same two hosts. A rule whose outcome depends on packets of other flows (a limit, say) needs all of them in
// order.
//
// So does a limit on the number of entries (nf_conntrack_max) or expectations (nf_conntrack_expect_max), once it is
// reached, and an expectation of somebody else, once there is one. Hosts nearly always state limits that their captures
// never come near, so lanes go on until a batch could have reached one: what was delivered before that batch does not
// depend on lanes, and the rest is replayed in one.

/** From fine to coarse. */
const KEYS = ['tuple', 'pair', 'one-lane'] as const;

export interface ShardPlan {
  /**
   * tuple: flows may be dealt to any number of lanes. pair: those between the same two addresses must meet. one-lane: one
   * lane tracks everything.
   */
  key: (typeof KEYS)[number];
  /** What needs that; `rule` as `table/chain/number` if it is one. */
  rule?: string;
  reason?: string;
  /** With pair: who may expect flows of others, which must then meet in one lane, too. */
  others?: string;
}

/** The coarsest key that any of the firewalls needs, because all of them judge the same packets in one pass. */
export function planShards(firewalls: readonly ShardPlan[]): ShardPlan {
  return firewalls.reduce((coarsest, each) => (KEYS.indexOf(each.key) > KEYS.indexOf(coarsest.key) ? each : coarsest));
}

/** What several lanes of one host must not reach together. */
export interface HostLimits {
  /** 0 for none. */
  entries: number;
  /** undefined where nothing is ever expected. */
  expectations?: number | undefined;
}

/** What the lanes of a host have together when they are done with a batch. */
export interface Counts {
  /** Of the table when the batch began. */
  entries: number;
  /** Expectations when it began, and those made since. */
  expected: number;
  /** Expectations wanted so far of others than the two hosts of their connection. */
  beyond: number;
}

/** Can several lanes go on? */
export class LaneLimits {
  /** There is something that would stop them. */
  readonly stated: boolean;

  constructor(private readonly limits: readonly HostLimits[]) {
    this.stated = limits.some(({ entries, expectations }) => entries !== 0 || expectations !== undefined);
  }

  /**
   * @param packets of the batch; each begins one entry at most
   * @param delivered packets of the batches before
   * @throws LimitReached if something of the batch could have depended on the packets of all lanes
   */
  check(host: number, { entries, expected, beyond }: Counts, packets: number, delivered: number): void {
    const { entries: most, expectations } = this.limits[host]!;
    const full = most !== 0 && entries + packets >= most;
    const crowded = expectations !== undefined && expected >= expectations;
    if (full || crowded || beyond > 0) throw new LimitReached(delivered);
  }
}

/** Several lanes cannot go on, because packets may depend on those of other lanes. */
export class LimitReached extends Error {
  /** @param packets delivered so far, which hold */
  constructor(readonly packets: number) {
    super('a limit of all lanes may be reached');
  }
}
