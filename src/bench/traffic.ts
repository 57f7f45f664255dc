// Which traffic does a seed give, as a classic pcap of any length?
//
// TCP connections between hosts on both sides of a firewall, interleaved at random: handshake, data and ACKs in both
// directions, close of three in four by FIN. Sequence numbers, windows and checksums are right, so a tracker meets
// every packet in state and in window. Only the connections that are open at a time are kept, so a capture of any length
// needs bounded memory.

import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  type Carrier,
  FRAME_MAX,
  FrameWriter,
  PAYLOAD_MAX,
  PAYLOAD_STARTS,
  SEGMENT_BYTES,
  Segment,
  SYN_BYTES,
  TCP_ACK,
  TCP_FIN,
  TCP_PSH,
  TCP_SYN,
} from './frame.ts';
import { Random, scramble } from './random.ts';

/** Raised whenever the same parameters give other bytes. */
export const GENERATOR_VERSION = 1;

export interface Traffic {
  packets: number;
  /** TCP connections. */
  flows: number;
  /** Mean of the captured bytes per packet over the whole capture. */
  frameBytes: number;
  /** Connections that are open at a time, at most. */
  concurrent: number;
  /** Mean packets per second of capture time. */
  rate: number;
  seed: number;
  /** Open all connections before the first data is sent, in the order of their numbers. */
  handshakesFirst: boolean;
  /** Number of the first connection: streams whose numbers differ have no connection in common. */
  firstFlow: number;
  /** Share of the packets of an open connection that the server sends. */
  replies: number;
}

export type Mode = 'small' | 'large' | 'imix' | 'synflood';

export const COMMON = {
  concurrent: 1 << 20,
  rate: 200_000,
  seed: 1,
  handshakesFirst: false,
  firstFlow: 0,
  replies: 0.5,
};

export const MODES: Readonly<Record<Mode, Traffic>> = {
  small: { ...COMMON, packets: 4_000_000, flows: 10_000, frameBytes: 97 },
  large: { ...COMMON, packets: 8_000_000, flows: 1_000_000, frameBytes: 92, rate: 400_000 },
  imix: { ...COMMON, packets: 2_000_000, flows: 100_000, frameBytes: 410 },
  synflood: { ...COMMON, packets: 4_000_000, flows: 4_000_000, frameBytes: SYN_BYTES, concurrent: 1 },
};

/** The traffic of a mode with another number of packets, and as many connections as go with them. */
export function scaled(mode: Mode, packets: number): Traffic {
  const full = MODES[mode];
  return { ...full, packets, flows: Math.max(1, Math.round((full.flows * packets) / full.packets)) };
}

const FILE_HEADER = 24;
const RECORD_HEADER = 16;
const BLOCK_BYTES = 1 << 20;
/** 2025-01-01 00:00:00 UTC. */
const START_S = 1_735_689_600;
/** Packets of an opening, and of a close. */
const HANDSHAKE = 3;
const CLOSE = 3;
const CLIENTS = 0x0a000000;
const SERVERS = 0xc6120000;
const SERVICES = [443, 443, 443, 80, 22, 53, 25, 5432, 8080, 993];

/** IMIX: share of 12 and IP bytes of the three sizes, stretched to the mean that was asked for. */
const IMIX = [40, 40, 40, 40, 40, 40, 40, 576, 576, 576, 576, 1500];

/** Writes `traffic` as pcap (µs, Ethernet), block by block. */
export function* capture(traffic: Traffic): Generator<Buffer> {
  const source = new TrafficSource(traffic);
  yield fileHeader();
  for (let left = traffic.packets; left > 0; ) {
    const block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
    const view = new DataView(block.buffer);
    let used = 0;
    for (; left > 0 && used + RECORD_HEADER + FRAME_MAX <= BLOCK_BYTES; left--) used += source.next(block, view, used);
    yield block.subarray(0, used);
  }
}

