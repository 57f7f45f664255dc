// Do ctreplay and the slow model make the same of any traffic through NAT? The same verdicts, entries, states and translated
// packets one by one, and the same events with both tuples, ports that are looked for at random included.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Sysctl } from '../../assembly/vocabulary.ts';
import { loadHost } from '../../src/host.ts';
import { flowJson } from '../../src/report/conntrack-json.ts';
import { PacketLines } from '../../src/report/packets.ts';
import { run } from '../../src/run.ts';
import { type ModelTuple, tupleOf } from '../model/icmp.ts';
import { drawNatRules, drawTranslated } from '../model/nat-traffic.ts';
import { readPacket } from '../model/packet.ts';
import { Random } from '../model/random.ts';
import { drawSettings, sysctlsOf } from '../model/settings.ts';
import { type ModelEvent, ModelTracker, type ModelVerdict } from '../model/tracker.ts';
import { Traffic } from '../model/traffic.ts';
import { ethernet, writePcap } from '../support/packets.ts';

const range = process.env.NAT_SEEDS?.split('-').map(Number) ?? [1, 25];
const PACKETS = 1500;

const folder = mkdtempSync(join(tmpdir(), 'ctreplay-nat-model-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Bits of an entry's status that the model knows. */
const BITS = ['SEEN_REPLY', 'ASSURED', 'SRC_NAT', 'DST_NAT'];
const known = (status: readonly string[]): string => status.filter((bit) => BITS.includes(bit)).join('+');

function addressText(hex: string): string {
  const bytes = Buffer.from(hex, 'hex');
  if (bytes.length === 4) return bytes.join('.');
  return new URL(`http://[${hex.match(/..../g)!.join(':')}]`).hostname.slice(1, -1);
}

/** The tuple as JSON has it. */
function shown({ family: _, protocol, source, target, sport, dport }: ModelTuple): object {
  const addresses = { src: addressText(source), dst: addressText(target) };
  if (protocol === 1 || protocol === 58) return { ...addresses, type: dport >> 8, code: dport & 255, id: sport };
  return [6, 17, 132].includes(protocol) ? { ...addresses, sport, dport } : addresses;
}

/** What is compared of a packet: whether it passed, its entry, and what it became. */
function packetOfModel(verdict: ModelVerdict, captured: ModelTuple | undefined): string {
  if (verdict.clashed) return 'DROP nat-clash';
  if (verdict.ctState === 'INVALID' || verdict.ctState === 'UNTRACKED') return `ACCEPT ${verdict.ctState}`;
  const { ctState, dir, status, flowId, sent } = verdict;
  const changed: Record<string, unknown> = {};
  const [before, after] = [captured && shown(captured), sent && shown(sent)] as Record<string, unknown>[];
  for (const key of ['src', 'dst', 'sport', 'dport', 'id']) {
    if (before?.[key] !== after?.[key]) changed[key] = after![key];
  }
  // Of ICMPv6 only echoes have an id that could be changed (icmpv6_manip_pkt()); other queries keep theirs, whatever the entry says.
  if (captured?.protocol === 58 && ![128, 129].includes(captured.dport >> 8)) delete changed.id;
  return `ACCEPT ${ctState} ${dir.toLowerCase()} ${known(status)} ${flowId} ${JSON.stringify(changed)}`;
}

function packetOfOurs(line: string): string {
  const { verdict, why, ct, nat = {} } = JSON.parse(line);
  if (verdict !== 'ACCEPT') return `${verdict} ${why}`;
  if (ct.state === 'INVALID' || ct.state === 'UNTRACKED') return `ACCEPT ${ct.state}`;
  const changed = Object.fromEntries(
    ['src', 'dst', 'sport', 'dport', 'id'].flatMap((key) => (key in nat ? [[key, nat[key]]] : [])),
  );
  return `ACCEPT ${ct.state} ${ct.dir} ${known(ct.status ?? [])} ${ct.id} ${JSON.stringify(changed)}`;
}

function eventOfModel({ time, kind, id, timeout, original, reply, status }: ModelEvent): string {
  const seconds = `${time / 1_000_000_000n}.${String(time % 1_000_000_000n).padStart(9, '0')}`;
  return JSON.stringify([seconds, kind, id, timeout, shown(original), shown(reply), known(status)]);
}

function eventOfOurs(line: string): string {
  const { ts, event, id, timeout, original, reply, status } = JSON.parse(line);
  const bare = ({ packets: _, bytes: __, ...tuple }: Record<string, unknown>): object => tuple;
  return JSON.stringify([ts, event, id, timeout, bare(original), bare(reply), known(status)]);
}

interface Outcome {
  packets: string[];
  events: string[];
}

/** The traffic of a seed, what the model says of it, and the firewall that is asked. */
function generate(seed: number, met: Set<string>): { wanted: Outcome; ours: () => Promise<Outcome> } {
  const random = new Random(seed);
  const { rules, text } = drawNatRules(random);
  const settings = drawSettings(random);
  const model = new ModelTracker(settings, { rules, seed: BigInt(seed) });
  const traffic = new Traffic(random, model, {});
  const wanted: Outcome = { packets: [], events: [] };
  const frames: { time: bigint; data: Uint8Array }[] = [];
  for (let i = 0; i < PACKETS; i++) {
    const { time, bytes } = drawTranslated(random, traffic, model);
    frames.push({ time, data: ethernet(bytes) });
    const verdict = model.judge(bytes, time);
    wanted.packets.push(packetOfModel(verdict, tupleOf(readPacket(bytes))));
    met.add(verdict.clashed ? 'clash' : verdict.status.join('+'));
  }
  wanted.events = inOrder(model.events).map(eventOfModel);
  for (const { original, reply } of model.events) if (original.sport !== reply.dport) met.add('another port');
  const [capture, rules4, rules6] = ['capture', 'rules4', 'rules6'].map((name) => join(folder, name));
  writeFileSync(capture!, writePcap(frames));
  writeFileSync(rules4!, `# Generated by iptables-save\n${text[4]}`);
  writeFileSync(rules6!, `# Generated by ip6tables-save\n${text[6]}`);
  const host = loadHost({ rules: [rules4!, rules6!] });
  for (const [name, value] of Object.entries(sysctlsOf(settings))) host.sysctls[Sysctl[name as 'MAX']] = value;
  return { wanted, ours: () => replayed(capture!, host, seed) };
}

/** Deaths before what packets do at the same time; these as they were caused. */
function inOrder(events: readonly ModelEvent[]): ModelEvent[] {
  const by = (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0);
  return [...events].sort(
    (a, b) => by(a.time, b.time) || a.klass - b.klass || a.order - b.order || a.sequence - b.sequence,
  );
}

async function replayed(path: string, host: ReturnType<typeof loadHost>, seed: number): Promise<Outcome> {
  const outcome: Outcome = { packets: [], events: [] };
  const options = { captures: [{ path }], checksums: 'ignore', wantEvents: true, workers: 1 } as const;
  await run({ ...options, hosts: [host], seed: BigInt(seed) }, (batch) => {
    const world = batch.worlds[0]!;
    const lines = new PacketLines({ rules: world.rules, interfaces: batch.interfaces });
    let text = '';
    for (const piece of lines.lines(batch, world)) text += Buffer.from(piece).toString();
    outcome.packets.push(...text.trimEnd().split('\n').map(packetOfOurs));
    outcome.events.push(...world.events.map(({ view, bytes, at }) => eventOfOurs(flowJson(view, bytes, at, false))));
  });
  return outcome;
}

describe('ctreplay and the model of NAT', () => {
  it(`agree on ${range[1]! - range[0]! + 1} seeds of ${PACKETS} packets`, { timeout: 300_000 }, async () => {
    const met = new Set<string>();
    for (let seed = range[0]!; seed <= range[1]!; seed++) {
      const { wanted, ours } = generate(seed, met);
      const got = await ours();
      for (const part of ['packets', 'events'] as const) {
        const at = wanted[part].findIndex((line, index) => line !== got[part][index]);
        const differs =
          at >= 0 && `seed ${seed}, ${part} ${at + 1}:\n ours  ${got[part][at]}\n model ${wanted[part][at]}`;
        expect(differs).toBe(false);
        expect(got[part]).toHaveLength(wanted[part].length);
      }
    }
    // Agreement means little about what never came up.
    expect([...met]).toEqual(
      expect.arrayContaining(['clash', 'SRC_NAT', 'DST_NAT', 'SRC_NAT+DST_NAT', 'another port']),
    );
  });
});
