// Which function is behind a command?

import type { CaptureSpec } from '../capture/reader.ts';
import type { Options } from './args.ts';
import { diffCommand } from './diff.ts';
import type { ExitCode } from './exit.ts';
import type { CommandName } from './flags.ts';
import { replayCommand } from './replay.ts';
import { eventsCommand, listCommand } from './stream.ts';
import { traceCommand } from './trace.ts';

/** Runs a command to its exit code. Errors that end it are thrown. */
export type CommandFunction = (options: Options, captures: readonly CaptureSpec[]) => Promise<ExitCode>;

export const COMMAND_FUNCTIONS: Record<CommandName, CommandFunction> = {
  replay: replayCommand,
  events: eventsCommand,
  list: listCommand,
  trace: traceCommand,
  diff: diffCommand,
};
