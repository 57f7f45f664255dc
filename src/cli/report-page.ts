// What does `replay --report` gather while it runs, and what does its page say about the run?

import type { BatchView } from '../batch.ts';
import { packageVersion } from '../built.ts';
import type { Host } from '../host.ts';
import { Gatherer } from '../report/page/gather.ts';
import { replayPage } from '../report/page/page.ts';
import type { Summary } from '../report/summary.ts';
import type { RunResult } from '../run.ts';
import type { Options } from './args.ts';
import { given, hostSettings, optionSettings } from './report-settings.ts';

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
    const { options, host } = this;
    const [{ rules, flows, earlyDropped }] = worlds as [RunResult['worlds'][number]];
    return replayPage({
      version: packageVersion(),
      summary,
      gathered: this.#gatherer.gathered(),
      files,
      rules,
      settings: given([...hostSettings(options.host, host), ...optionSettings(options)]),
      flows,
      earlyDropped,
      error: error?.message,
    });
  }
}
