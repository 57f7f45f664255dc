// Which kinds of difference are there between two firewalls, and how is a judgement said in a few words?

import type { FlowDifference, Judgement } from './diff.ts';

/** `DROP filter/FORWARD/2`, `REJECT with tcp-reset filter/INPUT/7`, `DROP (no-route)`. */
export function decisionText(judged: Judgement): string {
  const verdict = judged.with === undefined ? judged.verdict : `${judged.verdict} with ${judged.with}`;
  const by = judged.rule ?? (judged.why === undefined ? undefined : `(${judged.why})`);
  return by === undefined ? verdict : `${verdict} ${by}`;
}

/** State, TCP state, status and mark, as far as they differ between the sides. */
export function statesText(judged: Judgement, differs: FlowDifference['differs']): string {
  const parts = [judged.state];
  const entryState = judged.tcp ?? judged.sctp;
  if (entryState !== undefined) parts.push(entryState);
  if (differs.includes('status')) parts.push(`[${(judged.status ?? []).join(' ')}]`);
  if (differs.includes('mark')) parts.push(`mark=${judged.mark ?? 0}`);
  return parts.join(' ');
}

/** Flows that differ alike: by what decided on each side. */
export interface ChangeKind {
  /** `ACCEPT filter/lan-out/1 -> DROP filter/FORWARD/policy`, `state only: ACCEPT filter/FORWARD/1`. */
  text: string;
  flows: number;
  packets: number;
  /** One of them. */
  example: FlowDifference;
}

/** Kinds of difference, those of most flows first. */
export function changeKinds(flows: readonly FlowDifference[]): ChangeKind[] {
  const kinds = new Map<string, ChangeKind>();
  for (const flow of flows) {
    const [before, after] = [decisionText(flow.old), decisionText(flow.new)];
    const text = flow.differs.includes('verdict')
      ? `${before} -> ${after}`
      : `${flow.differs.join(', ')} only: ${after}`;
    const kind = kinds.get(text) ?? { text, flows: 0, packets: 0, example: flow };
    kind.flows++;
    kind.packets += flow.packets;
    kinds.set(text, kind);
  }
  return [...kinds.values()].sort((a, b) => b.flows - a.flows || (a.text < b.text ? -1 : 1));
}
