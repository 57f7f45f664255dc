// Which ways did TCP connections go through conntrack's states? A drawing: the usual way from top to bottom, what skips or
// goes back in bows on the left, CLOSE (by RST) and SYN_SENT2 (simultaneous open) on the right.

import { countText } from '../align.ts';
import type { Summary } from '../summary.ts';
import { type Html, html } from './html.ts';

type Transition = Summary['transitions'][number];

/** States that connections pass from top to bottom; the first stands for no entry. */
const SPINE = ['', 'SYN_SENT', 'SYN_RECV', 'ESTABLISHED', 'FIN_WAIT', 'CLOSE_WAIT', 'LAST_ACK', 'TIME_WAIT'];

const WIDTH = 480;
const ROW = 76;
const TOP = 24;
const BOX = { width: 112, height: 32 };
const CENTER = 190;
const RIGHT = 412;
const HEIGHT = TOP * 2 + ROW * (SPINE.length - 1);

interface Place {
  x: number;
  y: number;
}

const PLACES = new Map<string, Place>(SPINE.map((name, row) => [name, { x: CENTER, y: TOP + row * ROW }]));
PLACES.set('SYN_SENT2', { x: RIGHT, y: TOP + 1.5 * ROW });
PLACES.set('CLOSE', { x: RIGHT, y: TOP + 5 * ROW });

interface Route {
  /** Path of the line, and where its count stands. */
  path: string;
  x: number;
  y: number;
  anchor: 'start' | 'middle' | 'end';
}

function cubic(from: Place, one: Place, two: Place, to: Place): string {
  return `M${from.x},${from.y}C${one.x},${one.y} ${two.x},${two.y} ${to.x},${to.y}`;
}

/** The point of a cubic at `t` of its way. */
function on(t: number, ...[a, b, c, d]: [number, number, number, number]): number {
  const s = 1 - t;
  return Math.round(s * s * s * a + 3 * s * s * t * b + 3 * s * t * t * c + t * t * t * d);
}

function curve(from: Place, one: Place, two: Place, to: Place, t: number, anchor: Route['anchor']): Route {
  return {
    path: cubic(from, one, two, to),
    x: on(t, from.x, one.x, two.x, to.x),
    y: on(t, from.y, one.y, two.y, to.y) + 4,
    anchor,
  };
}

/** Between two states of the middle. */
function alongSpine(from: Place, to: Place): Route {
  const rows = Math.round((to.y - from.y) / ROW);
  const half = BOX.height / 2;
  if (rows === 1) {
    return {
      path: `M${from.x},${from.y + half}V${to.y - half}`,
      x: from.x + 7,
      y: from.y + ROW / 2 + 4,
      anchor: 'start',
    };
  }
  const edge = CENTER - BOX.width / 2;
  const reach = edge - 14 - Math.abs(rows) * 20 - (rows < 0 ? 10 : 0);
  const [start, end] = [from.y + (rows > 0 ? 6 : -6), to.y - (rows > 0 ? 6 : -6)];
  return curve({ x: edge, y: start }, { x: reach, y: start }, { x: reach, y: end }, { x: edge, y: end }, 0.5, 'middle');
}

function route(from: string, to: string): Route | undefined {
  const [a, b] = [PLACES.get(from), PLACES.get(to)];
  if (!a || !b) return undefined;
  if (a.x === b.x && a.x === CENTER) return alongSpine(a, b);
  const half = BOX.width / 2;
  if (a.x === b.x) {
    const down = b.y > a.y ? 1 : -1;
    const x = a.x + down * 12;
    return {
      path: `M${x},${a.y + (down * BOX.height) / 2}V${b.y - (down * BOX.height) / 2}`,
      x: x + down * 5,
      y: (a.y + b.y) / 2 + 4,
      anchor: down > 0 ? 'start' : 'end',
    };
  }
  if (a.x === CENTER) {
    // Lines meet at the left side of the box, each at a height of its own.
    const end = { x: b.x - half, y: b.y + Math.max(-10, Math.min(10, (a.y - b.y) / 30)) };
    const start = { x: a.x + half, y: a.y + 5 };
    return curve(start, { x: start.x + 50, y: start.y }, { x: end.x - 60, y: end.y }, end, 0.28, 'middle');
  }
  const above = b.y < a.y;
  const start = { x: a.x - half + 16, y: a.y + (above ? -BOX.height / 2 : BOX.height / 2) };
  const end = { x: b.x + half, y: b.y - 7 };
  return curve(start, { x: start.x - 10, y: (start.y + end.y) / 2 }, { x: end.x + 50, y: end.y }, end, 0.45, 'middle');
}

function stateBox(name: string, reached: boolean): Html {
  const { x, y } = PLACES.get(name)!;
  const { width, height } = BOX;
  const kind = name === '' ? 'state none' : reached ? 'state' : 'state idle';
  return html`<g class="${kind}"><rect x="${x - width / 2}" y="${y - height / 2}" width="${width}" height="${height}" rx="${name === '' ? 16 : 5}"/><text x="${x}" y="${y + 4}">${name === '' ? 'no entry' : name}</text></g>`;
}

/** The drawing. A line is wider the more packets took it: one step for each power of ten. */
export function stateDiagram(transitions: readonly Transition[]): Html {
  const drawn = transitions.flatMap((transition) => {
    const way = route(transition.from ?? '', transition.to);
    return way ? [{ ...transition, ...way }] : [];
  });
  const reached = new Set(drawn.flatMap(({ from, to }) => [from ?? '', to]));
  const lines = drawn.map(
    ({ path, packets }) =>
      html`<path d="${path}" stroke-width="${(1.2 + 0.7 * Math.log10(packets)).toFixed(1)}" marker-end="url(#arrow)"/>`,
  );
  const counts = drawn.map(
    ({ x, y, anchor, packets }) => html`<text x="${x}" y="${y}" text-anchor="${anchor}">${countText(packets)}</text>`,
  );
  const boxes = [...PLACES.keys()]
    .filter((name) => name !== 'SYN_SENT2' || reached.has(name))
    .map((name) => stateBox(name, reached.has(name)));
  return html`<svg class="diagram" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="TCP states and how many packets led from one to the other; the table has the same numbers">
<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M0,0.5L8,4L0,7.5Z"/></marker></defs>
<g class="edges">${lines}</g>
${boxes}
<g class="counts">${counts}</g>
</svg>
`;
}
