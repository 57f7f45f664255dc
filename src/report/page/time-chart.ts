// How does a count over time look? Stacked columns, or a line, with axes whose texts keep their size on every screen.
//
// Coordinates across are per cent, those up and down pixels: an SVG without a view box fits every width as it is.

import { countText } from '../align.ts';
import { type Content, type Html, html } from './html.ts';
import { keyMark, percent } from './table.ts';
import type { TimeSeries } from './time-bins.ts';

export interface ChartSeries {
  name: string;
  /** Class that gives its colour. */
  kind: string;
  values: Float64Array | readonly number[];
}

export interface ChartOptions {
  caption: Content;
  /** What is counted, for those who do not see the chart. */
  label: string;
  time: TimeSeries;
  /** Stacked, the first below. */
  series: readonly ChartSeries[];
  /** Drawn downwards. */
  below?: ChartSeries;
  /** The table that has the numbers. */
  table: string;
  /** One line with an area below it instead of columns. */
  line?: true;
}

const HEIGHT = 150;
/** Room below for times, above for the highest number. */
const FOOT = 20;
const HEAD = 8;

/** The least of 1, 2, 5, 10, 20 ... that is not below a count. */
function niceCeiling(count: number): number {
  let ten = 1;
  while (ten * 10 <= count) ten *= 10;
  return [1, 2, 5, 10].map((factor) => factor * ten).find((nice) => nice >= count)!;
}

/** Counts up to a million in full, then shortened: `1.2 M`. */
function axisText(count: number): string {
  if (count >= 1e9) return `${Number((count / 1e9).toFixed(1))} G`;
  return count >= 1e6 ? `${Number((count / 1e6).toFixed(1))} M` : countText(count);
}

/** Distances of marks on the time axis, microseconds. */
const STEPS = [1, 10, 100, 1e3, 10e3, 100e3]
  .flatMap((ten) => [ten, 2 * ten, 5 * ten])
  .concat([1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200].map((s) => s * 1e6))
  .concat([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000].map((days) => days * 86_400e6));
const MARKS_MAX = 8;

/** A time of day as exactly as its distance to others asks for, with the day where there are several. */
export function momentText(micros: number, distance: number, days: boolean): string {
  const date = new Date(Math.floor(micros / 1e6) * 1000);
  if (Number.isNaN(date.getTime())) return String(micros / 1e6);
  const [day, clock] = date.toISOString().slice(0, -5).split('T') as [string, string];
  if (distance >= 86_400e6) return day;
  const digits = distance >= 1e6 ? 0 : distance >= 1e3 ? 3 : 6;
  const fraction =
    digits === 0
      ? ''
      : `.${String(Math.floor(micros % 1e6))
          .padStart(6, '0')
          .slice(0, digits)}`;
  const text = distance >= 60e6 ? clock.slice(0, 5) : clock + fraction;
  return days ? `${day.slice(5)} ${text}` : text;
}

/** `1 s`, `500 ms`, `20 min`: how much time a column stands for. */
export function widthText(micros: number): string {
  const units = [
    [86_400e6, 'd'],
    [3600e6, 'h'],
    [60e6, 'min'],
    [1e6, 's'],
    [1e3, 'ms'],
    [1, 'µs'],
  ] as const;
  const [size, name] = units.find(([unit]) => micros >= unit)!;
  return `${micros / size} ${name}`;
}

/** Whether times need their day. */
export function spansDays({ start, width, levels }: TimeSeries): boolean {
  return Math.floor(start / 86_400e6) !== Math.floor((start + width * levels.length - 1) / 86_400e6);
}

function timeAxis(time: TimeSeries): Html[] {
  const whole = time.width * time.levels.length;
  const step = STEPS.find((each) => each >= time.width && whole / each <= MARKS_MAX) ?? STEPS.at(-1)!;
  const days = spansDays(time);
  const marks: Html[] = [];
  const first = Math.ceil(time.start / step) * step;
  for (let i = 0; i <= MARKS_MAX; i++) {
    const at = first + i * step;
    if (at >= time.start + whole) break;
    const x = percent(at - time.start, whole);
    const kind = i % (days ? 3 : 2) > 0 ? html` class="odd"` : undefined;
    marks.push(html`<line class="tick" x1="${x}" x2="${x}" y1="${HEAD + HEIGHT}" y2="${HEAD + HEIGHT + 4}"/>`);
    marks.push(html`<text x="${x}" y="${HEAD + HEIGHT + 16}"${kind}>${momentText(at, step, days)}</text>`);
  }
  return marks;
}

