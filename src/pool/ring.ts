// The ring of batches and the words by which lanes and the main thread meet.
//
// A batch is filled by the main thread (read and walked), decoded by whichever thread is free, tracked in every lane (its
// own shards only), and reported by the main thread; then its place in the ring is free again. Batches are numbered from
// 0; batch s lies in place s mod the number of places. Whoever publishes bumps the word that others wait on, and wakes them.

import { BATCH_BYTES, BATCH_PACKETS, EVENT, LOG_RECORD, PACKET, RECORD, TUPLE } from '../engine/layout.ts';
import type { Allocator } from '../engine/memory.ts';

/** Words of the control block (Int32Array indices). */
export const CONTROL = {
  /** Counts what was published for workers: batches filled, decoded, reassembled; the end. They wait on it. */
  EPOCH: 0,
  /** Batches filled so far. */
  FILLED: 1,
  /** Next batch to decode. */
  DECODE_NEXT: 2,
  /** 1 when no further batch will be filled. */
  END: 3,
  /** 1 when somebody failed: everybody leaves. */
  ABORT: 4,
  /** Next batch whose fragments are to be reassembled: earlier ones may be tracked. */
  DEFRAG_NEXT: 5,
  /** 1 while a thread does that. */
  DEFRAG_TURN: 6,
  /** Counts batches that were reassembled, or tracked in a lane. The main thread waits on it. */
  DONE: 7,
  /** Batches tracked, per lane. */
  TRACKED: 16,
  /** 1 while a thread tracks the lane, per lane. */
  TRACK_TURN: 16 + 64,
  /** Per place of the ring: number + 1 of the batch that is decoded there. */
  DECODED: 16 + 2 * 64,
  WORDS: 16 + 2 * 64 + 256,
} as const;

/** Words of a batch's header (Uint32Array indices). */
export const BATCH = {
  COUNT: 0,
  /** Number of the first packet (f64 at word 2). */
  FIRST: 2,
  /** Replay time at the end of the batch, ns (two words). */
  CLOCK_LOW: 4,
  CLOCK_HIGH: 5,
  /** Bytes of FragmentEnd records. */
  ENDS_BYTES: 6,
  /** 1 if match_sights() has to see the batch. */
  SIDED: 7,
  WORDS: 16,
} as const;

/** What a lane leaves per world at the end of a batch (Uint32Array indices). */
export const LEFT = {
  /** Bytes of events in the area, and chunks that were sent to the main thread before, because it was full. */
  EVENT_BYTES: 0,
  EVENT_CHUNKS: 1,
  LOG_BYTES: 2,
  LOG_CHUNKS: 3,
  /** Entries of the lane's table when the batch began. */
  FLOWS: 4,
  /** Packets that it counted with PacketFlag.STRANGER. */
  STRANGERS: 5,
  /** Expectations of the lane when the batch began, and those made since. */
  EXPECTED: 6,
  /** Expectations wanted so far of others than the two hosts of the connection that announced them. */
  BEYOND: 7,
  SENT_BYTES: 8,
  SENT_CHUNKS: 9,
  WORDS: 10,
} as const;

/** Room for the events and log records of one lane, world and batch; what does not fit is sent in chunks. */
export const EVENT_AREA = 3072 * EVENT.size;
export const LOG_AREA = 8192 * LOG_RECORD.size;
/** The same for Sent records: some of the longest. */
export const SENT_AREA = 1 << 18;

/** Addresses of one batch's place. */
export interface BatchPlace {
  header: number;
  data: number;
  records: number;
  /** PACKET[BATCH_PACKETS] per world. */
  packets: number[];
  /** TUPLE[BATCH_PACKETS] per world: what NAT made of packets that are TRANSLATED; 0 for a world without NAT. */
  translations: number[];
  /** u16[BATCH_PACKETS] per lane, then one for fragments. */
  queues: number;
  /** u32 per lane, then one for fragments. */
  lengths: number;
  /** FragmentEnd[]: what became of fragments of this and earlier batches. */
  ends: number;
  /** Per lane, per world. */
  left: number[][];
  events: number[][];
  logs: number[][];
  sent: number[][];
}

export interface Ring {
  control: number;
  places: BatchPlace[];
}

/**
 * Batches that the ring holds: each thread is at one while another is read, and one waits to be decoded or reported. A thread that
 * is alone tracks one while the next is read. More would only be more memory to go through, which no cache holds; with very many
 * threads, some wait.
 */
export function placesFor(threads: number): number {
  return threads === 1 ? 2 : Math.min(16, threads + 2);
}

/** Lays out the ring. */
export function layOutRing(
  allocator: Allocator,
  {
    threads,
    lanes,
    worlds,
    ...wants
  }: {
    threads: number;
    lanes: number;
    worlds: number;
    events: boolean;
    logs: boolean;
    sent: boolean;
    endsBytes: number;
    /** By world. */
    translations: readonly boolean[];
  },
): Ring {
  const perLane = (bytes: number) =>
    Array.from({ length: lanes }, () => Array.from({ length: worlds }, () => (bytes ? allocator.take(bytes) : 0)));
  const control = allocator.take(CONTROL.WORDS * 4);
  const places = Array.from({ length: placesFor(threads) }, () => ({
    header: allocator.take(BATCH.WORDS * 4),
    data: allocator.take(BATCH_BYTES),
    records: allocator.take(BATCH_PACKETS * RECORD.size),
    packets: Array.from({ length: worlds }, () => allocator.take(BATCH_PACKETS * PACKET.size)),
    translations: wants.translations.map((any) => (any ? allocator.take(BATCH_PACKETS * TUPLE.size) : 0)),
    queues: allocator.take((lanes + 1) * BATCH_PACKETS * 2),
    lengths: allocator.take((lanes + 1) * 4),
    ends: allocator.take(wants.endsBytes),
    left: perLane(LEFT.WORDS * 4),
    events: perLane(wants.events ? EVENT_AREA : 0),
    logs: perLane(wants.logs ? LOG_AREA : 0),
    sent: perLane(wants.sent ? SENT_AREA : 0),
  }));
  return { control, places };
}
