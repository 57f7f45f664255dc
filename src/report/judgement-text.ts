// How is what a firewall made of a packet said in a few words?

import type { FlowDifference, Judgement } from './diff.ts';

/** `DROP filter/FORWARD/2`, `REJECT with tcp-reset filter/INPUT/7`, `DROP (no-route)`. */
export function decision(judged: Judgement): string {
  const verdict = judged.with === undefined ? judged.verdict : `${judged.verdict} with ${judged.with}`;
  const by = judged.rule ?? (judged.why === undefined ? undefined : `(${judged.why})`);
  return by === undefined ? verdict : `${verdict} ${by}`;
}

/** State, and TCP or SCTP state; status and mark where they differ between two sides. */
export function states(judged: Judgement, differs: FlowDifference['differs'] = []): string {
  const parts = [judged.state];
  const entryState = judged.tcp ?? judged.sctp;
  if (entryState !== undefined) parts.push(entryState);
  if (differs.includes('status')) parts.push(`[${(judged.status ?? []).join(' ')}]`);
  if (differs.includes('mark')) parts.push(`mark=${judged.mark ?? 0}`);
  return parts.join(' ');
}

/** The rule that decided, and where it stands. */
export function ruleText(judged: Judgement): string {
  return judged.text === undefined ? '' : `${judged.text}  (${judged.file}:${judged.line})`;
}
