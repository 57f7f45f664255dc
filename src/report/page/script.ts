// What can be done with the page beyond reading it? Charts say the numbers under the pointer, or of the column that the
// arrow keys choose; tables can be put in another order. Without scripts all is there but that.

export const SCRIPT = `
'use strict';
for (const figure of document.querySelectorAll('figure.chart')) {
  const table = document.getElementById(figure.dataset.table);
  const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  const rows = [...table.tBodies[0].rows];
  const plot = figure.querySelector('.plot');
  const mark = figure.querySelector('.mark');
  const output = figure.querySelector('output');
  let chosen = -1;
  const read = (row) => [...row.cells].map((cell, i) => (i === 0 ? cell.textContent : names[i] + ' ' + cell.textContent)).join(', ');
  const choose = (index) => {
    chosen = Math.max(0, Math.min(rows.length - 1, index));
    const text = read(rows[chosen]);
    mark.setAttribute('x', (chosen * 100) / rows.length + '%');
    mark.setAttribute('visibility', 'visible');
    output.textContent = text;
    plot.setAttribute('aria-valuenow', chosen + 1);
    plot.setAttribute('aria-valuetext', text);
  };
  const leave = () => {
    mark.setAttribute('visibility', 'hidden');
    output.textContent = '';
  };
  const label = plot.firstElementChild.getAttribute('aria-label');
  const attributes = { role: 'slider', tabindex: 0, 'aria-label': label, 'aria-valuemin': 1, 'aria-valuemax': rows.length, 'aria-valuenow': 1 };
  for (const [name, value] of Object.entries(attributes)) plot.setAttribute(name, value);
  plot.addEventListener('pointermove', (event) => {
    const { left, width } = plot.getBoundingClientRect();
    choose(Math.floor(((event.clientX - left) * rows.length) / width));
  });
  plot.addEventListener('pointerleave', leave);
  plot.addEventListener('blur', leave);
  plot.addEventListener('keydown', (event) => {
    const to = { ArrowLeft: chosen - 1, ArrowRight: chosen + 1, Home: 0, End: rows.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    choose(to);
  });
}
for (const table of document.querySelectorAll('table.sortable')) {
  const body = table.tBodies[0];
  const first = [...body.rows];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    if (!first.some((row) => row.cells[column].dataset.value)) return;
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener('click', () => {
      const down = head.getAttribute('aria-sort') !== 'descending';
      for (const other of table.tHead.rows[0].cells) other.removeAttribute('aria-sort');
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const value = (row) => Number(row.cells[column].dataset.value);
      body.append(...first.slice().sort((a, b) => (down ? value(b) - value(a) : value(a) - value(b))));
    });
  });
}
`;
