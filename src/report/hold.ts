// When is it known what became of a fragment? Batches wait here until the fragments in them are decided.
//
// A fragment bears the verdict of the packet it was assembled into, which may come batches later, while output is in
// capture order. So a batch with an undecided fragment is copied out of the ring and waits, and those behind it; but for
// no more than HOLD_PACKETS packets and HOLD_BYTES captured bytes, so that memory stays bounded. That is counted packet by
// packet, not in batches or time of day: which fragments stay undecided (`fragment-pending`) is a matter of the captures alone.

import { PacketFlag, Reason, Verdict } from '../../assembly/vocabulary.ts';
import type { BatchView, Sink, WorldView } from '../batch.ts';
import { ASSEMBLED, ASSEMBLED_ROOM, EVENT, FRAGMENT_END, PACKET, RECORD, TUPLE } from '../engine/layout.ts';
import type { SentParts } from '../sent/records.ts';
import type { EventPlace } from './order.ts';

/** A fragment is told its packet's fate if that is decided at most so many packets later. */
export const HOLD_PACKETS = 65_536;
/** And if no more bytes were captured meanwhile, whether or not they have to be kept. */
export const HOLD_BYTES = 256 << 20;

/** Fields of a fragment that say what became of its packet: the second line of the record, but for what counts once. */
const FATE_START = PACKET.mark;
const FATE_END = PACKET.size;

/** Addresses of FragmentEnd records in linear memory, and how many bytes of fragments the batch has. */
export interface BatchFragments {
  /** Number of the batch's first packet. */
  first: number;
  ends: number;
  endsBytes: number;
  /** True if there are fragments in the batch. */
  any: boolean;
}

interface Held {
  batch: BatchView;
  first: number;
  /** Fragments that are not decided yet, in order: their numbers, and how many bytes had been captured with each. */
  open: Map<number, number>;
}

export class FragmentHold {
  private readonly held: Held[] = [];
  /** Bytes captured while batches waited. */
  private captured = 0;

  /** @param withBytes what packets consist of can be looked at in batches that waited, too */
  constructor(
    private readonly sink: Sink,
    private readonly withBytes: boolean,
  ) {}

  /** Takes a judged batch, hands over what need not wait any longer. */
  async add(batch: BatchView, fragments: BatchFragments): Promise<void> {
    const { first } = fragments;
    const counts = this.held.length > 0 || fragments.any;
    const captured = counts ? capturedBytes(batch, this.captured) : NONE;
    this.captured = captured.at(-1) ?? this.captured;
    const own: Held = { batch, first, open: fragments.any ? undecided(batch, first, captured) : new Map() };
    if (fragments.endsBytes) this.decide(own, fragments, captured);
    const last = first + batch.count - 1;
    while (this.held.length > 0 && !this.waits(this.held[0]!, last)) await this.sink(this.held.shift()!.batch);
    if (this.held.length > 0 || this.waits(own, last))
      this.held.push({ ...own, batch: copyBatch(batch, this.withBytes) });
    else await this.sink(batch);
  }

  /** The end of the input: what is undecided stays incomplete. */
  async end(): Promise<void> {
    const newest = this.held.at(-1);
    const last = newest ? newest.first + newest.batch.count - 1 : 0;
    for (const each of this.held) {
      for (const [number, captured] of each.open) {
        if (number + HOLD_PACKETS < last || captured + HOLD_BYTES < this.captured) continue;
        for (const { packets } of each.batch.worlds) {
          each.batch.bytes[packets + (number - each.first) * PACKET.size + PACKET.reason] = Reason.FRAGMENT_INCOMPLETE;
        }
      }
      await this.sink(each.batch);
    }
    this.held.length = 0;
  }

  /** Is there a fragment whose fate may still be told, when packet `last` was the last? */
  private waits({ open }: Held, last: number): boolean {
    const newest = [...open].at(-1);
    return newest !== undefined && last - newest[0] < HOLD_PACKETS && this.captured - newest[1] < HOLD_BYTES;
  }

