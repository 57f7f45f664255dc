// How do measurements read side by side, and against those of an earlier run?

import type { Measure } from './measure.ts';

/** What a run writes as JSON (`--json`) and reads back (`--against`). */
export interface Report {
  date: string;
  cpu: string;
  node: string;
  quick: boolean;
  measures: Measure[];
}

/** The baselines that whole runs are compared with, in the order of the columns. */
const BASELINES = ['memory copy', 'pcap-parser', 'tcpdump', 'kernel'];
const NONE = '';

/**
 * One aligned table. Whole runs show how many times as many packets they handle as each baseline over the same capture;
 * `earlier` adds a column with the change of the time per packet.
 */
export function table(measures: readonly Measure[], earlier?: Report): string {
  const heads = [
    'stage',
    'packets/s',
    'ns/packet',
    'spread',
    'cpu ns',
    'B/packet',
    'peak MiB',
    ...BASELINES.map((name) => `/ ${name}`),
  ];
  if (earlier) heads.push('change');
  const before = new Map(earlier?.measures.map((measure) => [measure.name, measure]));
  const rows = measures.map((measure) => {
    const row = [
      measure.name,
      perSecond(measure.nsPerPacket),
      measure.nsPerPacket.toFixed(1),
      `${measure.spread.toFixed(0)}%`,
      measure.cpuNsPerPacket?.toFixed(0) ?? NONE,
      measure.bytesPerPacket?.toFixed(0) ?? NONE,
      measure.peakMiB?.toFixed(0) ?? NONE,
      ...BASELINES.map((name) => ratio(measure, measures, name)),
    ];
    if (earlier) row.push(change(measure, before.get(measure.name)));
    return row;
  });
  return align([heads, ...rows]);
}

function perSecond(ns: number): string {
  const rate = 1e9 / ns;
  return rate >= 1e6 ? `${(rate / 1e6).toFixed(2)} M` : `${(rate / 1e3).toFixed(1)} k`;
}

/** Packets per second in units of the baseline's over the same capture. */
function ratio(measure: Measure, measures: readonly Measure[], baseline: string): string {
  const capture = /^replay \/ (\w+)/.exec(measure.name)?.[1];
  const other = capture && measures.find(({ name }) => name === `baseline / ${baseline}, ${capture}`);
  return other ? (other.nsPerPacket / measure.nsPerPacket).toPrecision(3) : NONE;
}

function change(measure: Measure, before: Measure | undefined): string {
  if (!before) return 'new';
  const percent = (measure.nsPerPacket / before.nsPerPacket - 1) * 100;
  return `${percent > 0 ? '+' : ''}${percent.toFixed(1)}%`;
}

/** The first column to the left, numbers to the right. */
function align(rows: readonly string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}
