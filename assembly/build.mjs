// Builds the engine: build/engine/release.wasm and debug.wasm, and src/engine/layout.ts on the way.
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

for (const target of ['debug', 'release']) {
  const { error, stderr } = await asc.main([
    'assembly/index.ts',
    '--config',
    'asconfig.json',
    '--target',
    target,
    '--transform',
    './assembly/emit-layout.mjs',
    '--outFile',
    `build/engine/.${target}.wasm`,
  ]);
  if (error) {
    process.stderr.write(stderr.toString());
    process.exit(1);
  }
  // Whoever starts an engine meanwhile finds the old one or the new one, never half of it.
  renameSync(`build/engine/.${target}.wasm`, `build/engine/${target}.wasm`);
}
