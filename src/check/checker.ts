// Do the expectations hold? What a replay hands over is put before them as it goes by; nothing else is kept.

import { EventBit, EventKind, PacketFlag } from '../../assembly/vocabulary.ts';
import type { BatchView, Sink } from '../batch.ts';
import { EVENT, PACKET, RECORD, TUPLE } from '../engine/layout.ts';
import type { Host } from '../host.ts';
import { addressText } from '../report/address.ts';
import { ConntrackLines } from '../report/conntrack-text.ts';
import { packetText } from '../report/describe.ts';
import { judgement } from '../report/diff.ts';
import { familyName, protocolName } from '../report/names.ts';
import type { EventPlace } from '../report/order.ts';
import { stampAt } from '../report/time.ts';
import { parseRulesets, ruleName } from '../ruleset/index.ts';
import type { Moment, RunResult, WorldResult } from '../run.ts';
import type { KnownNames } from './description.ts';
import type { Expectation, Subject } from './expectation.ts';
import { isUnjudged, type PacketItem } from './packet-words.ts';
import type { CheckReport, FlowExample, PacketExample, RuleExample } from './report.ts';
import type { RuleItem } from './rule-words.ts';
import { ExpectationTally } from './tally.ts';
import { refuse } from './yaml.ts';

/** What a replay has to hand over, and where it ends. */
export interface CheckRun {
  wantEvents: boolean;
  wantFragments?: boolean;
  wantBytes?: boolean;
  until?: Moment;
}

export class Checker {
  private readonly packets: ExpectationTally<'packets'>[] = [];
  private readonly flows: ExpectationTally<'flows'>[] = [];
  private readonly rules: ExpectationTally<'rules'>[] = [];
  private readonly tables: ExpectationTally<'table'>[] = [];
  private readonly all: ExpectationTally<Subject>[] = [];
  private readonly ended = new ConntrackLines({ timestamp: true });
  private readonly listed = new ConntrackLines({});
  private count = 0;
  private known: KnownNames = { rules: [], interfaces: [] };

  /**
   * @param captures their paths in command-line order
   * @throws ExpectationError for what this host, or captures that can be read only once, do not allow
   */
  constructor(
    expectations: readonly Expectation[],
    private readonly captures: readonly string[],
    host: Host,
  ) {
    for (const expectation of expectations) this.take(expectation, host);
  }

  private take(expectation: Expectation, host: Host): void {
    switch (expectation.subject) {
      case 'packets':
        this.add(this.packets, new ExpectationTally(expectation, (item) => this.packetExample(item)));
        break;
      case 'flows':
        refuseUntold(expectation, host);
        this.add(this.flows, new ExpectationTally(expectation, (item) => this.flowExample(item)));
        break;
      case 'rules':
        this.add(this.rules, new ExpectationTally(expectation, ruleExample));
        break;
      case 'table':
        if (expectation.at && this.captures.includes('-')) {
          refuse(
            'expectation-value',
            'the captures are read once more for this: not from standard input',
            expectation.at.place,
          );
        }
        this.add(this.tables, new ExpectationTally(expectation, (item) => this.flowExample(item)));
        break;
    }
  }

  private add<Kind extends Subject>(list: ExpectationTally<Kind>[], tally: ExpectationTally<Kind>): void {
    list.push(tally);
    this.all.push(tally as unknown as ExpectationTally<Subject>);
  }

  /**
   * Has the captures replayed, once, and once more for each moment at which the table is asked.
   *
   * @returns the result of the whole replay
   * @throws what `play` throws; CaptureError if a capture is cut: what is expected of the whole is not known to hold of a part
   */
  async replay(play: (run: CheckRun, sink: Sink) => Promise<RunResult>): Promise<RunResult> {
    const packets = this.packets.length > 0;
    const wants = { wantEvents: this.flows.length > 0, wantFragments: packets, wantBytes: packets };
    const result = await play(wants, (batch) => this.batch(batch));
    if (result.error) throw result.error;
    this.end(result);
    for (const { moment, tallies } of this.moments()) {
      const { worlds } = await play({ wantEvents: false, until: moment }, () => {});
      this.table(worlds[0]!, tallies);
    }
    return result;
  }

  private batch(batch: BatchView): void {
    const world = batch.worlds[0]!;
    for (const event of this.flows.length ? world.events : []) {
      if (event.bytes[event.at + EVENT.kind] === EventKind.DESTROY) select(this.flows, event);
    }
    if (this.packets.length === 0) return;
    const { view, bytes, records, count, interfaces } = batch;
    const item: PacketItem = { view, bytes, record: 0, packet: 0, translation: 0, world, interfaces };
    for (let i = 0; i < count; i++) {
      item.record = records + i * RECORD.size;
      item.packet = world.packets + i * PACKET.size;
      item.translation = world.translations + i * TUPLE.size;
      select(this.packets, item);
      if (!isUnjudged(item)) continue;
      for (const tally of this.packets) {
        const { selects, describes } = tally.expectation;
        if (describes(item) && !selects(item)) tally.addUnjudged(item);
      }
    }
  }

