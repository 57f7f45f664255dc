// Which rules did it, and which did nothing?

import { Verdict } from '../../../assembly/vocabulary.ts';
import { countText } from '../align.ts';
import { familyName } from '../names.ts';
import { ruleLabel } from '../rules.ts';
import type { RuleCounts } from '../summary.ts';
import type { Decided } from './gather.ts';

import { cutText, type Html, html } from './html.ts';
import { fileName, shortPaths } from './paths.ts';
import { type PageSource, RULE_LETTERS } from './source.ts';
import { bar, type Column, moreText, shareCell, table, verdictBadge } from './table.ts';
import { packetName } from './verdicts.ts';

const DECIDED_SHOWN = 100;
const NEVER_SHOWN = 200;

/** Text of a rule: options stay whole where a line ends. */
export function ruleText(text: string): Html {
  const options = cutText(text, RULE_LETTERS).split(/ (?=-)/);
  return html`<code>${options.map((option) => html`<span class="option">${option}</span> `)}</code>`;
}

/** Names of rules with their places: `filter/FORWARD/2 ipv4`, `iptables-save:17`. */
class RuleNames {
  readonly #both: boolean;
  readonly #files: Map<string, string>;

  constructor({ rules }: PageSource) {
    this.#both = new Set(rules.map(({ family }) => family)).size > 1;
    const files = [...new Set(rules.map(({ file }) => file))];
    const names = shortPaths(files);
    this.#files = new Map(files.map((file, i) => [file, names[i]!]));
  }

  cell({ rule, family, file, line }: RuleCounts): Html {
    const name = cutText(this.#both ? `${rule} ${family}` : rule, RULE_LETTERS);
    return html`<span class="name">${name}</span><br><span class="name quiet">${this.#files.get(file) ?? fileName(file)}:${line}</span>`;
  }
}

/** First packets by family and name of the rule. */
function firstPackets({ gathered, rules }: PageSource): Map<string, Decided> {
  return new Map(
    [...gathered.rules].map(([index, example]) => [
      `${familyName(rules[index]?.family ?? 0)} ${ruleLabel(rules, index)}`,
      example,
    ]),
  );
}

function decidedTable(source: PageSource): Html | undefined {
  const { decided } = source.summary.rules;
  if (decided.length === 0) return undefined;
  const firsts = firstPackets(source);
  const names = new RuleNames(source);
  const captures = shortPaths(source.summary.captures);
  const sum = decided.reduce((all, { packets }) => all + packets, 0);
  const most = decided[0]!.packets;
  const rows = decided.slice(0, DECIDED_SHOWN).map((counts) => {
    const first = firsts.get(`${counts.family} ${counts.rule}`);
    const verdict = first && Verdict[first.verdict]!;
    return [
      { shown: shareCell(counts.packets, sum), value: counts.packets },
      bar([{ kind: verdict ?? 'NONE', part: counts.packets }], most),
      verdict && verdictBadge(verdict),
      names.cell(counts),
      ruleText(counts.text),
      first && packetName(captures, first),
    ];
  });
  const columns: Column[] = [
    { name: 'Packets', number: true },
    { name: '' },
    { name: 'Verdict' },
    { name: 'Rule' },
    { name: 'Text', wide: true },
    { name: 'First packet' },
  ];
  return html`${table({ caption: 'Packets that a rule or policy decided', columns, rows })}${moreText(DECIDED_SHOWN, decided.length, 'rules, with fewer packets')}`;
}

function neverTable(source: PageSource): Html {
  const { neverMatched, total } = source.summary.rules;
  if (neverMatched.length === 0) return html`<p class="ok">Every rule matched.</p>`;
  const names = new RuleNames(source);
  const unreachable = neverMatched.filter((rule) => rule.unreachable).length;
  const rows = neverMatched
    .slice(0, NEVER_SHOWN)
    .map((counts) => [names.cell(counts), ruleText(counts.text), counts.unreachable ? 'cannot be reached' : '']);
  const cannot = unreachable === 0 ? '' : ` ${countText(unreachable)} of them cannot be reached by any packet.`;
  return html`<p class="lead">${countText(neverMatched.length)} of ${countText(total)} rules matched no packet of these captures, which is no proof that they are needless.${cannot}</p>
${table({
  caption: 'Rules in the order of their rulesets',
  columns: [{ name: 'Rule' }, { name: 'Text', wide: true }, { name: '' }],
  rows,
})}${moreText(NEVER_SHOWN, neverMatched.length, 'rules (replay --json lists all)')}`;
}

export function ruleTables(source: PageSource): Html | undefined {
  const { total, decided } = source.summary.rules;
  if (total === 0 && decided.length === 0) return undefined;
  return html`<section id="rules">
<h2>Rules and policies that decided</h2>
${decidedTable(source) ?? html`<p class="ok">None did.</p>`}</section>
${total === 0 ? undefined : html`<section id="never"><h2>Rules that never matched</h2>${neverTable(source)}</section>\n`}`;
}
