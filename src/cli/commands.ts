// Which function is behind a command?

import type { CaptureSpec } from '../capture/reader.ts';
import type { Options } from './args.ts';
import type { ExitCode } from './exit.ts';
import type { CommandName } from './flags.ts';

/** Runs a command to its exit code. Errors that end it are thrown. */
export type CommandFunction = (options: Options, captures: readonly CaptureSpec[]) => Promise<ExitCode>;

/** Loads what one command needs and nothing of the others: modules are a good part of a short run. */
export const COMMAND_FUNCTIONS: Record<CommandName, () => Promise<CommandFunction>> = {
  replay: async () => (await import('./replay.ts')).replayCommand,
  events: async () => (await import('./stream.ts')).eventsCommand,
  list: async () => (await import('./stream.ts')).listCommand,
  trace: async () => (await import('./trace.ts')).traceCommand,
  diff: async () => (await import('./diff.ts')).diffCommand,
  check: async () => (await import('./check.ts')).checkCommand,
  bench: async () => (await import('./bench.ts')).benchCommand,
  plan: async () => (await import('./plan.ts')).planCommand,
};
