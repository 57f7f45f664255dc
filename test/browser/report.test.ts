// Does the report page work in a browser: drawn, readable at every width, silent on the network, closed to other scripts?
//
// It needs Chromium (Debian: chromium); without it the tests are skipped, or fail when CTREPLAY_REQUIRE_BROWSER=1 (CI).

import { copyFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT, replayPage } from '../support/page.ts';

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) =>
  existsSync(path),
);
if (!CHROMIUM) {
  const text = 'the report page in a browser SKIPPED; missing: chromium';
  if (process.env.CTREPLAY_REQUIRE_BROWSER === '1') {
    test('the report page in a browser can run', () => {
      throw new Error(text);
    });
  } else console.warn(text);
}

const HOSTILE = '</script><img src=x onerror=alert(1)>';
const RULES = `*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -p udp -m comment --comment "${HOSTILE}" -j DROP
COMMIT
`;

describe.skipIf(!CHROMIUM)('the report page', () => {
  let folder: string;
  let browser: Browser;
  const said: string[] = [];
  let address: string;
  let hostile: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ctreplay-browser-'));
    const captures = ['dns', 'http', 'internet', 'ipv6', 'ping-traceroute', 'ssh-session', 'tcp-odd'];
    const paths = captures.map((name) => `captures/${name}.pcap`);
    const report = join(folder, 'report.html');
    replayPage(report, ['--host', 'captures/demo-host-new', ...paths]);
    address = pathToFileURL(report).href;
    const capture = join(folder, '<img src=x onerror=alert(2)>.pcap');
    copyFileSync(`${ROOT}captures/dns.pcap`, capture);
    writeFileSync(join(folder, 'rules'), RULES);
    hostile = join(folder, 'hostile.html');
    replayPage(hostile, ['--rules', join(folder, 'rules'), capture]);
    browser = await chromium.launch({
      executablePath: CHROMIUM!,
      args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
    });
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** The page at a width; what it says, asks for and complains of goes to `said`. */
  async function open(url: string, width: number, colorScheme: 'light' | 'dark' = 'light'): Promise<Page> {
    said.length = 0;
    const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
    page.on('console', (message) => said.push(message.text()));
    page.on('pageerror', (error) => said.push(error.message));
    page.on('dialog', (dialog) => said.push(dialog.message()));
    page.on('request', (request) => {
      if (request.url() !== url) said.push(request.url());
    });
    await page.goto(url);
    return page;
  }

  test.each([
    [1280, 'light'],
    [1280, 'dark'],
    [768, 'light'],
    [360, 'dark'],
  ] as const)(
    'at %d pixels, %s: charts are drawn, nothing is wider than the screen, nobody is asked',
    async (width, scheme) => {
      const page = await open(address, width, scheme);
      const charts = await page.locator('.plot > svg').evaluateAll((plots) =>
        plots.map((plot) => {
          const { left, right, width } = plot.getBoundingClientRect();
          const shapes = Array.from(plot.querySelectorAll('rect[class]:not(.mark), path'));
          const inside = shapes.every((shape) => {
            const box = shape.getBoundingClientRect();
            return box.left >= left - 2 && box.right <= right + 2 && box.height >= 1;
          });
          return { width, shapes: shapes.length, inside };
        }),
      );
      expect(charts).toHaveLength(4);
      for (const chart of charts) {
        expect(chart.width).toBeGreaterThan(250);
        expect(chart.shapes).toBeGreaterThan(1);
        expect(chart.inside).toBe(true);
      }
      expect(await page.locator('.diagram .edges path').count()).toBeGreaterThan(8);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
      const paper = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      expect(paper).toBe(scheme === 'dark' ? 'rgb(20, 24, 30)' : 'rgb(255, 255, 255)');
      expect(said).toEqual([]);
      await page.close();
    },
  );

  test('a chart says the numbers of a column, by pointer and by keys', async () => {
    const page = await open(address, 1000);
    const figure = page.locator('figure.chart').first();
    const plot = figure.locator('.plot');
    const rows = page.locator('#packets-over-time tbody tr');
    const first = (await rows.first().locator('td').first().textContent())!;
    const last = (await rows.last().locator('td').first().textContent())!;
    await plot.hover({ position: { x: 3, y: 50 } });
    expect(await figure.locator('output').textContent()).toMatch(new RegExp(`^${first}, .*ACCEPT \\d+$`));
    await plot.focus();
    await page.keyboard.press('End');
    expect(await plot.getAttribute('aria-valuetext')).toContain(last);
    await page.keyboard.press('ArrowLeft');
    expect(await plot.getAttribute('aria-valuenow')).toBe(String((await rows.count()) - 1));
    await page.close();
  });

  test('talkers can be put in another order, what is left stays last', async () => {
    const page = await open(address, 1000);
    const table = page.locator('table.sortable').last();
    const bytes = () =>
      table
        .locator('tbody td:nth-child(3)')
        .evaluateAll((cells) => cells.map((cell) => Number((cell as HTMLElement).dataset.value)));
    const falling = [...(await bytes())].sort((a, b) => b - a);
    await table.getByRole('button', { name: 'Bytes' }).click();
    expect(await bytes()).toEqual(falling);
    expect(await table.getByRole('columnheader', { name: 'Bytes' }).getAttribute('aria-sort')).toBe('descending');
    await table.getByRole('button', { name: 'Bytes' }).click();
    expect(await bytes()).toEqual(falling.reverse());
    expect(await table.locator('tr').last().textContent()).toContain('others');
    await page.close();
  });

  test('what captures and rules contain is text; other scripts do not run', async () => {
    const page = await open(pathToFileURL(hostile).href, 1000);
    expect(await page.locator('img').count()).toBe(0);
    expect(await page.locator('main').textContent()).toContain(HOSTILE);
    expect(said).toEqual([]);
    await page.evaluate(() => {
      const script = document.createElement('script');
      script.textContent = 'window.intruded = true';
      document.body.append(script);
    });
    expect(await page.evaluate(() => 'intruded' in window)).toBe(false);
    expect(said.join()).toContain('Content Security Policy');
    await page.close();
  });

  test('paper is white, and has no controls', async () => {
    const page = await open(address, 720, 'dark');
    await page.emulateMedia({ media: 'print' });
    expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).toBe('rgb(255, 255, 255)');
    expect(await page.locator('nav, details').filter({ visible: true }).count()).toBe(0);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(720);
    await page.close();
  });

  test('those who do not see it have names for everything, tables for charts, and one order of headings', async () => {
    const page = await open(address, 1000);
    const lacks = await page.evaluate(() => {
      const all = <E extends Element = HTMLElement>(selector: string) =>
        Array.from(document.querySelectorAll<E>(selector));
      const named = '[role=img], [role=slider], [role=group]';
      const unnamed = all(named).filter((each) => !each.getAttribute('aria-label'));
      const uncaptioned = all<HTMLTableElement>('table').filter((table) => !table.caption?.textContent);
      const levels = all('h1, h2, h3').map(({ tagName }) => Number(tagName[1]));
      const jumps = levels.filter((level, i) => level > (levels[i - 1] ?? 0) + 1);
      const tables = all('figure.chart').filter(({ dataset }) => !document.getElementById(dataset.table!));
      return [unnamed, uncaptioned, jumps, tables].map(({ length }) => length);
    });
    expect(lacks).toEqual([0, 0, 0, 0]);
    await page.close();
  });
});
