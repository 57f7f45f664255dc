// The program `ctreplay`: arguments in, exit code out.

import { readFileSync } from 'node:fs';
import { packageFile } from '../built.ts';
import { writeStandardError, writeStandardOutput } from '../output.ts';
import { parseArguments } from './args.ts';
import { COMMAND_FUNCTIONS } from './commands.ts';
import { EXIT, type ExitCode, errorText } from './exit.ts';

function version(): string {
  return (JSON.parse(readFileSync(packageFile('package.json'), 'utf8')) as { version: string }).version;
}

export async function main(argv: readonly string[]): Promise<ExitCode> {
  try {
    const parsed = parseArguments(argv, version());
    if (parsed.kind === 'command') {
      const command = await COMMAND_FUNCTIONS[parsed.command]();
      return await command(parsed.options, parsed.captures);
    }
    await writeStandardOutput(parsed.text);
    return EXIT.DONE;
  } catch (error) {
    await writeStandardError(errorText(error));
    return EXIT.TROUBLE;
  }
}
