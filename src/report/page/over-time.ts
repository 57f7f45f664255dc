// When did it happen? Verdicts, entries made and ended, and the size of the table over time.

import { ENTRIES_ENDED, ENTRIES_MADE } from './gather.ts';
import { type Html, html } from './html.ts';
import type { PageSource } from './source.ts';
import { table } from './table.ts';
import type { TimeSeries } from './time-bins.ts';
import { type ChartSeries, momentText, spansDays, timeChart, widthText } from './time-chart.ts';

/** From the bottom up: what was not accepted is compared more easily there. */
const STACK = ['DROP', 'REJECT', 'QUEUE', 'NONE', 'ACCEPT'] as const;
/** Columns of the bins (Verdict). */
const COLUMN: Record<(typeof STACK)[number], number> = { NONE: 0, ACCEPT: 1, DROP: 2, REJECT: 3, QUEUE: 4 };

/** Rules by which entries make no events: how many there are cannot be told. */
const SUPPRESSES = /--ctevents/;

function numbers(time: TimeSeries, series: readonly ChartSeries[], id: string, caption: string): Html {
  const days = spansDays(time);
  const rows = time.levels.map((_, bin) => [
    momentText(time.start + bin * time.width, time.width === 86_400e6 ? 1e6 : time.width, days),
    ...series.map(({ values }) => values[bin]!),
  ]);
  const columns = [{ name: 'From' }, ...series.map(({ name }) => ({ name, number: true as const }))];
  return html`<details><summary>The numbers</summary>
${table({ caption, columns, rows, id })}</details>
`;
}

/** Greatest number of entries in each bin. */
function tableSizes(time: TimeSeries, start: number): number[] {
  let level = start;
  return time.levels.map((reached, bin) => {
    const greatest = Math.max(level, reached === undefined ? level : start + reached);
    level += time.counts[ENTRIES_MADE]![bin]! - time.counts[ENTRIES_ENDED]![bin]!;
    return greatest;
  });
}

function verdictCharts(time: TimeSeries, width: string): Html {
  const all: ChartSeries[] = STACK.map((name) => ({ name, kind: name, values: time.counts[COLUMN[name]]! }));
  const series = all.filter(({ values }) => values.some((count) => count > 0));
  const rare = series.filter(({ kind }) => kind !== 'ACCEPT');
  const table = 'packets-over-time';
  const both = rare.length > 0 && rare.length < series.length;
  return html`${timeChart({ caption: 'Packets by verdict', label: 'Packets by verdict over time', time, series, table })}${
    both &&
    timeChart({
      caption: 'Those that were not accepted, at a scale of their own',
      label: 'Packets not accepted over time',
      time,
      series: rare,
      table,
    })
  }${numbers(time, series, table, `Packets by verdict, ${width} each`)}`;
}

function entryCharts(time: TimeSeries, width: string, { gathered, flows, rules }: PageSource): Html {
  const { made, ended } = gathered;
  if (made === 0 && ended === 0) return html`<p class="ok">No conntrack entry was made or ended.</p>`;
  const begun: ChartSeries = { name: 'made', kind: 'made', values: time.counts[ENTRIES_MADE]! };
  const over: ChartSeries = { name: 'ended', kind: 'ended', values: time.counts[ENTRIES_ENDED]! };
  const size: ChartSeries = { name: 'entries', kind: 'size', values: tableSizes(time, flows - made + ended) };
  const table = 'entries-over-time';
  const suppressed = rules.some(({ text }) => SUPPRESSES.test(text));
  const sizes = suppressed
    ? html`<p class="quiet">The size of the table is not drawn: rules with --ctevents keep entries from being announced.</p>`
    : timeChart({
        caption: 'Entries in the table, the most in each column',
        label: 'Entries in the connection table over time',
        time,
        series: [size],
        table,
        line: true,
      });
  const caption = 'Conntrack entries made and ended';
  const shown = suppressed ? [begun, over] : [begun, over, size];
  return html`${timeChart({ caption, label: `${caption} over time`, time, series: [begun], below: over, table })}${sizes}
${numbers(time, shown, table, `Conntrack entries, ${width} each`)}`;
}

export function overTime(source: PageSource): Html | undefined {
  const { time } = source.gathered;
  if (!time) return undefined;
  const width = widthText(time.width);
  const day = spansDays(time) ? '' : `, ${momentText(time.start, 86_400e6, false)}`;
  return html`<section id="time">
<h2>Over time</h2>
<p class="lead">Each column is ${width}. Times are UTC${day}.</p>
${verdictCharts(time, width)}${entryCharts(time, width, source)}</section>
`;
}
