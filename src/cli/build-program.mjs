// Builds the program: src/cli/main.ts and what it needs of ours, in few files, so that it starts in half the time; and the worker,
// which it starts by name. Packages stay packages.
import { fileURLToPath } from 'node:url';
import { build } from 'rolldown';

const root = fileURLToPath(new URL('../..', import.meta.url));

await build({
  cwd: root,
  input: ['src/cli/main.ts', 'src/pool/worker.ts'],
  platform: 'node',
  external: (name) => /^[^./]/.test(name),
  logLevel: 'warn',
  output: { dir: 'build/program', cleanDir: true, minify: true, sourcemap: true },
});