  /** Tells fragments, held or of the same batch, what this batch decided about them. */
  private decide(now: Held, { first, ends, endsBytes }: BatchFragments, captured: Float64Array): void {
    const { view } = now.batch;
    for (let at = ends; at < ends + endsBytes; at += FRAGMENT_END.size) {
      const number = Number(view.getBigUint64(at + FRAGMENT_END.number, true));
      const by = view.getUint32(at + FRAGMENT_END.by, true);
      if (number === first + by || number + HOLD_PACKETS < first + by) continue;
      const home = number >= first ? now : this.held.find((each) => number < each.first + each.batch.count);
      const before = home?.open.get(number);
      if (!home || before === undefined || before + HOLD_BYTES < captured[by]!) continue;
      home.open.delete(number);
      const reason = view.getUint32(at + FRAGMENT_END.reason, true);
      home.batch.worlds.forEach((world, index) => {
        const target = world.packets + (number - home.first) * PACKET.size;
        if (reason !== Reason.NONE) drop(home.batch, target, reason);
        else {
          const translation = world.translations + (number - home.first) * TUPLE.size;
          join(home.batch, target, translation, now.batch, now.batch.worlds[index]!, by);
        }
      });
    }
  }
}

const NONE = new Float64Array();

/** Bytes captured with each packet of the batch and before, from `start` on. */
function capturedBytes({ view, records, count }: BatchView, start: number): Float64Array {
  const sums = new Float64Array(count);
  let sum = start;
  for (let i = 0; i < count; i++) {
    sum += view.getUint32(records + i * RECORD.size + RECORD.caplen, true);
    sums[i] = sum;
  }
  return sums;
}

/** Fragments of the batch that wait for others. */
function undecided(batch: BatchView, first: number, captured: Float64Array): Map<number, number> {
  const open = new Map<number, number>();
  const { packets } = batch.worlds[0]!;
  for (let i = 0; i < batch.count; i++) {
    if (batch.bytes[packets + i * PACKET.size + PACKET.reason] === Reason.FRAGMENT_PENDING)
      open.set(first + i, captured[i]!);
  }
  return open;
}

function drop({ bytes }: BatchView, target: number, reason: number): void {
  bytes[target + PACKET.reason] = reason;
  bytes[target + PACKET.verdict] = Verdict.DROP;
}

/** Gives a fragment the fate of the packet at index `by` of another (or the same) batch. */
function join(
  home: BatchView,
  target: number,
  translation: number,
  batch: BatchView,
  world: WorldView,
  by: number,
): void {
  const source = world.packets + by * PACKET.size;
  const record = batch.records + by * RECORD.size;
  const flags = home.view.getUint16(target + PACKET.flags, true);
  const packetType = home.bytes[target + PACKET.pkttype]!;
  home.bytes.set(batch.bytes.subarray(source + FATE_START, source + FATE_END), target + FATE_START);
  const translated = batch.view.getUint16(source + PACKET.flags, true) & PacketFlag.TRANSLATED;
  home.view.setUint16(target + PACKET.flags, flags | translated | PacketFlag.FRAGMENT_OF, true);
  if (translated) {
    const tuple = world.translations + by * TUPLE.size;
    home.bytes.set(batch.bytes.subarray(tuple, tuple + TUPLE.size), translation);
  }
  home.bytes[target + PACKET.pkttype] = packetType;
  home.bytes[target + PACKET.events] = 0;
  home.view.setUint16(target + PACKET.logs, 0, true);
  home.view.setUint32(target + PACKET.why_value, batch.view.getUint32(source + PACKET.why_value, true), true);
  home.view.setUint32(target + PACKET.hash, batch.view.getUint32(record + RECORD.n, true), true);
  home.view.setUint32(target + PACKET.l4, batch.view.getUint16(record + RECORD.file, true), true);
}

