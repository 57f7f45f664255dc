// The program `ctreplay`: arguments in, exit code out.

import { packageVersion } from '../built.ts';
import { writeStandardError, writeStandardOutput } from '../output.ts';
import { parseArguments } from './args.ts';
import { COMMAND_FUNCTIONS } from './commands.ts';
import { EXIT, type ExitCode, errorText } from './exit.ts';

export async function main(argv: readonly string[]): Promise<ExitCode> {
  try {
    const parsed = parseArguments(argv, packageVersion());
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
