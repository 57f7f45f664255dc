// What does `ctreplay plan` do? It says by what key packets are dealt to lanes, what forced it, and what would end it.

import { writeStandardOutput } from '../output.ts';
import { planShards, type ShardPlan } from '../plan/shard.ts';
import { hostLimits, sharedState } from '../plan/shared-state.ts';
import { compileRuleset, parseRulesets } from '../ruleset/index.ts';
import type { Options } from './args.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { hostFrom, tell } from './start.ts';

const KEYS: Record<ShardPlan['key'], string> = {
  tuple: 'tuple: flows are dealt to any number of lanes',
  pair: 'pair: flows between the same two addresses are dealt to the same lane',
  'one-lane': 'one-lane: one lane tracks everything; reading and decoding go on in parallel',
};

export async function planCommand(options: Options): Promise<ExitCode> {
  const host = hostFrom(options, options.host);
  const compiled = compileRuleset(parseRulesets(host.rulesets), { interfaceTable: 0, tableBase: 1 });
  const { key, rule, reason, others } = planShards([sharedState(compiled, host)]);
  const { entries, expectations } = hostLimits(compiled, host);
  if (options.json) {
    const limit = entries === 0 ? undefined : entries;
    const expected = key === 'pair' ? expectations : undefined;
    await writeStandardOutput(`${JSON.stringify({ key, rule, reason, others, limit, expected })}\n`);
    return EXIT.DONE;
  }
  const lines = [`key     ${KEYS[key]}`];
  if (reason !== undefined) lines.push(`forced  ${reason}`);
  const info = rule === undefined ? undefined : (compiled.oneLane ?? compiled.helping[0])?.rule;
  if (info) lines.push(`rule    ${info.file}:${info.line}  ${info.text}`);
  if (key !== 'one-lane') {
    if (entries !== 0) lines.push(`until   a batch could reach nf_conntrack_max ${entries}: one lane from there on`);
    if (key === 'pair') lines.push(`until   a batch could reach ${expectations} expectations: one lane from there on`);
    if (others !== undefined) lines.push(`until   somebody else is expected, as ${others}: one lane from there on`);
  }
  for (const note of host.notes) await tell(options, note);
  await writeStandardOutput(lines.map((line) => `${line}\n`).join(''));
  return EXIT.DONE;
}
