// What should become of fragments? Reassembly written plainly, as RFC 791, RFC 8200 and the kernel's functions read:
// arrays of bytes, no limits of memory. (net/ipv4/ip_fragment.c, net/ipv6/netfilter/nf_conntrack_reasm.c)

/** What one packet of the input comes to. */
export type Fate =
  | { kind: 'passes' }
  | { kind: 'waits' }
  | { kind: 'dropped'; reason: string }
  | { kind: 'whole'; packet: Uint8Array };

/** A queued fragment (by the number of its packet) and why it is gone; NONE: it is part of what `by` completed. */
export interface End {
  n: number;
  by: number;
  reason: string;
}

interface Piece {
  n: number;
  start: number;
  end: number;
  packet: Uint8Array;
  /** Where its data begins in `packet`. */
  data: number;
}

interface Queue {
  key: string;
  six: boolean;
  expires: bigint;
  /** Runs of pieces, each touching the one before; in order of place. */
  runs: Piece[][];
  length: number;
  last: boolean;
  ecn: Set<number>;
  largest: number;
  largestDf: number;
  source: string;
  count: number;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const get16 = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;

export class Reassembly {
  private readonly queues: Queue[] = [];
  private readonly counts = new Map<string, number>();
  readonly ends: End[] = [];

  constructor(
    private readonly timeouts: { four: bigint; six: bigint },
    private readonly maxDistance: number,
  ) {}

  /** Packet number `n` (from 1) at a time in ns. Only packets with plain headers: no options, UDP. */
  take(n: number, time: bigint, packet: Uint8Array): Fate {
    this.expire(n, time);
    const six = packet[0]! >> 4 === 6;
    if (six && packet[6] !== 44) return { kind: 'passes' };
    if (!six && (get16(packet, 6) & 0x3fff) === 0) return { kind: 'passes' };
    return six ? this.six(n, time, packet) : this.four(n, time, packet);
  }

  expire(n: number, time: bigint): void {
    const due = this.queues.filter((queue) => queue.expires <= time);
    for (const queue of due) this.kill(queue, n, 'FRAGMENT_TIMEOUT');
  }

  get waiting(): number {
    return this.queues.length;
  }

  private find(key: string, six: boolean, source: string, time: bigint): Queue {
    const known = this.queues.find((queue) => queue.key === key);
    if (known) return known;
    const queue = {
      key,
      six,
      source,
      runs: [],
      length: 0,
      last: false,
      ecn: new Set<number>(),
      largest: 0,
      largestDf: 0,
      count: 0,
    };
    const made: Queue = { ...queue, expires: time + (six ? this.timeouts.six : this.timeouts.four) };
    this.queues.push(made);
    return made;
  }

  private kill(queue: Queue, by: number, reason: string): void {
    this.empty(queue, by, reason);
    this.queues.splice(this.queues.indexOf(queue), 1);
  }

  private empty(queue: Queue, by: number, reason: string): void {
    for (const { n } of queue.runs.flat()) this.ends.push({ n, by, reason });
    queue.runs = [];
  }

  private four(n: number, time: bigint, packet: Uint8Array): Fate {
    const source = hex(packet.subarray(12, 16));
    const key = `4 ${hex(packet.subarray(12, 20))} ${packet[9]} ${get16(packet, 4)}`;
    const queue = this.find(key, false, source, time);
    if (this.maxDistance) {
      const count = (this.counts.get(source) ?? 0) + 1;
      this.counts.set(source, count);
      const tooFar = queue.runs.length > 0 && count - queue.count > this.maxDistance;
      queue.count = count;
      if (tooFar) {
        this.empty(queue, n, 'FRAGMENT_TOO_FAR');
        Object.assign(queue, { length: 0, last: false, ecn: new Set(), expires: time + this.timeouts.four });
      }
    }
    const discard = (reason: string): Fate => {
      this.kill(queue, n, reason);
      return { kind: 'dropped', reason };
    };
    const field = get16(packet, 6);
    const start = (field & 0x1fff) * 8;
    let end = start + get16(packet, 2) - 20;
    if (field & 0x2000) {
      end -= end % 8;
      if (queue.last && end > queue.length) return discard('FRAGMENT_BAD_LENGTH');
      queue.length = Math.max(queue.length, end);
    } else {
      if (end < queue.length || (queue.last && end !== queue.length)) return discard('FRAGMENT_BAD_LENGTH');
      queue.last = true;
      queue.length = end;
    }
    if (end === start) return discard('FRAGMENT_BAD_LENGTH');
    const placed = place(queue, { n, start, end, packet, data: 20 });
    if (placed === 'FRAGMENT_DUPLICATE') return { kind: 'dropped', reason: placed };
    if (placed) return discard(placed);
    queue.ecn.add(packet[1]! & 3);
    queue.largest = Math.max(queue.largest, end - start + 20);
    if (field & 0x4000) queue.largestDf = Math.max(queue.largestDf, end - start + 20);
    if (!isWhole(queue)) return { kind: 'waits' };
    if (contradicts(queue)) return discard('FRAGMENT_ECN');
    if (queue.length + 20 > 65535) return discard('FRAGMENT_TOO_BIG');
    const header = queue.runs[0]![0]!.packet.slice(0, 20);
    header[2] = (queue.length + 20) >> 8;
    header[3] = (queue.length + 20) & 255;
    header[6] = queue.largestDf === queue.largest ? 0x40 : 0;
    header[7] = 0;
    if (congested(queue)) header[1]! |= 3;
    return this.finish(queue, n, header);
  }

