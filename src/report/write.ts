// The capture again, as a pcapng file: `--write`. Each packet as it was captured with its verdict, or as it left.

import { Verdict } from '../../assembly/vocabulary.ts';
import type { BatchView, WorldView } from '../batch.ts';
import { INTERFACES_MAX, PACKET, RECORD } from '../engine/layout.ts';
import { type AsSent, hasLeft } from '../sent/as-sent.ts';
import { lengthPlace } from '../sent/link.ts';
import { packetComment } from './packet-comment.ts';
import { BlockWriter, type PacketBlock } from './pcapng.ts';

/** Which packets are written, and how. */
export interface CaptureChoice {
  /** Verdicts to keep; all if undefined. */
  verdicts?: ReadonlySet<Verdict> | undefined;
  /** Packets that left, as they left. */
  asSent?: AsSent | undefined;
}

const LINUX_EBPF_TC = 1;
/** epb_verdict knows what eBPF programs of tc return, 64 bits: TC_ACT_OK, TC_ACT_SHOT and TC_ACT_QUEUED mean the same. */
const tc = (action: number): Uint8Array => Uint8Array.of(LINUX_EBPF_TC, action, 0, 0, 0, 0, 0, 0, 0);
const VERDICT_OPTIONS: Readonly<Partial<Record<Verdict, Uint8Array>>> = {
  [Verdict.ACCEPT]: tc(0),
  [Verdict.DROP]: tc(2),
  [Verdict.REJECT]: tc(2),
  [Verdict.QUEUE]: tc(5),
};
/** epb_flags: direction in bits 0 and 1, bytes of frame check sequence in bits 5 to 8. */
const OUTBOUND = 2;
const FCS_SHIFT = 5;

/** Writes the packets of one world. */
export class CaptureWriter {
  /** By link type and number of the interface's name. */
  readonly #interfaces = new Map<number, number>();
  readonly #blocks = new BlockWriter();

  constructor(private readonly choice: CaptureChoice) {}

  /** What the file begins with. */
  header(): Uint8Array {
    this.#blocks.section();
    return this.#blocks.take();
  }

  /** The blocks of a batch, in pieces that are valid until the next is asked for. */
  *blocks(batch: BatchView, world: WorldView): Generator<Uint8Array> {
    const { verdicts, asSent } = this.choice;
    for (let index = 0; index < batch.count; index++) {
      const packet = world.packets + index * PACKET.size;
      if (verdicts && !verdicts.has(batch.bytes[packet + PACKET.verdict]!)) continue;
      if (!asSent) this.#asCaptured(batch, world, index);
      else if (hasLeft(batch, packet)) yield* this.#asSent(batch, world, index, asSent);
      if (this.#blocks.full) yield this.#blocks.take();
    }
    yield this.#blocks.take();
  }

  #asCaptured(batch: BatchView, world: WorldView, index: number): void {
    const { view, bytes } = batch;
    const record = batch.records + index * RECORD.size;
    const data = view.getUint32(record + RECORD.data, true);
    this.#packet(batch, world, index, view.getUint16(record + RECORD.iface, true), {
      data: [bytes.subarray(data, data + view.getUint32(record + RECORD.caplen, true))],
      length: view.getUint32(record + RECORD.len, true),
      flags: bytes[record + RECORD.direction]! | (bytes[record + RECORD.fcs]! << FCS_SHIFT),
    });
  }

  /** A packet may leave in many pieces. */
  *#asSent(batch: BatchView, world: WorldView, index: number, asSent: AsSent): Generator<Uint8Array> {
    const { view } = batch;
    const record = batch.records + index * RECORD.size;
    const packet = world.packets + index * PACKET.size;
    const { link, pieces } = asSent.depart(batch, world, index);
    const place = lengthPlace(view.getUint16(record + RECORD.link, true), link);
    for (const { bytes, length } of pieces) {
      // PPPoE counts what follows it: the protocol and the packet.
      if (place !== undefined) new DataView(link.buffer).setUint16(place, length + 2);
      this.#packet(batch, world, index, view.getUint16(packet + PACKET.oif, true), {
        data: [link, bytes],
        length: link.length + length,
        flags: OUTBOUND,
      });
      if (this.#blocks.full) yield this.#blocks.take();
    }
  }

  #packet(
    batch: BatchView,
    world: WorldView,
    index: number,
    iface: number,
    { data, length, flags }: Pick<PacketBlock, 'data' | 'length' | 'flags'>,
  ): void {
    const { view } = batch;
    const record = batch.records + index * RECORD.size;
    const verdict = batch.bytes[world.packets + index * PACKET.size + PACKET.verdict]! as Verdict;
    this.#blocks.packet({
      iface: this.#interface(batch, view.getUint16(record + RECORD.link, true), iface),
      tsHigh: view.getUint32(record + RECORD.ts + 4, true),
      tsLow: view.getUint32(record + RECORD.ts, true),
      data,
      length,
      flags,
      comment: packetComment(batch, world, index),
      verdict: VERDICT_OPTIONS[verdict],
    });
  }

  /** Number of the interface with this link type and name: described where it is met first. */
  #interface({ interfaces }: BatchView, link: number, iface: number): number {
    const key = link * INTERFACES_MAX + iface;
    const known = this.#interfaces.get(key);
    if (known !== undefined) return known;
    this.#blocks.interface(link, interfaces.name(iface));
    this.#interfaces.set(key, this.#interfaces.size);
    return this.#interfaces.size - 1;
  }
}
