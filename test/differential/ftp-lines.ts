// How much longer does the FTP helper make a line behind NAT? Enough of nf_conntrack_ftp.c and nf_nat_ftp.c, written with
// patterns, for the ends of generated connections to know it; where this is wrong, they acknowledge what both sides call invalid.

import type { Rewriting, Side } from './helper-connection.ts';
import type { Meeting } from './helper-nat.ts';

/** Delimiters of EPRT and EPSV. */
const BAR = '[!-/:-~]';
const PATTERNS: Record<Side, [start: RegExp, whole: RegExp][]> = {
  client: [
    [/^port/i, /^port[^ ]* (\d*(?:,\d*){5})\r/i],
    [/^eprt/i, new RegExp(`^eprt[^ ]* ((${BAR})[12]\\2([0-9a-f.:]*)\\2(\\d+)\\2)`, 'i')],
  ],
  server: [
    [/^227 /, /^227 \D*(\d+(?:,\d*){5})[^\d,]/],
    [/^229 /, new RegExp(`^229 [^(]*\\(((${BAR})\\2\\2(\\d+)\\2)`)],
  ],
};

export class FtpLines implements Rewriting {
  /** Positions behind the newlines of each side, the two latest. */
  private readonly starts: Record<Side, number[]> = { client: [], server: [] };
  private readonly counted = new Set<string>();

  constructor(private readonly meeting: Meeting) {}

  growth(side: Side, position: number, payload: Uint8Array): number {
    const text = Buffer.from(payload).toString('latin1');
    let growth = 0;
    if (this.starts[side].includes(position)) {
      for (const [start, whole] of PATTERNS[side]) {
        if (!start.test(text)) continue;
        const found = whole.exec(text);
        if (!found) return 0;
        growth = this.meeting.translated ? this.difference(side, found) : 0;
        break;
      }
    }
    if (text.endsWith('\n') && !this.starts[side].includes(position + text.length)) {
      this.starts[side] = [...this.starts[side], position + text.length].slice(-2);
    }
    // A repetition moves nothing any more.
    const key = `${side} ${position}`;
    if (growth !== 0 && this.counted.has(key)) return 0;
    if (growth !== 0) this.counted.add(key);
    return growth;
  }

  private difference(side: Side, [, old = '', delimiter, ...rest]: RegExpExecArray): number {
    const { client, server, clientSeen, serverSeen, family } = this.meeting;
    const [own, seen] = side === 'client' ? [client, clientSeen] : [server, serverSeen];
    if (delimiter === undefined) {
      const numbers = old.split(',').map(Number);
      if (family === 6 || numbers.slice(0, 4).join('.') !== own) return 0;
      const port = ((numbers[4]! << 8) | numbers[5]!) & 0xffff;
      return `${seen.replaceAll('.', ',')},${port >> 8},${port & 255}`.length - old.length;
    }
    const port = Number(rest.at(-1)) & 0xffff;
    if (rest.length === 1) return port === 0 ? 0 : `|||${port}|`.length - old.length;
    if (rest[0] !== own) return 0;
    const shown = family === 6 ? 39 : seen.length;
    return port === 0 ? 0 : `|1||${port}|`.length + shown - old.length;
  }
}
