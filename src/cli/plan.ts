// What does `ctreplay plan` do? It says by what key packets are dealt to lanes, and what forced it.

import { Sysctl } from '../../assembly/vocabulary.ts';
import { writeStandardOutput } from '../output.ts';
import { planShards, type ShardPlan } from '../plan/shard.ts';
import { sharedState } from '../plan/shared-state.ts';
import { compileRuleset, parseRulesets } from '../ruleset/index.ts';
import type { Options } from './args.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { hostFrom, tell } from './start.ts';

const KEYS: Record<ShardPlan['key'], string> = {
  tuple: 'tuple: flows are dealt to any number of lanes',
  'one-lane': 'one-lane: one lane tracks everything; reading and decoding go on in parallel',
};

export async function planCommand(options: Options): Promise<ExitCode> {
  const host = hostFrom(options, options.host);
  const compiled = compileRuleset(parseRulesets(host.rulesets), { interfaceTable: 0, tableBase: 1 });
  const plan = planShards([sharedState(compiled, host)]);
  const limit = host.sysctls[Sysctl.MAX]!;
  if (options.json) {
    const { key, rule, reason } = plan;
    const entries = limit === 0 ? undefined : limit;
    await writeStandardOutput(`${JSON.stringify({ key, rule: rule || undefined, reason, limit: entries })}\n`);
    return EXIT.DONE;
  }
  const lines = [`key     ${KEYS[plan.key]}`];
  if (plan.reason !== undefined) lines.push(`forced  ${plan.reason}`);
  const info = compiled.key.rule;
  if (info) lines.push(`rule    ${info.file}:${info.line}  ${info.text}`);
  if (limit !== 0 && plan.key === 'tuple') {
    lines.push(`limit   nf_conntrack_max ${limit}: one lane from the batch on that could reach it`);
  }
  for (const note of host.notes) tell(options, note);
  await writeStandardOutput(lines.map((line) => `${line}\n`).join(''));
  return EXIT.DONE;
}
