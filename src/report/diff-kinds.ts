// Which kinds of difference are there between two firewalls?

import type { FlowDifference } from './diff.ts';
import { decision } from './judgement-text.ts';

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
    const [before, after] = [decision(flow.old), decision(flow.new)];
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
