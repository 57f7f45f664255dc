// How do benchmarks reach functions that the engine does not export? Compiles bench/parts.as beside the engine.

import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

export interface Parts extends WebAssembly.Exports {
  init_parts(seedLow: number, seedHigh: number): void;
  find_many(world: number, packets: number, count: number): number;
  hash_many(packets: number, count: number): number;
  insert_many(world: number, packets: number, count: number): number;
  remove_many(world: number, packets: number, count: number): void;
  sum_many(address: number, length: number, stride: number, count: number): number;
}

const ENTRY = 'bench/parts.ts';
const SOURCE = 'bench/parts.as';

/** The package's folder, from build/bench. */
export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Compiles the parts with the engine's release options. */
export async function compileParts(): Promise<WebAssembly.Module> {
  let wasm: Uint8Array<ArrayBuffer> | undefined;
  const { error, stderr } = await asc.main(
    [ENTRY, '--config', 'asconfig.json', '--target', 'release', '--outFile', 'parts.wasm', '--textFile', ''],
    {
      readFile: async (name, base) => {
        try {
          return await readFile(`${ROOT}${base === '.' ? '' : `${base}/`}${name === ENTRY ? SOURCE : name}`, 'utf8');
        } catch {
          return null;
        }
      },
      writeFile: async (name, contents) => {
        if (name === 'parts.wasm' && typeof contents !== 'string') wasm = new Uint8Array(contents);
      },
      listFiles: async () => [],
    },
  );
  if (error || wasm === undefined) throw new Error(`parts.as does not compile: ${stderr.toString()}`);
  return WebAssembly.compile(wasm);
}
