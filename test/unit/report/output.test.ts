// Does an output appear whole or not at all, and is a closed pipe no trouble?

import { spawn } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ts from 'typescript';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { OutputError, openOutput } from '../../../src/output.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ctreplay-output-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('a regular file', () => {
  test('appears when it is finished, with nothing left beside it', async () => {
    const path = join(folder, 'events');
    const output = await openOutput(path);
    await output.write('a'.repeat(300_000));
    await output.write('ü\n');
    expect(readdirSync(folder)).not.toContain('events');
    await output.finish();
    expect(readdirSync(folder)).toEqual(['events']);
    expect(readFileSync(path, 'utf8')).toBe(`${'a'.repeat(300_000)}ü\n`);
  });

  test('that is discarded leaves the old one as it was', async () => {
    const path = join(folder, 'events');
    writeFileSync(path, 'old');
    const output = await openOutput(path);
    await output.write('b'.repeat(300_000));
    await output.discard();
    expect(readdirSync(folder)).toEqual(['events']);
    expect(readFileSync(path, 'utf8')).toBe('old');
  });

  test('that replaces another keeps its permissions', async () => {
    const path = join(folder, 'events');
    writeFileSync(path, 'old');
    chmodSync(path, 0o640);
    const output = await openOutput(path);
    await output.finish();
    expect(statSync(path).mode & 0o777).toBe(0o640);
    expect(readFileSync(path, 'utf8')).toBe('');
  });

  test('behind a link is replaced, the link stays', async () => {
    writeFileSync(join(folder, 'target'), 'old');
    symlinkSync('target', join(folder, 'link'));
    const output = await openOutput(join(folder, 'link'));
    output.write('new');
    await output.finish();
    expect(lstatSync(join(folder, 'link')).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(folder, 'target'), 'utf8')).toBe('new');
  });

  test.each([
    ['a folder', () => folder],
    ['a folder that does not exist', () => join(folder, 'no', 'events')],
  ])('cannot be opened: %s', async (_, path) => {
    await expect(openOutput(path())).rejects.toThrow(OutputError);
    await expect(openOutput(path())).rejects.toThrow(/^cannot write .*(folder)/);
  });
});

test('a full device is trouble with a name', async () => {
  const output = await openOutput('/dev/full');
  output.write('x');
  await expect(output.finish()).rejects.toThrow('cannot write /dev/full: no space left on the device');
});

/** src/output.ts as JavaScript in a folder of its own: processes that are killed or piped need no test runner around. */
function compiled(): string {
  for (const name of ['output', 'errors']) {
    const source = readFileSync(new URL(`../../../src/${name}.ts`, import.meta.url), 'utf8');
    const options = {
      module: ts.ModuleKind.ESNext,
      target: ts.ScriptTarget.ES2023,
      rewriteRelativeImportExtensions: true,
    };
    writeFileSync(join(folder, `${name}.js`), ts.transpileModule(source, { compilerOptions: options }).outputText);
  }
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  return join(folder, 'main.js');
}

/** Runs `body`, which may use openOutput and `path`, in a shell command in which $RUN is the program. */
function runInShell(
  body: string,
  command: string,
): Promise<{ code: number | null; signal: string | null; errors: string }> {
  const main = compiled();
  const path = JSON.stringify(join(folder, 'events'));
  writeFileSync(main, `import { openOutput, writeStandardOutput } from './output.js'; const path = ${path};\n${body}`);
  const child = spawn('bash', ['-o', 'pipefail', '-c', command], {
    env: { ...process.env, RUN: `${process.execPath} ${main}` },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  return new Promise((resolve) => {
    let errors = '';
    child.stderr.on('data', (data) => {
      errors += data;
    });
    child.on('exit', (code, signal) => resolve({ code, signal, errors }));
  });
}

describe('in a process of its own', () => {
  test('a reader that goes away closes the output quietly', async () => {
    const body = `
      const output = await openOutput('-');
      for (let i = 0; i < 200 && !output.closed; i++) await output.write('line\\n'.repeat(20_000));
      if (!output.closed) process.exitCode = 9;
      await output.finish();`;
    expect(await runInShell(body, '$RUN | head -n 1')).toEqual({ code: 0, signal: null, errors: '' });
  });

  test('/dev/stdout that leads to a file is appended to, not begun anew', async () => {
    const body = `
      const output = await openOutput('/dev/stdout');
      output.write('second\\n');
      await output.finish();`;
    const file = join(folder, 'log');
    await runInShell(body, `(echo first; $RUN) > ${file}`);
    expect(readFileSync(file, 'utf8')).toBe('first\nsecond\n');
  });

  test('a long summary is written whole and in order', async () => {
    const body = `
      let text = '';
      for (let i = 0; text.length < 5_000_000; i++) text += i + '\\n';
      await writeStandardOutput(text);`;
    const file = join(folder, 'summary');
    await runInShell(body, `$RUN > ${file}`);
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    expect(lines.findIndex((line, i) => line !== String(i))).toBe(-1);
    expect(lines.join('\n').length).toBeGreaterThanOrEqual(4_999_999);
  });

  test('a FIFO is written directly', async () => {
    const body = `const output = await openOutput(path); output.write('through'); await output.finish();`;
    const fifo = join(folder, 'events');
    await runInShell(body, `mkfifo ${fifo}; $RUN & cat ${fifo} > ${folder}/got; wait`);
    expect(readFileSync(join(folder, 'got'), 'utf8')).toBe('through');
    expect(statSync(fifo).isFIFO()).toBe(true);
  });

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'])('%s leaves nothing behind and still ends the process', async (signal) => {
    const body = `
      const output = await openOutput(path);
      await output.write('x'.repeat(300_000));
      process.kill(process.pid, '${signal}');
      setTimeout(() => {}, 20_000);`;
    const { code } = await runInShell(body, 'exec $RUN').then(({ code, signal: by }) => ({ code: code ?? by }));
    expect(code).toBe(signal);
    expect(readdirSync(folder).filter((name) => name.includes('events'))).toEqual([]);
  });

  test('an uncaught error leaves nothing behind', async () => {
    const body = `
      const output = await openOutput(path);
      await output.write('x'.repeat(300_000));
      throw new Error('on purpose');`;
    const { code, errors } = await runInShell(body, '$RUN');
    expect([code, errors.includes('on purpose')]).toEqual([1, true]);
    expect(readdirSync(folder).filter((name) => name.includes('events'))).toEqual([]);
  });
});
