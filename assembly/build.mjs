// Builds the engine: build/engine/release.wasm and debug.wasm, and src/engine/layout.ts on the way; and format.wasm, which
// writes reports.
//
// Options that both builds share stand in asconfig.json; the transform is named here because asconfig.json resolves
// relative transform paths against the package, not the project.
import { mkdirSync, renameSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const root = fileURLToPath(new URL('..', import.meta.url));
process.chdir(root);
mkdirSync('build/engine', { recursive: true });
mkdirSync('src/engine', { recursive: true });

const OUTPUTS = [
  { name: 'debug', entry: 'assembly/index.ts', target: 'debug' },
  { name: 'release', entry: 'assembly/index.ts', target: 'release' },
  { name: 'format', entry: 'assembly/format/index.ts', target: 'release' },
];

for (const { name, entry, target } of OUTPUTS) {
  const { error, stderr } = await asc.main([
    entry,
    '--config',
    'asconfig.json',
    '--target',
    target,
    ...(name === 'format' ? [] : ['--transform', './assembly/emit-layout.mjs']),
    '--outFile',
    `build/engine/.${name}.wasm`,
  ]);
  if (error) {
    process.stderr.write(stderr.toString());
    process.exit(1);
  }
  // Whoever starts an engine meanwhile finds the old one or the new one, never half of it.
  renameSync(`build/engine/.${name}.wasm`, `build/engine/${name}.wasm`);
}