/** Writes a capture to a file, which appears whole or not at all, or to standard output (`-`). */
export async function writeCapture(traffic: Traffic, path: string): Promise<void> {
  const blocks = Readable.from(capture(traffic), { objectMode: false });
  if (path === '-') return pipeline(blocks, process.stdout);
  const partial = `${path}.${process.pid}.part`;
  try {
    await pipeline(blocks, createWriteStream(partial));
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

function fileHeader(): Buffer {
  const header = Buffer.alloc(FILE_HEADER);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(0x40000, 16);
  header.writeUInt32LE(1, 20);
  return header;
}

/** Makes one packet after the other, each with its record header. */
export class TrafficSource {
  private readonly random: Random;
  private readonly frames: FrameWriter;
  private readonly segment = new Segment();
  /** Per open connection: number, packets left, packets sent, next sequence number of client and server. */
  private readonly flow: Uint32Array;
  private readonly left: Uint32Array;
  private readonly sent: Uint32Array;
  private readonly clientNext: Uint32Array;
  private readonly serverNext: Uint32Array;
  private readonly sizes: Uint16Array;
  private open: number;
  private started: number;
  /** Connection whose turn it is while all are being opened. */
  private turn = 0;
  private opened = 0;
  /** Microseconds since START_S. */
  private time = 0;

  constructor(
    private readonly traffic: Traffic,
    private readonly carrier?: Carrier,
  ) {
    const { packets, flows, concurrent, seed } = traffic;
    if (flows < 1 || packets < flows) throw new RangeError(`${packets} packets are too few for ${flows} flows`);
    this.random = new Random(seed);
    this.frames = new FrameWriter(new Random(scramble(seed)));
    this.open = Math.min(concurrent, flows);
    this.started = this.open;
    this.flow = new Uint32Array(this.open);
    this.left = new Uint32Array(this.open);
    this.sent = new Uint32Array(this.open);
    this.clientNext = new Uint32Array(this.open);
    this.serverNext = new Uint32Array(this.open);
    this.sizes = payloadSizes(traffic);
    for (let slot = 0; slot < this.open; slot++) this.begin(slot, slot);
  }

  /** Writes the next packet's record at `at`; returns the bytes written. */
  next(out: Buffer, view: DataView, at: number): number {
    const slot = this.choose();
    this.time += this.random.below(Math.floor(2_000_000 / this.traffic.rate) + 1);
    this.fill(slot);
    const length = this.frames.write(out, view, at + RECORD_HEADER, this.segment, this.carrier);
    const seconds = Math.floor(this.time / 1_000_000);
    view.setUint32(at, START_S + seconds, true);
    view.setUint32(at + 4, this.time - seconds * 1_000_000, true);
    view.setUint32(at + 8, length, true);
    view.setUint32(at + 12, length, true);
    this.sent[slot]!++;
    if (--this.left[slot]! === 0) this.end(slot);
    return RECORD_HEADER + length;
  }

  private choose(): number {
    if (!this.traffic.handshakesFirst || this.opened === HANDSHAKE) return this.random.below(this.open);
    const slot = this.turn++;
    if (this.turn === this.open) {
      this.turn = 0;
      this.opened++;
    }
    return slot;
  }

  private begin(slot: number, flow: number): void {
    this.flow[slot] = flow;
    this.left[slot] = this.budget(flow);
    this.sent[slot] = 0;
    this.clientNext[slot] = scramble(flow ^ 0x5bd1e995);
    this.serverNext[slot] = scramble(flow ^ 0x1b873593);
  }

  /** The connection in `slot` is over: another takes its place, or the last one does. */
  private end(slot: number): void {
    if (this.started < this.traffic.flows) {
      this.begin(slot, this.started++);
      return;
    }
    const last = --this.open;
    for (const column of [this.flow, this.left, this.sent, this.clientNext, this.serverNext])
      column[slot] = column[last]!;
  }

  /** Packets of a connection: half to one and a half times the mean; each pair of connections has twice the mean. */
  private budget(flow: number): number {
    const { packets, flows, handshakesFirst } = this.traffic;
    const mean = Math.floor(packets / flows);
    const extra = flow < packets - mean * flows ? 1 : 0;
    const pair = flow >>> 1;
    if (pair * 2 + 1 >= flows || handshakesFirst) return mean + extra;
    const shift = scramble(pair) % (spreadOf(mean) + 1);
    return mean + extra + (flow & 1 ? shift : -shift);
  }

  /** Fills the segment with what the connection sends next. */
  private fill(slot: number): void {
    const flow = this.flow[slot]!;
    const sent = this.sent[slot]!;
    const left = this.left[slot]!;
    const closes = (flow & 3) !== 0 && sent + left >= HANDSHAKE + CLOSE && left <= CLOSE;
    let flags = TCP_ACK;
    let reply = false;
    let length = 0;
    if (sent < HANDSHAKE) {
      reply = sent === 1;
      flags = sent === 0 ? TCP_SYN : sent === 1 ? TCP_SYN | TCP_ACK : TCP_ACK;
    } else if (closes) {
      reply = left === 2;
      if (left > 1) flags |= TCP_FIN;
    } else {
      const word = this.random.word();
      reply = (word & 0xff) < this.traffic.replies * 256;
      length = this.sizes[(word >>> 8) % this.sizes.length]!;
      if (length > 0) flags |= TCP_PSH;
    }
    this.address(flow + this.traffic.firstFlow, reply);
    const { segment } = this;
    const next = reply ? this.serverNext : this.clientNext;
    segment.seq = next[slot]!;
    segment.ack = flags & TCP_ACK ? (reply ? this.clientNext : this.serverNext)[slot]! : 0;
    segment.flags = flags;
    segment.stamp = Math.floor(this.time / 1000) + 1;
    segment.start = this.random.below(PAYLOAD_STARTS);
    segment.length = length;
    next[slot]! += length + (flags & (TCP_SYN | TCP_FIN) ? 1 : 0);
  }

  /** Addresses and ports are a one-to-one function of the connection's number (below 2^32). */
  private address(flow: number, reply: boolean): void {
    const low = Math.imul(flow, 0x9e3779b1) & 0xffff;
    const mixed = scramble(low);
    const client = CLIENTS + low;
    const server = SERVERS + (mixed & 0xff);
    // 24,571 has no factor in common with 64,512: connections of one client have different ports.
    const cport = 1024 + (((flow >>> 16) * 24_571 + (mixed >>> 8)) % 64_512);
    const service = SERVICES[(mixed >>> 4) % SERVICES.length]!;
    const { segment } = this;
    segment.source = reply ? server : client;
    segment.target = reply ? client : server;
    segment.sport = reply ? service : cport;
    segment.dport = reply ? cport : service;
  }
}

/** How far the packets of a connection are from their mean, at most; what is left is enough for a handshake. */
function spreadOf(mean: number): number {
  return Math.max(0, Math.min(mean >> 1, mean - HANDSHAKE - 1));
}

/** Payload sizes to draw from, so that the capture's frames have the mean asked for; two in five are pure ACKs. */
function payloadSizes({ packets, flows, frameBytes }: Traffic): Uint16Array {
  const openings = Math.min(packets, flows * 2);
  const each = Math.floor(packets / flows);
  const spread = spreadOf(each);
  // Those that are long enough to be closed; budgets are about evenly spread.
  const closable = (each + spread + 1 - (HANDSHAKE + CLOSE)) / (2 * spread + 1);
  const closed = 0.75 * Math.max(0, Math.min(1, closable));
  const bare = Math.min(packets, flows * (HANDSHAKE + CLOSE * closed));
  const payload = packets * frameBytes - openings * SYN_BYTES - (packets - openings) * SEGMENT_BYTES;
  const mean = packets > bare ? Math.max(0, payload / (packets - bare)) : 0;
  if (mean > 200)
    return stretch(
      IMIX.map((size) => Math.max(0, size - 40)),
      mean,
    );
  return stretch(
    [0, 0, 0.5, 1, 2.5].map((part) => part * mean),
    mean,
  );
}

/** Scales sizes to a mean without exceeding the largest payload; what rounding loses goes to the smallest sizes. */
function stretch(parts: readonly number[], mean: number): Uint16Array {
  const sizes = Uint16Array.from(parts, (part) => Math.min(PAYLOAD_MAX, Math.round(part)));
  let missing = Math.round(mean * sizes.length) - sizes.reduce((sum, size) => sum + size, 0);
  for (let at = 0; missing !== 0 && at < sizes.length; at++) {
    const size = Math.max(0, Math.min(PAYLOAD_MAX, sizes[at]! + missing));
    missing -= size - sizes[at]!;
    sizes[at] = size;
  }
  return sizes;
}
