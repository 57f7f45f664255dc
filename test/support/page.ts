// How does a test read the report page? Its tables as texts, by their captions.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { DiffReport } from '../../src/report/diff.ts';
import type { Summary } from '../../src/report/summary.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const NAMED: Record<string, string> = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&#34;': '"', '&#39;': "'" };

/** What a piece of HTML reads like. */
export function textOf(html: string): string {
  return html.replace(/<[^>]*>/g, '').replace(/&(amp|lt|gt|#34|#39);/g, (entity) => NAMED[entity]!);
}

/** Rows of the tables whose captions begin so: body rows, then those of the foot. */
export function tableRows(page: string, caption: string): string[][] {
  const tables = page.split('<table').slice(1);
  const own = tables.filter((table) => textOf(/<caption>(.*?)<\/caption>/s.exec(table)?.[1] ?? '').startsWith(caption));
  return own.flatMap((table) => {
    const rows = table.slice(0, table.indexOf('</table>')).split('<tr>').slice(2);
    return rows.map((row) =>
      row
        .split('<td')
        .slice(1)
        .map((cell) => textOf(`<td${cell}`).trim()),
    );
  });
}

/** A number as pages write it: `1,234 12.5%` is 1234. */
export function numberOf(text: string): number {
  return Number((text.split(' ')[0] ?? '').replace(/,/g, ''));
}

/** Runs a command of the built program; the page it writes, and what --json prints. */
function pageOf(command: string, report: string, args: readonly string[], env: NodeJS.ProcessEnv) {
  const all = [`${ROOT}build/program/main.js`, command, '--json', '--report', report, ...args];
  const { stdout, stderr, status } = spawnSync(process.execPath, all, {
    encoding: 'utf8',
    cwd: ROOT,
    maxBuffer: 64 << 20,
    env: { ...process.env, ...env },
  });
  if (status === null || status > 1) throw new Error(`ctreplay ${command} failed: ${stderr}`);
  return { page: readFileSync(report, 'utf8'), said: JSON.parse(stdout) };
}

export function replayPage(report: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const { page, said } = pageOf('replay', report, args, env);
  return { page, summary: said as Summary };
}

export function diffPage(report: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const { page, said } = pageOf('diff', report, args, env);
  return { page, diff: said as DiffReport };
}
