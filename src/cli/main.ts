#!/usr/bin/env node
// The program `ctreplay`: arguments in, exit code out.

import { createRequire } from 'node:module';
import { writeStandardOutput } from '../output.ts';
import { parseArguments } from './args.ts';
import { COMMAND_FUNCTIONS } from './commands.ts';
import { EXIT, type ExitCode, errorText } from './exit.ts';

function version(): string {
  return (createRequire(import.meta.url)('ctreplay/package.json') as { version: string }).version;
}

async function main(argv: readonly string[]): Promise<ExitCode> {
  try {
    const parsed = parseArguments(argv, version());
    if (parsed.kind === 'command') {
      const command = await COMMAND_FUNCTIONS[parsed.command]();
      return await command(parsed.options, parsed.captures);
    }
    await writeStandardOutput(parsed.text);
    return EXIT.DONE;
  } catch (error) {
    process.stderr.write(errorText(error));
    return EXIT.TROUBLE;
  }
}

// Standard error that nobody reads any more is no trouble either.
process.stderr.on('error', () => {});
process.exitCode = await main(process.argv.slice(2));