  /** Looks at what is there at the end of the captures. */
  private end(result: RunResult): void {
    const world = result.worlds[0]!;
    const { interfaces } = result;
    this.count = result.packets;
    this.known = {
      rules: world.rules,
      interfaces: Array.from({ length: interfaces.count }, (_, index) => interfaces.name(index + 1)!),
    };
    world.rules.forEach((info, index) => {
      const { packets, bytes } = world.counters(index);
      select(this.rules, { info, packets: Number(packets), bytes: Number(bytes) });
    });
    this.table(world, [...this.flows, ...this.tables.filter(({ expectation }) => !expectation.at)]);
  }

  /** The moments at which tables are asked, each once. */
  private moments(): Iterable<{ moment: Moment; tallies: ExpectationTally<'table'>[] }> {
    const moments = new Map<string, { moment: Moment; tallies: ExpectationTally<'table'>[] }>();
    for (const tally of this.tables) {
      const moment = tally.expectation.at?.moment;
      if (!moment) continue;
      const key = 'at' in moment ? `${moment.at}` : `+${moment.afterFirst}`;
      const same = moments.get(key);
      if (same) same.tallies.push(tally);
      else moments.set(key, { moment, tallies: [tally] });
    }
    return moments.values();
  }

  private table(world: WorldResult, tallies: readonly (ExpectationTally<'flows'> | ExpectationTally<'table'>)[]): void {
    if (tallies.length === 0) return;
    for (const entry of world.table()) select(tallies, entry);
  }

  /** What came out, once all was replayed. */
  report(): CheckReport {
    const results = this.all.map((tally) => tally.result(this.known));
    const failed = results.filter(({ holds }) => !holds).length;
    return { packets: this.count, holds: failed === 0, failed, results };
  }

  private packetExample({ view, bytes, record, packet, world }: PacketItem): PacketExample {
    return {
      capture: this.captures[view.getUint16(record + RECORD.file, true) - 1]!,
      n: view.getUint32(record + RECORD.n, true),
      ts: stampAt(view, record + RECORD.ts),
      packet: this.packetText(view, bytes, packet),
      ...judgement(view, bytes, packet, world.rules),
    };
  }

  private packetText(view: DataView, bytes: Uint8Array, packet: number): string {
    if (!(view.getUint16(packet + PACKET.flags, true) & PacketFlag.FRAGMENT_OF)) return packetText(view, bytes, packet);
    // Its ports and transport header are those of its packet, whose number stands in their place.
    const l3num = bytes[packet + PACKET.l3num]!;
    const [source, target] = [PACKET.src_lo, PACKET.dst_lo].map((end) => addressText(bytes, packet + end, l3num));
    const capture = this.captures[view.getUint16(packet + PACKET.l4, true) - 1];
    const whole = `${capture}:${view.getUint32(packet + PACKET.hash, true)}`;
    return `${protocolName(bytes[packet + PACKET.protonum]!)} ${source} -> ${target}, fragment of ${whole}`;
  }

  private flowExample(place: EventPlace): FlowExample {
    const ended = place.bytes[place.at + EVENT.kind] === EventKind.DESTROY;
    const lines = ended ? this.ended.events([place]) : this.listed.entries([place]);
    return {
      flow: Array.from(lines, (line) => Buffer.from(line).toString())
        .join('')
        .replace('\t', ' ')
        .trim(),
    };
  }
}

function select<Item>(
  tallies: readonly { expectation: { selects: (item: Item) => boolean }; add: (item: Item) => void }[],
  item: Item,
): void {
  for (const tally of tallies) if (tally.expectation.selects(item)) tally.add(item);
}

function ruleExample({ info, packets, bytes }: RuleItem): RuleExample {
  const { family, text, file, line } = info;
  return { rule: ruleName(info), family: familyName(family), packets, bytes, text, file, line };
}

/** Flows are looked at when they end: none may end without its being told. */
function refuseUntold(expectation: Expectation, host: Host): void {
  for (const { rule } of parseRulesets(host.rulesets).entries) {
    if (rule?.target.kind !== 'template') continue;
    const { template, at } = rule.target;
    if (template.events === undefined || template.events.entries & EventBit.DESTROY) continue;
    const { file, line } = at;
    refuse(
      'expectation-value',
      `flows are looked at when they end, and ${file}:${line} keeps that from being told (--ctevents without destroy)`,
      expectation.selection,
    );
  }
}
