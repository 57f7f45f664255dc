// In which order do the events of several lanes belong?
//
// The kernel announces things as they happen; lanes find them in an order of their own. Events of packets are ordered by
// the packet's number, then as the packet caused them. The death of an entry at its expiry comes before the first packet
// whose time is not before it, deaths of one moment in the order of the entries' ids.

import { EventKind } from '../../assembly/vocabulary.ts';
import { EVENT } from '../engine/layout.ts';

/** Events of one source: a lane's area or a chunk. Packet events in it are in order already. */
export interface EventRun {
  view: DataView;
  bytes: Uint8Array;
  start: number;
  end: number;
}

/** One event's place. */
export interface EventPlace {
  view: DataView;
  bytes: Uint8Array;
  at: number;
}

/** Is it about an expectation? */
export function isExpectation({ view, at }: EventPlace): boolean {
  return view.getUint8(at + EVENT.kind) >= EventKind.EXPECT_NEW;
}

/** All events of a batch in the order of output. */
export function orderEvents(runs: readonly EventRun[]): EventPlace[] {
  const packets: EventPlace[][] = [];
  const deaths: EventPlace[] = [];
  for (const { view, bytes, start, end } of runs) {
    const own: EventPlace[] = [];
    for (let at = start; at < end; at += EVENT.size) {
      (view.getUint8(at + EVENT.klass) === 0 ? deaths : own).push({ view, bytes, at });
    }
    if (own.length) packets.push(own);
  }
  const ordered = packets.length === 1 ? packets[0]! : packets.flat().sort(byNumber);
  return deaths.length ? mergeDeaths(ordered, deaths.sort(byTime)) : ordered;
}

function number({ view, at }: EventPlace): number {
  return view.getUint32(at + EVENT.order + 4, true) * 2 ** 32 + view.getUint32(at + EVENT.order, true);
}

function sequence({ view, at }: EventPlace): number {
  return view.getUint16(at + EVENT.sequence, true);
}

function byNumber(a: EventPlace, b: EventPlace): number {
  return number(a) - number(b) || sequence(a) - sequence(b);
}

/** By time of death, then by id, word by word: millions of entries may end at one moment, and a bigint is an object. */
function byTime(a: EventPlace, b: EventPlace): number {
  return compareTimes(a, b) || signedHigh(a) - signedHigh(b) || word(a, EVENT.id) - word(b, EVENT.id);
}

function compareTimes(a: EventPlace, b: EventPlace): number {
  return word(a, EVENT.time + 4) - word(b, EVENT.time + 4) || word(a, EVENT.time) - word(b, EVENT.time);
}

function word({ view, at }: EventPlace, field: number): number {
  return view.getUint32(at + field, true);
}

/** Ids of entries that were there before the first packet are negative. */
function signedHigh({ view, at }: EventPlace): number {
  return view.getInt32(at + EVENT.id + 4, true);
}

function mergeDeaths(packets: readonly EventPlace[], deaths: readonly EventPlace[]): EventPlace[] {
  const merged: EventPlace[] = [];
  let next = 0;
  for (const death of deaths) {
    while (next < packets.length && compareTimes(packets[next]!, death) < 0) merged.push(packets[next++]!);
    merged.push(death);
  }
  for (; next < packets.length; next++) merged.push(packets[next]!);
  return merged;
}
