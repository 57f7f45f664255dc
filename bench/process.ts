// How long does a whole process take, from its start to its end, and what does it use?

import { spawn } from 'node:child_process';
import type { Usage } from './usage.ts';

export interface ProcessRun {
  /** Wall time from spawn to exit. */
  seconds: number;
  /** Undefined for programs that are not Node's. */
  usage?: Usage;
}

/**
 * Runs a program to its end; its standard output is thrown away.
 * @param args of a Node program if `program` is process.execPath: it then also says what it used
 * @throws Error with what it wrote to standard error if it fails
 */
export async function runProcess(program: string, args: readonly string[]): Promise<ProcessRun> {
  const node = program === process.execPath;
  const all = node ? ['--no-deprecation', '--import', new URL('./usage.js', import.meta.url).href, ...args] : args;
  const start = performance.now();
  const child = spawn(program, all, { stdio: ['ignore', 'ignore', 'pipe', 'pipe'] });
  const errors = gather(child.stdio[2] as NodeJS.ReadableStream);
  const usage = gather(child.stdio[3] as NodeJS.ReadableStream);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', resolve);
  });
  const seconds = (performance.now() - start) / 1000;
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${await errors}`);
  const said = await usage;
  return said === '' ? { seconds } : { seconds, usage: JSON.parse(said) as Usage };
}

async function gather(stream: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += chunk;
  return text;
}
