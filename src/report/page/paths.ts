// How are files called on the page? By their paths as they were given, where many are named without the folder that all share.

import { cutText } from './html.ts';
import { PATH_LETTERS } from './source.ts';

export function fileName(path: string): string {
  return cutText(path === '-' ? 'standard input' : path, PATH_LETTERS);
}

/** Names of these files, short but different where the paths are. */
export function shortPaths(paths: readonly string[]): string[] {
  const folders = paths.filter((path) => path !== '-').map((path) => path.split('/').slice(0, -1));
  let shared = folders[0] ?? [];
  for (const folder of folders) {
    const differs = shared.findIndex((name, i) => name !== folder[i]);
    if (differs >= 0) shared = shared.slice(0, differs);
  }
  return paths.map((path) => fileName(path === '-' ? path : path.split('/').slice(shared.length).join('/')));
}
