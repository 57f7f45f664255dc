// Where does what the build made lie?
//
// This file runs from src/, as build/src/built.js, and as part of the program in build/program/.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = new URL(import.meta.url.endsWith('.ts') ? '..' : '../..', import.meta.url);

/** A file of the package, by its path from the package's folder. */
export function packageFile(path: string): string {
  return fileURLToPath(new URL(path, ROOT));
}

/** Version of the package. */
export function packageVersion(): string {
  return (JSON.parse(readFileSync(packageFile('package.json'), 'utf8')) as { version: string }).version;
}
