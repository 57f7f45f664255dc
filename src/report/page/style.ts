// How does the page look, light and dark, on screens of all sizes and on paper?

export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1b2430; --quiet: #5a6675; --line: #d9dee5; --soft: #f4f6f9; --link: #1a5fb4;
  --accept: #4a90c2; --drop: #c9402c; --reject: #e39a24; --queue: #8c62b8; --none: #9aa4b0;
  --made: #3c8f7c; --ended: #a9b4c0; --size: #3f6fb0; --edge: #6d7a8a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181e; --ink: #e4e8ee; --quiet: #9ba7b5; --line: #333b46; --soft: #1d232b; --link: #82b4f5;
    --accept: #5b9fd0; --drop: #e8664f; --reject: #ecae4a; --queue: #a984d4; --none: #6c7784;
    --made: #55b09b; --ended: #566270; --size: #7aa5df; --edge: #8a97a7;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem 1.25rem 3rem; max-width: 72rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
a { color: var(--link); }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; padding-top: .75rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p { margin: .4rem 0; max-width: 50rem; }
code { font: .86em/1.45 ui-monospace, "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.over { margin: 0; color: var(--quiet); font-size: .85rem; letter-spacing: .04em; text-transform: uppercase; }
.quiet, .lead { color: var(--quiet); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; margin: 1rem 0; padding: 0; list-style: none; font-size: .92rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; margin: 1rem 0; padding: 0; list-style: none; }
.tiles li { padding: .6rem .8rem; border: 1px solid var(--line); border-radius: .5rem; background: var(--soft); }
.tiles strong { display: block; font-size: 1.45rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tiles span { color: var(--quiet); font-size: .86rem; }
.split { width: 100%; height: 22px; border-radius: 4px; display: block; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1rem; margin: .3rem 0; padding: 0; list-style: none; font-size: .88rem; }
.key { margin-right: .4em; vertical-align: baseline; }
.ACCEPT { fill: var(--accept); } .DROP { fill: var(--drop); } .REJECT { fill: var(--reject); }
.QUEUE { fill: var(--queue); } .NONE { fill: var(--none); } .made { fill: var(--made); } .ended { fill: var(--ended); }
.size { fill: var(--size); }
.verdict { white-space: nowrap; font-size: .95em; }
.scroll { overflow-x: auto; margin: .5rem 0 1rem; }
table { border-collapse: collapse; font-size: .9rem; min-width: 50%; }
table.sortable { min-width: 100%; }
caption { text-align: left; color: var(--quiet); padding: 0 0 .3rem; }
th, td { padding: .28rem .9rem .28rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th:last-child, td:last-child { padding-right: 0; }
th { font-weight: 600; white-space: nowrap; vertical-align: bottom; }
th.wide { width: 60%; }
td code, .name { white-space: nowrap; }
td.wide { min-width: 19rem; }
td.wide code { white-space: normal; }
th button { all: unset; cursor: pointer; }
th button:hover { text-decoration: underline; }
th button:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
th[aria-sort=descending] button::after { content: " \\25be"; }
th[aria-sort=ascending] button::after { content: " \\25b4"; }
.share { display: inline-block; min-width: 3.3em; color: var(--quiet); }
.option { display: inline-block; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
tfoot td { color: var(--quiet); border-bottom: 0; }
.bar { width: 7rem; height: 10px; background: var(--soft); border-radius: 2px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: .75rem 0; font-size: .92rem; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
details { margin: .25rem 0 1rem; } summary { cursor: pointer; color: var(--link); font-size: .9rem; }
summary:focus-visible, .plot:focus-visible, .scroll:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.chart { margin: 1rem 0 .25rem; }
figcaption { font-size: .92rem; }
.axes { display: flex; }
.axes .counts { width: 3.6rem; flex: none; }
.axes .counts text { text-anchor: end; }
.axes text { font-size: 11px; fill: var(--quiet); }
.plot { flex: 1; min-width: 0; margin: 0 1.6rem 0 .5rem; }
.plot > svg { width: 100%; display: block; overflow: visible; }
.plot text { text-anchor: middle; }
.grid { stroke: var(--line); } .tick { stroke: var(--quiet); }
.area { opacity: .18; } .line { fill: none; stroke: var(--size); stroke-width: 2px; vector-effect: non-scaling-stroke; }
.mark { fill: none; stroke: var(--ink); stroke-width: 1px; pointer-events: none; }
output { display: block; min-height: 1.5em; padding-left: 4.1rem; color: var(--quiet); font-size: .86rem; font-variant-numeric: tabular-nums; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 0 2.5rem; align-items: start; }
.columns > * { min-width: 0; }
.columns table, .beside table { min-width: 100%; }
.beside { display: flex; flex-wrap: wrap; gap: 0 3rem; }
.beside > * { flex: 1 1 auto; max-width: 100%; }
.diagram { width: 100%; max-width: 32rem; display: block; margin: .5rem 0; }
.diagram text { font-size: 12.5px; fill: var(--ink); }
.state rect { fill: var(--soft); stroke: var(--edge); }
.state text { text-anchor: middle; font-weight: 600; }
.state.none rect { fill: none; stroke-dasharray: 4 3; } .state.none text { font-weight: 400; }
.state.idle { opacity: .4; }
.edges path { fill: none; stroke: var(--edge); }
marker path { fill: var(--edge); }
.diagram .counts text { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; font-variant-numeric: tabular-nums; }
.notes li { margin: .2rem 0; overflow-wrap: anywhere; }
.ok { color: var(--quiet); font-style: italic; }
@media (max-width: 40rem) {
  body { padding: 1rem .8rem 2rem; }
  .odd { display: none; }
  .axes .counts { width: 2.6rem; }
  output { padding-left: 3.1rem; }
  .bar { width: 3rem; }
  dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; }
}
@media print {
  :root {
    --paper: #ffffff; --ink: #000000; --quiet: #444444; --line: #cccccc; --soft: #f4f4f4; --link: #000000;
    --accept: #4a90c2; --drop: #c9402c; --reject: #e39a24; --queue: #8c62b8; --none: #9aa4b0;
    --made: #3c8f7c; --ended: #a9b4c0; --size: #3f6fb0; --edge: #666666;
  }
  body { padding: 0; max-width: none; font-size: 10pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  nav, details, output { display: none; }
  .scroll { overflow: visible; }
  table { font-size: 8.5pt; }
  td code, .name { white-space: normal; }
  td.wide { min-width: 0; }
  .bar { width: 3.5rem; }
  h2, h3, figcaption { break-after: avoid; }
  figure, tr, .tiles, .diagram { break-inside: avoid; }
}
`;
