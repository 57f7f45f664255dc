// Do the real conntrack and the kernel print expectations as ours? Those of a kernel are listed and watched in all formats; the
// plain lines are read into records, which ours must print alike. Needs root and conntrack; without them it is skipped, or
// fails when CTREPLAY_REQUIRE_KERNEL=1 (CI).

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { EventKind, ExpectFlag, L3 } from '../../assembly/vocabulary.ts';
import { parseArguments } from '../../src/cli/args.ts';
import { EVENT, TUPLE } from '../../src/engine/layout.ts';
import { expectationFormat } from '../../src/report/expectations.ts';
import type { EventPlace } from '../../src/report/order.ts';
import { helperNumber } from '../../src/ruleset/helpers.ts';
import { addressBytes, memory, writeTuple } from '../unit/report/records.ts';
import { missing } from './kernel.ts';

const lacks = missing();
const required = process.env.CTREPLAY_REQUIRE_KERNEL === '1';
if (lacks.length > 0 && !required) console.warn(`asking conntrack SKIPPED; missing: ${lacks.join('; ')}`);

/** Output by modes; "" for none. */
interface Answer {
  list: Record<string, string>;
  events: Record<string, string>;
  proc: string;
}

function ask(): Answer {
  const script = fileURLToPath(new URL('expect-tool.py', import.meta.url));
  const env = { ...process.env, TZ: 'UTC' };
  const { status, stdout, stderr } = spawnSync('unshare', ['-n', 'python3', script], { encoding: 'utf8', env });
  if (status !== 0) throw new Error(`expect-tool.py: ${stderr}`);
  return JSON.parse(stdout);
}

const LINE =
  /^(?:\[(\d+)\.(\d+) *\]\t)?(?: *\[(NEW|DESTROY)\] )?(\d+) proto=(\d+) (src=.*) (mask-src=.*) (master-src=.*?) (?:([A-Z,]+) )?class=(\d+) helper=(\S+)$/;

/** Records that must print as these lines. The protocol of a master follows from its helper. */
function records(text: string): EventPlace[] {
  const lines = text.split('\n').filter(Boolean);
  const { view, bytes } = memory(lines.length * EVENT.size);
  return lines.map((line, index) => {
    const at = index * EVENT.size;
    const [, seconds = '0', micros = '0', kind, timeout, protonum, expected, mask, master, flags = '', klass, helper] =
      LINE.exec(line) ?? [];
    if (timeout === undefined) throw new Error(`no expectation: ${line}`);
    const words = (part: string): Record<string, string> =>
      Object.fromEntries([...part.matchAll(/(\w+)=(\S+)/g)].map(([, key, value]) => [key, value]));
    const tuple = (place: number, part: string, protocol: number): void => {
      const { src = '', dst = '', ...ports } = words(part);
      const numbers = Object.fromEntries(Object.entries(ports).map(([key, value]) => [key, Number(value)]));
      writeTuple({ view, bytes }, place, { src, dst, protonum: protocol, ...numbers });
    };
    view.setBigUint64(at + EVENT.time, BigInt(seconds) * 1_000_000_000n + BigInt(micros) * 1000n, true);
    bytes[at + EVENT.kind] =
      kind === undefined ? EventKind.NONE : kind === 'NEW' ? EventKind.EXPECT_NEW : EventKind.EXPECT_DESTROY;
    view.setUint32(at + EVENT.timeout_s, Number(timeout), true);
    tuple(at + EVENT.original_0, expected!, Number(protonum));
    tuple(at + EVENT.reply_0, master!, helper === 'pptp' ? 6 : 17);
    // What the kernel does not tell must not show.
    view.setUint16(at + EVENT.original_0 + TUPLE.zone, 5, true);
    const { src, sport, srckey } = words(mask!.replaceAll('mask-', ''));
    bytes.set(addressBytes(src!), at + EVENT.packets_original);
    view.setUint16(at + EVENT.packets_reply, Number(sport ?? srckey));
    const set = flags.split(',').filter(Boolean) as (keyof typeof ExpectFlag)[];
    view.setUint32(
      at + EVENT.status,
      set.reduce((bits, flag) => bits | ExpectFlag[flag], 0),
      true,
    );
    view.setUint32(at + EVENT.mark, Number(klass), true);
    bytes[at + EVENT.helper] = helperNumber(helper!);
    return { view, bytes, at };
  });
}

function print(places: readonly EventPlace[], modes: string): string {
  const parsed = parseArguments(['list', '--expected', ...(modes ? ['-o', modes] : []), 'a.pcap'], '');
  if (parsed.kind !== 'command') throw new Error(modes);
  const format = expectationFormat(parsed.options.output ?? new Set());
  let text = format.header;
  for (const piece of format.lines(places)) text += Buffer.from(piece).toString();
  return text + format.footer;
}

/** Seconds go by between two listings; two families are two documents. */
function timeless(text: string): string[] {
  return text
    .replace(/^\[[\d. ]+\]\t/gm, '[]')
    .replace(/^(\[\])?( *\[\w+\] )?\d+ /gm, '$1$2- ')
    .replace(/<timeout>\d+/g, '<timeout>-')
    .replace(/<when>.*?<\/when>/g, '<when/>')
    .replace(/<\/expect>\n<\?xml .*?>\n<expect>\n/g, '')
    .split('\n')
    .sort();
}

describe.skipIf(lacks.length > 0 && !required)('expectations', () => {
  const answer = ask();

  it('are something of everything: flags, classes, GRE, IPv6', () => {
    const plain = answer.list['']!;
    expect(plain.split('\n').filter(Boolean)).toHaveLength(8);
    for (const word of ['PERMANENT,INACTIVE', 'class=1', 'srckey=', 'src=::1']) expect(plain).toContain(word);
  });

  it.each(Object.entries(answer.list))('are listed as ours: -o %s', (modes, out) => {
    expect(timeless(print(records(answer.list['']!), modes))).toEqual(timeless(out));
  });

  it.each(Object.entries(answer.events))('are watched as ours: -o %s', (modes, out) => {
    expect(timeless(print(records(answer.events.timestamp!), modes))).toEqual(timeless(out));
  });

  it('say when, in UTC, as conntrack does', () => {
    const whens = (text: string): string[] => [...text.matchAll(/<when>.*?<\/when>/g)].map(([when]) => when);
    const theirs = whens(answer.events['xml,timestamp']!);
    const ours = whens(print(records(answer.events.timestamp!), 'xml,timestamp'));
    expect(theirs.length).toBeGreaterThan(10);
    // Each listener has its own clock: a second may end between the two.
    expect(ours.filter((when) => theirs.includes(when)).length).toBeGreaterThan(0);
  });

  it('are printed by the kernel as ours: -o proc', () => {
    expect(timeless(print(records(answer.list['']!), 'proc'))).toEqual(timeless(answer.proc));
  });

  it('are JSON for programs', () => {
    const [first] = records(answer.list['']!).filter(({ bytes, at }) => bytes[at + EVENT.original_0 + 37] === L3.IPV6);
    expect(JSON.parse(print([first!], 'json'))).toEqual({
      ts: '0.000000000',
      id: '0.1',
      family: 'ipv6',
      proto: 'udp',
      protonum: 17,
      timeout: expect.any(Number),
      expected: { src: '::1', dst: '::1', sport: 0, dport: 4000 },
      mask: {
        src: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
        dst: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
        sport: 0,
        dport: 65535,
      },
      master: { src: '::1', dst: '::1', sport: 4000, dport: 69 },
      zone: 5,
      flags: [],
      class: 0,
      helper: 'tftp',
    });
  });
});