/** How counts become pixels: above the line at 0, and below it, if something is drawn there. */
interface Scale {
  zero: number;
  /** Pixels of one. */
  unit: number;
}

function column(
  { zero, unit }: Scale,
  bin: number,
  bins: number,
  values: readonly { kind: string; value: number }[],
  up: boolean,
) {
  const gap = bins > 60 ? 0.1 : 0.2;
  let y = zero;
  return values
    .filter(({ value }) => value > 0)
    .map(({ kind, value }) => {
      // What is there can be seen.
      const height = Math.max(1, value * unit);
      if (up) y -= height;
      const x = percent(bin + gap / 2, bins);
      return html`<rect class="${kind}" x="${x}" width="${percent(1 - gap, bins)}" y="${y.toFixed(1)}" height="${height.toFixed(1)}"/>`;
    });
}

function columns(scale: Scale, { time, series, below }: ChartOptions): Html[] {
  const bins = time.levels.length;
  const at = (bin: number) => (each: ChartSeries) => ({ kind: each.kind, value: each.values[bin]! });
  return time.levels.flatMap((_, bin) => [
    ...column(scale, bin, bins, series.map(at(bin)), true),
    ...(below ? column(scale, bin, bins, [at(bin)(below)], false) : []),
  ]);
}

/** A line through the values, which keeps its width whatever the chart's. */
function line({ unit }: Scale, { kind, values }: ChartSeries, bins: number): Html {
  let path = '';
  for (let bin = 0; bin < bins; bin++) {
    path += `${bin === 0 ? 'M' : 'L'}${bin},${(HEIGHT - values[bin]! * unit).toFixed(1)}H${bin + 1}`;
  }
  return html`<svg class="${kind}" y="${HEAD}" width="100%" height="${HEIGHT}" viewBox="0 0 ${bins} ${HEIGHT}" preserveAspectRatio="none"><path class="area" d="${path}V${HEIGHT}H0Z"/><path class="line" d="${path}"/></svg>`;
}

function legendText({ series, below }: ChartOptions): Html[] {
  return [...series, ...(below ? [below] : [])].map(({ name, kind }) => html`<li>${keyMark(kind)}${name}</li>`);
}

/** A chart over time; the script of the page reads out its columns from `table`. */
export function timeChart(options: ChartOptions): Html {
  const { caption, label, time, series, below, table } = options;
  const bins = time.levels.length;
  const heights = time.levels.map((_, bin) => series.reduce((sum, { values }) => sum + values[bin]!, 0));
  const depths = time.levels.map((_, bin) => below?.values[bin] ?? 0);
  const ceiling = niceCeiling(Math.max(1, ...heights, ...depths));
  const parts = below ? 2 : 1;
  const scale = { zero: HEAD + HEIGHT / parts, unit: HEIGHT / parts / ceiling };
  const ticks = (below ? [-ceiling, 0, ceiling] : [0, ceiling / 2, ceiling]).filter(Number.isInteger);
  const y = (count: number) => scale.zero - count * scale.unit;
  const height = HEAD + HEIGHT + FOOT;
  const counts = ticks.map((count) => html`<text x="100%" y="${y(count) + 4}">${axisText(Math.abs(count))}</text>`);
  const grid = ticks.map((count) => html`<line class="grid" x2="100%" y1="${y(count)}" y2="${y(count)}"/>`);
  return html`<figure class="chart" data-table="${table}">
<figcaption>${caption}<ul class="legend">${legendText(options)}</ul></figcaption>
<div class="axes">
<svg class="counts" height="${height}" aria-hidden="true">${counts}</svg>
<div class="plot"><svg height="${height}" role="img" aria-label="${label}">${grid}
${options.line ? line(scale, series[0]!, bins) : columns(scale, options)}
${timeAxis(time)}<rect class="mark" y="${HEAD}" height="${HEIGHT}" width="${percent(1, bins)}" visibility="hidden"/></svg></div>
</div>
<output></output>
</figure>
`;
}
