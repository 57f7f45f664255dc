// Writes generated traffic as a capture: `node build/bench/generate.js MODE [--packets N] [--flows N] ... FILE|-`

import { parseArgs } from 'node:util';
import { MODES, type Mode, scaled, type Traffic, writeCapture } from '../src/bench/traffic.ts';

/** What the command line says; numbers may be written 4e6 or 4_000_000. */
function fromArguments(args: readonly string[]): { traffic: Traffic; path: string } {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { packets: text, flows: text, concurrent: text, rate: text, seed: text, 'frame-bytes': text },
  });
  const [mode, path] = positionals;
  if (mode === undefined || path === undefined || !(mode in MODES)) {
    throw new RangeError(
      `usage: generate ${Object.keys(MODES).join('|')} [--packets N] [--flows N] [--concurrent N] [--frame-bytes N] [--rate N] [--seed N] FILE|-`,
    );
  }
  const base = MODES[mode as Mode];
  const number = (value: string | undefined, otherwise: number): number => {
    if (value === undefined) return otherwise;
    const parsed = Number(value.replaceAll('_', ''));
    if (!(Number.isInteger(parsed) && parsed > 0)) throw new RangeError(`${value} is not a positive number`);
    return parsed;
  };
  const packets = number(values.packets, base.packets);
  return {
    traffic: {
      packets,
      flows: number(values.flows, scaled(mode as Mode, packets).flows),
      concurrent: number(values.concurrent, base.concurrent),
      rate: number(values.rate, base.rate),
      seed: number(values.seed, base.seed),
      frameBytes: number(values['frame-bytes'], base.frameBytes),
      handshakesFirst: base.handshakesFirst,
      firstFlow: base.firstFlow,
      replies: base.replies,
    },
    path,
  };
}

try {
  const { traffic, path } = fromArguments(process.argv.slice(2));
  await writeCapture(traffic, path);
} catch (error) {
  // A reader that has seen enough closes the pipe: that is no trouble.
  if ((error as NodeJS.ErrnoException).code !== 'EPIPE') {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 2;
  }
}
