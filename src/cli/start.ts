// How does every command begin? From parsed options to hosts and the options of a run.

import type { Sink } from '../batch.ts';
import type { CaptureSpec } from '../capture/reader.ts';
import { type Host, loadHost } from '../host.ts';
import { writeStandardError } from '../output.ts';
import { type RunOptions, type RunResult, run } from '../run.ts';
import type { Options } from './args.ts';
import { EXIT, type ExitCode, errorText } from './exit.ts';
import { progressBar } from './progress.ts';

/** The host that --host (or --old, --new) and the options beside it describe. */
export function hostFrom(options: Options, host: string | undefined): Host {
  return loadHost({
    host,
    rules: options.rules,
    sysctls: options.sysctl,
    locals: options.local,
    interfaces: options.iface,
    owner: options.owner,
  });
}

/** What a command adds to the options that all have. */
export interface CommandRun {
  hosts: RunOptions['hosts'];
  wantEvents: boolean;
  wantFragments?: boolean;
  wantBytes?: boolean;
  wantSent?: boolean;
  wantSummary?: boolean;
  trace?: RunOptions['trace'];
  /** Another moment than --at says. */
  until?: RunOptions['until'];
  signal?: AbortSignal;
}

/**
 * Runs the captures through the hosts, with a progress bar where it is wanted.
 */
export async function runCaptures(
  options: Options,
  captures: readonly CaptureSpec[],
  command: CommandRun,
  sink: Sink,
): Promise<RunResult> {
  const bar = await progressBar(options.quiet);
  try {
    return await run(
      {
        captures,
        workers: options.workers,
        seed: options.seed,
        checksums: options.checksums,
        until: options.at,
        ...command,
        onProgress: (progress) => bar.update(progress),
      },
      sink,
    );
  } finally {
    bar.stop();
  }
}

/** Says on standard error what the user should know besides the output. */
export async function tell(options: Options, text: string): Promise<void> {
  if (!options.quiet) await writeStandardError(`ctreplay: ${text}\n`);
}

/** Exit code of a run whose output is complete: trouble if a capture was cut. */
export async function conclude(result: RunResult, otherwise: ExitCode): Promise<ExitCode> {
  if (result.error === undefined) return otherwise;
  await writeStandardError(errorText(result.error));
  return EXIT.TROUBLE;
}
