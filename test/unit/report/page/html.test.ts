// Does a page say what it was given, and nothing else?

import { expect, test } from 'vitest';
import { cutText, escapeHtml, html } from '../../../../src/report/page/html.ts';
import { shortPaths } from '../../../../src/report/page/paths.ts';
import { bytesText, percentText } from '../../../../src/report/page/table.ts';
import { momentText, widthText } from '../../../../src/report/page/time-chart.ts';

test('markup is text, in elements and in attributes', () => {
  expect(escapeHtml('</script><img src=x onerror="a(\'b\')">&amp;')).toBe(
    '&lt;/script&gt;&lt;img src=x onerror=&#34;a(&#39;b&#39;)&#34;&gt;&amp;amp;',
  );
  expect(html`<p title="${'"onclick="x'}">${'<b>'}${html`<i>${'&'}</i>`}${['<', 1, undefined, false]}</p>`.text).toBe(
    '<p title="&#34;onclick=&#34;x">&lt;b&gt;<i>&amp;</i>&lt;1</p>',
  );
});

test('what cannot be seen, or turns the order round, is spelled out', () => {
  expect(escapeHtml('a\u202eb\u0000c\nd\u200be\ufefff\ud800g')).toBe(
    'a\\u{202e}b\\u{0}c\\u{a}d\\u{200b}e\\u{feff}f\\u{d800}g',
  );
  expect(escapeHtml('größe 東京 🙂')).toBe('größe 東京 🙂');
});

test('long texts are cut, never within a character', () => {
  expect(cutText('abcdef', 6)).toBe('abcdef');
  expect(cutText('abcdefg', 6)).toBe('abcde…');
  expect(escapeHtml(cutText('abcd🙂🙂', 6))).toBe('abcd…');
});

test('paths lose the folder that all share', () => {
  expect(shortPaths(['/a/b/c.pcap', '/a/b/d/c.pcap'])).toEqual(['c.pcap', 'd/c.pcap']);
  expect(shortPaths(['/a/x.pcap', '-', 'b/x.pcap'])).toEqual(['/a/x.pcap', 'standard input', 'b/x.pcap']);
  expect(shortPaths(['x.pcap'])).toEqual(['x.pcap']);
});

test('numbers for people', () => {
  expect([0, 99, 999, 1000, 99_499, 99_500, 1_250_000].map(bytesText)).toEqual([
    '0 B',
    '99 B',
    '999 B',
    '1.0 kB',
    '99.5 kB',
    '100 kB',
    '1.3 MB',
  ]);
  expect([percentText(0, 5), percentText(1, 9999), percentText(9999, 10_000), percentText(1, 8)]).toEqual([
    '0.0%',
    '<0.1%',
    '>99.9%',
    '12.5%',
  ]);
  const time = Date.UTC(2026, 10, 21, 9, 5, 7) * 1000 + 250_000;
  expect([1e3, 1e6, 60e6, 86_400e6].map((distance) => momentText(time, distance, false))).toEqual([
    '09:05:07.250',
    '09:05:07',
    '09:05',
    '2026-11-21',
  ]);
  expect(momentText(time, 1e6, true)).toBe('11-21 09:05:07');
  expect([5, 20e3, 1e6, 1800e6, 172_800e6].map(widthText)).toEqual(['5 µs', '20 ms', '1 s', '30 min', '2 d']);
});
