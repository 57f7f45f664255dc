// What does `replay --report` gather while it runs, and what does its page say about the run?

import type { BatchView } from '../batch.ts';
import { packageVersion } from '../built.ts';
import type { Host } from '../host.ts';
import { countText } from '../report/align.ts';
import { Gatherer } from '../report/page/gather.ts';
import { replayPage } from '../report/page/page.ts';
import type { Summary } from '../report/summary.ts';
import { spanText, utcText } from '../report/time.ts';
import type { Moment, RunResult } from '../run.ts';
import { SYSCTLS } from '../topology/sysctl.ts';
import type { Options } from './args.ts';

function momentText(moment: Moment): string {
  return 'at' in moment ? utcText(moment.at) : `${spanText(moment.afterFirst)} after the first packet`;
}

/** What the user gave that decides what comes out. */
function settings(options: Options, { rulesets, sysctls, conntrack }: Host): [string, string[]][] {
  const all: [string, string[]][] = [
    ['Host', options.host === undefined ? [] : [options.host]],
    ['Rulesets', [...new Set(rulesets.map(({ file }) => file))]],
    ['Own addresses', options.local],
    ['Interfaces', options.iface],
    [
      'Sysctls other than usual',
      SYSCTLS.filter(({ index, standard }) => sysctls[index] !== standard).map(
        ({ name, index }) => `${name} = ${sysctls[index]}`,
      ),
    ],
    ['Entries before the first packet', conntrack.length === 0 ? [] : [countText(conntrack.length)]],
    ['Stopped at', options.at === undefined ? [] : [momentText(options.at)]],
    ['Checksums', options.checksums === 'auto' ? [] : [options.checksums]],
    ['Seed', options.seed === 0n ? [] : [String(options.seed)]],
  ];
  const given = all.filter(([, values]) => values.length > 0);
  return rulesets.length === 0 ? [...given, ['Rules', ['none']]] : given;
}

/** Gathers from the first world of a run. */
export class ReportPage {
  readonly #gatherer = new Gatherer();
  readonly #began = new Set<number>();

  constructor(
    private readonly options: Options,
    private readonly host: Host,
  ) {}

  /** Where PacketTally.add() notes what began a conversation in the next batch. */
  began(): Set<number> {
    this.#began.clear();
    return this.#began;
  }

  /** Gathers from a batch that has been counted. */
  add(batch: BatchView): void {
    this.#gatherer.add(batch, batch.worlds[0]!, this.#began);
  }

  /** The page. */
  text(summary: Summary, { worlds, files, error }: RunResult): string {
    const [{ rules, flows, earlyDropped }] = worlds as [RunResult['worlds'][number]];
    return replayPage({
      version: packageVersion(),
      summary,
      gathered: this.#gatherer.gathered(),
      files,
      rules,
      settings: settings(this.options, this.host),
      flows,
      earlyDropped,
      error: error?.message,
    });
  }
}
