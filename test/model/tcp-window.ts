// Is a TCP segment in the windows that both sides have shown? The model's sequence space and its four bounds, to be read
// beside tcp_in_window() of the kernel and RFC 9293 section 3.4, 7323, 2018.

import { readOptions, type Segment } from './packet.ts';
import type { TcpConnection, TcpSettings } from './tcp.ts';

// Sequence space (RFC 9293 section 3.4): a before b if the way from a to b is shorter than half the circle.
export const wrap = (value: number): number => ((value % 2 ** 32) + 2 ** 32) % 2 ** 32;
export const before = (a: number, b: number): boolean => wrap(a - b) >= 2 ** 31;
const after = (a: number, b: number): boolean => before(b, a);
const atMost = (a: number, b: number): boolean => before(a, wrap(b + 1));

export interface Side {
  end: number;
  maxEnd: number;
  maxWindow: number;
  maxAck: number;
  scale: number;
  scaling: boolean;
  sack: boolean;
  closeInit: boolean;
  liberal: boolean;
  unacknowledged: boolean;
  maxAckSet: boolean;
}

export const blankSide = (): Side => ({
  end: 0,
  maxEnd: 0,
  maxWindow: 0,
  maxAck: 0,
  scale: 0,
  scaling: false,
  sack: false,
  closeInit: false,
  liberal: false,
  unacknowledged: false,
  maxAckSet: false,
});

/** What a segment's options change about the side that sent it; nothing at all if it has none. */
export function takeOptions(side: Side, segment: Segment): void {
  if (segment.options.length === 0) return;
  side.scale = 0;
  side.scaling = false;
  side.sack = false;
  side.closeInit = false;
  side.unacknowledged = false;
  side.maxAckSet = false;
  for (const { kind, data } of readOptions(segment.options)) {
    if (kind === 4 && data.length === 0) side.sack = true;
    if (kind === 3 && data.length === 1) {
      side.scaling = true;
      side.scale = Math.min(data[0]!, 14);
    }
  }
}

/** The right edge of the furthest SACK block beyond `ack` (RFC 2018); only the first SACK option counts. */
function furthestSack(segment: Segment, ack: number): number {
  const option = readOptions(segment.options).find(
    ({ kind, data }) => kind === 5 && data.length >= 8 && data.length % 8 === 0,
  );
  let edge = ack;
  for (let at = 0; option && at < option.data.length; at += 8) {
    const right = new DataView(option.data.buffer, option.data.byteOffset).getUint32(at + 4);
    if (after(right, edge)) edge = right;
  }
  return edge;
}

/** A side shows itself for the first time (or again) with a SYN. */
function introduce(sender: Side, receiver: Side, segment: Segment, dir: 0 | 1): void {
  sender.end = segment.end;
  sender.maxEnd = segment.end;
  sender.maxWindow = Math.max(segment.window, 1);
  takeOptions(sender, segment);
  // RFC 7323 section 2.2: scaling needs both sides.
  if (dir === 1 && !(sender.scaling && receiver.scaling)) {
    sender.scale = 0;
    receiver.scale = 0;
  }
}

export type Window = { kind: 'fits' } | { kind: 'ignored' | 'invalid'; reason: string; value: number };

const FITS: Window = { kind: 'fits' };

/** Lower bound for acknowledgments, as a distance: stacks may be that late (MAXACKWINCONST). */
const ackWindow = (sender: Side): number => Math.max(sender.maxWindow, 66000);