  private six(n: number, time: bigint, packet: Uint8Array): Fate {
    const start = get16(packet, 42) & 0xfff8;
    const size = get16(packet, 4) - 8;
    if (start === 0 && size < 8) return { kind: 'passes' };
    const queue = this.find(`6 ${hex(packet.subarray(8, 40))} ${hex(packet.subarray(44, 48))}`, true, '', time);
    const end = start + size;
    const drop = (reason: string): Fate => ({ kind: 'dropped', reason });
    if (end > 65535) return drop('FRAGMENT_TOO_BIG');
    if (packet[43]! & 1) {
      if (end % 8) {
        this.kill(queue, n, 'FRAGMENT_BAD_LENGTH');
        return { kind: 'passes' };
      }
      if (queue.last && end > queue.length) return drop('FRAGMENT_BAD_LENGTH');
      queue.length = Math.max(queue.length, end);
    } else {
      if (end < queue.length || (queue.last && end !== queue.length)) return drop('FRAGMENT_BAD_LENGTH');
      queue.last = true;
      queue.length = end;
    }
    if (end === start) return drop('FRAGMENT_BAD_LENGTH');
    const placed = place(queue, { n, start, end, packet, data: 48 });
    if (placed === 'FRAGMENT_OVERLAP') this.kill(queue, n, placed);
    if (placed) return drop(placed);
    queue.ecn.add((get16(packet, 0) >> 4) & 3);
    if (!isWhole(queue)) return { kind: 'waits' };
    if (contradicts(queue)) {
      this.kill(queue, n, 'FRAGMENT_ECN');
      return drop('FRAGMENT_ECN');
    }
    const first = queue.runs[0]![0]!.packet;
    const header = first.slice(0, 40);
    header[4] = queue.length >> 8;
    header[5] = queue.length & 255;
    header[6] = first[40]!;
    if (congested(queue)) header[1]! |= 0x30;
    return this.finish(queue, n, header);
  }

  private finish(queue: Queue, n: number, header: Uint8Array): Fate {
    const whole = new Uint8Array(header.length + queue.length);
    whole.set(header);
    for (const { start, end, packet, data } of queue.runs.flat()) {
      whole.set(packet.subarray(data, data + end - start), header.length + start);
    }
    this.kill(queue, n, 'NONE');
    return { kind: 'whole', packet: whole };
  }
}

/** Puts a piece into its queue, or says why not. A run grows only at the end of the queue. */
function place(queue: Queue, piece: Piece): string | undefined {
  const { start, end } = piece;
  const bounds = (run: Piece[]): [number, number] => [run[0]!.start, run.at(-1)!.end];
  const last = queue.runs.at(-1);
  if (last && bounds(last)[1] === start) {
    last.push(piece);
    return undefined;
  }
  for (const run of queue.runs) {
    const [from, to] = bounds(run);
    // What reaches beyond the end of all is never taken for a repetition; within a run it is one.
    if (start >= from && end <= to) return 'FRAGMENT_DUPLICATE';
    if (start < to && end > from) return 'FRAGMENT_OVERLAP';
  }
  queue.runs.push([piece]);
  queue.runs.sort((one, other) => one[0]!.start - other[0]!.start);
  return undefined;
}

function isWhole(queue: Queue): boolean {
  const pieces = queue.runs.flat();
  return (
    pieces[0]!.start === 0 &&
    queue.last &&
    pieces.reduce((sum, { start, end }) => sum + end - start, 0) === queue.length
  );
}

/** RFC 3168 section 5.3: a sender that does not know ECN, and one that does. */
function contradicts({ ecn }: Queue): boolean {
  return ecn.has(0) && ecn.size > 1;
}

function congested({ ecn }: Queue): boolean {
  return ecn.has(3) && ecn.size > 1;
}
