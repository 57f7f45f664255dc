// Builds the engine: build/engine/release.wasm and debug.wasm, and src/engine/layout.ts on the way.
//
// Options that both builds share stand in asconfig.json; the transform is named here because asconfig.json resolves
// relative transform paths against the package, not the project.
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const root = fileURLToPath(new URL('..', import.meta.url));
process.chdir(root);
mkdirSync('build/engine', { recursive: true });
mkdirSync('src/engine', { recursive: true });

for (const target of ['debug', 'release']) {
  const { error, stderr } = await asc.main([
    'assembly/index.ts',
    '--config',
    'asconfig.json',
    '--target',
    target,
    '--transform',
    './assembly/emit-layout.mjs',
  ]);
  if (error) {
    process.stderr.write(stderr.toString());
    process.exit(1);
  }
}