/** Is the segment in the windows? If so they move on. */
export function inWindow(connection: TcpConnection, segment: Segment, dir: 0 | 1, settings: TcpSettings): Window {
  const sender = connection.sides[dir];
  const receiver = connection.sides[dir === 0 ? 1 : 0];
  const { flags } = segment;
  let { seq, ack, end } = segment;
  let sack = receiver.sack ? furthestSack(segment, ack) : ack;

  if (sender.maxWindow === 0) {
    if (flags.syn) {
      introduce(sender, receiver, segment, dir);
      if (!flags.ack) return FITS;
    } else {
      // The other half of a connection that was picked up in the middle.
      sender.end = end;
      sender.maxWindow = Math.max(wrap(segment.window * 2 ** sender.scale), 1);
      sender.maxEnd = wrap(end + sender.maxWindow);
      if (receiver.maxWindow === 0) {
        receiver.end = sack;
        receiver.maxEnd = sack;
      } else if (sack === wrap(receiver.end + 1)) {
        receiver.end = wrap(receiver.end + 1);
      }
    }
  } else if (
    flags.syn &&
    after(end, sender.end) &&
    (connection.state === 'SYN_SENT' || connection.state === 'SYN_RECV')
  ) {
    introduce(sender, receiver, segment, dir);
    if (dir === 1 && !flags.ack) return FITS;
  }

  if (!flags.ack || (flags.rst && ack === 0)) {
    ack = receiver.end;
    sack = receiver.end;
  }
  if (flags.rst && seq === 0 && connection.state === 'SYN_SENT') {
    seq = sender.end;
    end = sender.end;
  }

  const refuse = (kind: 'ignored' | 'invalid', reason: string, value: number): Window =>
    sender.liberal || settings.liberal ? FITS : { kind, reason, value: wrap(value) };
  const ackLow = wrap(receiver.end - ackWindow(sender) - 1);
  const seqLow = wrap(sender.end - receiver.maxWindow - 1);

  if (!before(seq, wrap(sender.maxEnd + 1))) {
    const overshoot = wrap(end - sender.maxEnd + 1);
    const bearable =
      receiver.maxWindow !== 0 &&
      after(end, seqLow) &&
      after(sack, ackLow) &&
      overshoot <= receiver.maxWindow &&
      atMost(sack, receiver.end);
    if (!bearable) return refuse('invalid', 'TCP_SEQ_OVER', sender.maxEnd + 1);
    sender.end = end;
    sender.unacknowledged = true;
    return refuse('ignored', 'TCP_OVERSHOT', overshoot);
  }
  if (!atMost(sack, receiver.end)) return refuse('invalid', 'TCP_ACK_OVER', receiver.end + 1);
  if (receiver.maxWindow !== 0 && !after(end, seqLow)) return refuse('ignored', 'TCP_SEQ_UNDER', seqLow);
  if (!after(sack, ackLow)) return refuse('ignored', 'TCP_ACK_UNDER', ackLow);

  // RFC 7323 section 2.2: the window of a SYN is never scaled.
  const window = flags.syn ? segment.window : wrap(segment.window * 2 ** sender.scale);
  sender.maxWindow = Math.max(sender.maxWindow, wrap(window + wrap(sack - ack)));
  if (after(end, sender.end)) {
    sender.end = end;
    sender.unacknowledged = true;
  }
  if (flags.ack && (!sender.maxAckSet || after(ack, sender.maxAck))) {
    sender.maxAck = ack;
    sender.maxAckSet = true;
  }
  if (receiver.maxWindow !== 0 && after(end, sender.maxEnd)) {
    receiver.maxWindow = wrap(receiver.maxWindow + wrap(end - sender.maxEnd));
  }
  const granted = wrap(sack + window);
  if (!before(granted, receiver.maxEnd)) receiver.maxEnd = window === 0 ? wrap(granted + 1) : granted;
  if (ack === receiver.end) receiver.unacknowledged = false;

  if (flags.ack && !flags.syn && !flags.fin && !flags.rst) {
    const { last } = connection;
    const same =
      last.dir === dir && last.seq === seq && last.ack === ack && last.end === end && last.window === segment.window;
    last.retransmissions = same ? (last.retransmissions + 1) % 256 : 0;
    Object.assign(last, { dir, seq, ack, end, window: segment.window });
  }
  return FITS;
}
