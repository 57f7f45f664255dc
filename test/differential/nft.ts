// What does `nft list ruleset` say, in text or as JSON, and what has to be done to it for a comparison? The tables of the
// comparison's own are taken out, rules that count nothing get a counter, and what was counted is read by rule.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The forms in which our side may be given a ruleset that the kernel has: as text, with handles, as `nft -j` prints it. */
export const NFT_FORMS = ['text', 'handles', 'json'] as const;
export type NftForm = (typeof NFT_FORMS)[number];

/** Words before `list ruleset` that make nft print a form. */
export const FORM_OPTIONS: Record<NftForm, string[]> = { text: [], handles: ['-a'], json: ['-j'] };

/** Tables of the comparison's own begin so. */
export const OWN_TABLES = 'ctreplay_';

/** What nft prints, without the tables of the comparison's own. */
export function withoutOwnTables(listing: string): string {
  if (!listing.startsWith('{')) {
    const tables = listing.split(/^(?=table )/m).filter((table) => !table.split(' ')[2]?.startsWith(OWN_TABLES));
    return tables.join('');
  }
  const objects = (JSON.parse(listing) as NftJson).nftables.filter((object) => {
    const [[kind, { name, table = '' }]] = Object.entries(object) as [[string, NftObject]];
    return !(kind === 'table' ? (name ?? '') : table).startsWith(OWN_TABLES);
  });
  return `${JSON.stringify({ nftables: objects })}\n`;
}

interface NftObject {
  family?: string;
  table?: string;
  chain?: string;
  name?: string;
  expr?: unknown;
}

interface NftJson {
  nftables: Record<string, NftObject>[];
}

/** A verdict, or what decides as one, at the end of a rule. */
const DECIDES =
  /(^|\s)(accept|drop|return|continue|(jump|goto) \S+|reject( with .*)?|(snat|dnat|masquerade|redirect)( .*)?|queue( .*)?)$/;

/**
 * A ruleset, as nft lists it, in which each rule counts: those without a counter get one before their verdict. Where the verdict comes
 * from a map the counter counts who asked.
 */
