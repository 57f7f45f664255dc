// What does the helper of an entry hear in a packet? FTP is read from line to line: the first one of each side never is.

import { isTftpRequest, readFtp } from './announcements.ts';
import type { Expectation, Expecting } from './expectations.ts';
import type { ModelTuple } from './icmp.ts';
import { type ModelPacket, readSegment } from './packet.ts';

export interface Helped extends Expecting {
  reply: ModelTuple;
  /** FTP: sequence numbers behind a line, by direction. */
  lines: [number[], number[]];
}

const NEWLINE = 10;

/** Whom to expect, in the direction against the packet's; partial: what begins like an announcement must not pass. */
export function hear(
  entry: Helped,
  { body, family }: ModelPacket,
  dir: 0 | 1,
  established: boolean,
): 'nothing' | 'partial' | Omit<Expectation, 'master' | 'expires' | 'number'> {
  if (entry.helper === 'tftp') {
    const { source, target, dport } = entry.reply;
    return isTftpRequest(body.slice(8)) ? { family, protocol: 17, source, target, dport } : 'nothing';
  }
  const segment = readSegment(body);
  const payload = body.slice(segment?.headerLength ?? body.length);
  if (!segment || !established || payload.length === 0) return 'nothing';
  const lines = entry.lines[dir];
  const said = lines.includes(segment.seq) ? readFtp(payload, dir, family) : 'nothing';
  if (said === 'partial') return said;
  if (payload.at(-1) === NEWLINE) rememberLine(lines, (segment.seq + payload.length) >>> 0);
  const { source, target } = dir === 0 ? entry.reply : entry.original;
  if (said === 'nothing' || !target.startsWith(said.address ?? '')) return 'nothing';
  return { family, protocol: 6, source, target, dport: said.port };
}

/** Two numbers are remembered; a later one takes the place of the older. */
function rememberLine(lines: number[], seq: number): void {
  if (lines.includes(seq)) return;
  if (lines.length < 2) {
    lines.push(seq);
    return;
  }
  const later = (a: number, b: number): boolean => ((a - b) | 0) > 0;
  const oldest = later(lines[1]!, lines[0]!) ? 0 : 1;
  if (later(seq, lines[oldest]!)) lines[oldest] = seq;
}