/** The batch in memory of its own. What a packet's addresses point to (its bytes) is only copied if that is wanted. */
function copyBatch(batch: BatchView, withBytes: boolean): BatchView {
  const { bytes, count, worlds } = batch;
  const events = worlds.reduce((sum, world) => sum + world.events.length + world.expectations.length, 0);
  const packetBytes = count * PACKET.size;
  const tupleBytes = count * TUPLE.size;
  const worldBytes = worlds.length * (packetBytes + tupleBytes);
  const contents = withBytes ? contentsOf(batch) : [];
  const contentBytes = contents.reduce((sum, { length }) => sum + align(length), 0);
  const copy = new Uint8Array(count * RECORD.size + worldBytes + events * EVENT.size + contentBytes);
  const view = new DataView(copy.buffer);
  let top = 0;
  const put = (source: Uint8Array, at: number, length: number): number => {
    const start = top;
    copy.set(source.subarray(at, at + length), start);
    top += align(length);
    return start;
  };
  const kept = (event: EventPlace): EventPlace => ({
    view,
    bytes: copy,
    at: put(event.bytes, event.at, EVENT.size),
  });
  const records = put(bytes, batch.records, count * RECORD.size);
  const copied: BatchView = {
    view,
    bytes: copy,
    records,
    count,
    interfaces: batch.interfaces,
    sided: batch.sided,
    worlds: worlds.map((world) => {
      const packets = put(bytes, world.packets, packetBytes);
      return {
        packets,
        translations: world.translations && put(bytes, world.translations, tupleBytes),
        events: world.events.map(kept),
        expectations: world.expectations.map(kept),
        logs: (address: number) => world.logs(address - packets + world.packets),
        master: (address: number) => world.master(address - packets + world.packets),
        sent: copySent(world.sent, packets - world.packets),
        rules: world.rules,
        uncounted: world.uncounted,
      };
    }),
  };
  for (const { index, start, length, assembled } of contents) {
    pointTo(copied, index, put(bytes, start, length) - start, assembled);
  }
  return copied;
}

function align(length: number): number {
  return (length + 7) & ~7;
}

/** Bytes that a packet consists of: the captured ones, or what was put together of fragments. */
interface Content {
  index: number;
  start: number;
  length: number;
  assembled: boolean;
}

function contentsOf({ view, records, count, worlds }: BatchView): Content[] {
  const contents: Content[] = [];
  const [{ packets }] = worlds as [WorldView];
  for (let index = 0; index < count; index++) {
    const record = records + index * RECORD.size;
    const start = view.getUint32(record + RECORD.data, true);
    contents.push({ index, start, length: view.getUint32(record + RECORD.caplen, true), assembled: false });
    const packet = packets + index * PACKET.size;
    if (!(view.getUint16(packet + PACKET.flags, true) & PacketFlag.REASSEMBLED)) continue;
    const head = view.getUint32(packet + PACKET.l3, true) - ASSEMBLED_ROOM;
    const captured = view.getUint32(head + ASSEMBLED.captured, true);
    const lengths = view.getUint32(head + ASSEMBLED.count, true) * 2;
    contents.push({ index, start: head, length: ASSEMBLED_ROOM + captured + 1 + lengths, assembled: true });
  }
  return contents;
}

/** Lets record and packets point to bytes that were moved by `distance`. */
function pointTo({ view, records, worlds }: BatchView, index: number, distance: number, assembled: boolean): void {
  const move = (at: number): void => {
    const address = view.getUint32(at, true);
    if (address !== 0) view.setUint32(at, address + distance, true);
  };
  if (!assembled) move(records + index * RECORD.size + RECORD.data);
  for (const { packets } of worlds) {
    const packet = packets + index * PACKET.size;
    const flags = view.getUint16(packet + PACKET.flags, true);
    // The transport header of a fragment is its packet's, whose number stands in its place.
    if (flags & PacketFlag.FRAGMENT_OF || ((flags & PacketFlag.REASSEMBLED) !== 0) !== assembled) continue;
    move(packet + PACKET.l3);
    move(packet + PACKET.l4);
  }
}

function copySent(sent: SentParts, distance: number): SentParts {
  if (sent.size === 0) return sent;
  return new Map(
    [...sent].map(([address, parts]) => [
      address + distance,
      parts.map((part) => ({ ...part, bytes: part.bytes.slice() })),
    ]),
  );
}