export function withCounters(listing: string): string {
  let block = '';
  const lines = joined(listing).map((line) => {
    block = /^\t(chain|set|map|flowtable|ct|counter|quota|limit|secmark|synproxy)\b.*\{/.exec(line)?.[1] ?? block;
    if (block !== 'chain' || !/^\t\t(?!type |comment |policy )\S/.test(line) || /(^|\s)counter(\s|$)/.test(line))
      return line;
    const [, rule = '', comment = ''] = /^\t\t(.*?)( comment ".*")?$/.exec(line) ?? [];
    if (/(^|\s)vmap (\{|@)/.test(rule)) return `\t\tcounter ${rule}${comment}`;
    const verdict = DECIDES.exec(rule);
    const tests = verdict ? rule.slice(0, verdict.index) : rule;
    const words = [tests, 'counter', rule.slice(tests.length).trim()].filter(Boolean).join(' ');
    return `\t\t${words}${comment}`;
  });
  return lines.join('\n');
}

/** Lines of a listing; a rule whose sets take several lines is one. */
function joined(listing: string): string[] {
  const lines: string[] = [];
  let open = '';
  for (const line of listing.split('\n')) {
    const whole = open ? `${open} ${line.trim()}` : line;
    const plain = whole.replace(/"[^"]*"/g, '');
    const depth = plain.split('{').length - plain.split('}').length;
    const header =
      /^\t?(table|chain|set|map|flowtable|counter|quota|limit|ct \S+|secmark|synproxy)\b.*\{( # .*)?$/.test(whole);
    open = depth > 0 && !header ? whole : '';
    if (!open) lines.push(whole);
  }
  return lines;
}

/**
 * The ruleset as the kernel lists it once every rule counts. Loaded in a namespace of its own, which has the interfaces that rules
 * may name.
 */
export async function listedWithCounters(text: string, interfaces: readonly string[]): Promise<string> {
  const script = [
    'set -e',
    ...interfaces.map((name) => `ip tuntap add ${name} mode tap`),
    'nft -f -',
    'nft list ruleset',
  ].join('\n');
  const env = { ...process.env, LC_ALL: 'C', PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` };
  const asked = run('unshare', ['--net', '--', 'sh', '-c', script], { env, maxBuffer: 1 << 28 });
  asked.child.stdin?.on('error', () => {});
  asked.child.stdin?.end(withoutFlush(text));
  return withCounters((await asked).stdout);
}

/** Nothing is there that could be flushed, but the comparison's own tables. */
function withoutFlush(text: string): string {
  return text.replace(/^\s*flush ruleset;?\s*$/gm, '');
}

/**
 * What a listing says that packets change: rules with their counters by `family table/chain/number`, objects and elements of sets. Times
 * that elements have left are taken out, what of a quota is used, and handles.
 */
export function statesOf(listing: string): Map<string, string> {
  return listing.trimStart().startsWith('{') ? statesOfJson(listing) : statesOfText(listing);
}

function statesOfText(listing: string): Map<string, string> {
  const states = new Map<string, string>();
  let [table, kind, name, number] = ['', '', '', 0];
  for (const whole of joined(listing)) {
    const line = whole.replace(/ # handle \d+$| used \d+ \w*bytes/g, '');
    const [, header, called] = /^table (\S+ \S+) \{|^\t(\S.*) \{$/.exec(line) ?? [];
    if (header) table = header;
    if (called) {
      [kind, name = ''] = called.split(/ (?=\S+$)/) as [string, string];
      number = 0;
      continue;
    }
    if (!line.startsWith('\t\t') || header) continue;
    const key = `${table}/${name}`;
    const text = line.trim();
    if (kind === 'chain') {
      if (/^(type|policy|comment) /.test(text)) continue;
      number++;
      states.set(`${key}/${number}`, text);
    } else if (kind === 'set' || kind === 'map') {
      const [, elements] = /^elements = \{ (.*) \}$/.exec(text) ?? [];
      for (const element of elements?.split(/,\s+/) ?? []) {
        const [plain = '', ...rest] = element.trim().split(/ (?=counter |expires |timeout |limit |quota |comment |: )/);
        states.set(`${key} ${plain}`, rest.filter((part) => !part.startsWith('expires ')).join(' '));
      }
    } else states.set(`${kind} ${key}`, `${states.get(`${kind} ${key}`) ?? ''} ${text}`.trim());
  }
  return states;
}

function statesOfJson(listing: string): Map<string, string> {
  const states = new Map<string, string>();
  const numbers = new Map<string, number>();
  for (const object of (JSON.parse(listing) as NftJson).nftables) {
    for (const [kind, { family, table, chain, name, expr, ...rest }] of Object.entries(object)) {
      if (kind === 'rule') {
        const key = `${family} ${table}/${chain}`;
        numbers.set(key, (numbers.get(key) ?? 0) + 1);
        states.set(`${key}/${numbers.get(key)}`, withoutUsed(JSON.stringify(expr)));
      } else if (kind === 'set' || kind === 'map') {
        const { elem = [] } = rest as { elem?: unknown[] };
        for (const element of elem) {
          const {
            val,
            expires: _,
            ...more
          } = (element as { elem?: { val: unknown; expires?: number } }).elem ?? { val: element };
          states.set(`${family} ${table}/${name} ${JSON.stringify(val)}`, JSON.stringify(more));
        }
      } else if (kind === 'counter' || kind === 'quota' || kind === 'limit') {
        const { handle: _, ...values } = rest as { handle?: number };
        states.set(`${kind} ${family} ${table}/${name}`, withoutUsed(JSON.stringify(values)));
      }
    }
  }
  return states;
}

function withoutUsed(json: string): string {
  return json.replace(/,"used(_unit)?":("\w+"|\d+)/g, '');
}
