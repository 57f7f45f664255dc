// What does a line of output cost: a packet's JSON, an event as conntrack prints it?

import { EventBit, EventKind, Status, TcpConntrack } from '../assembly/vocabulary.ts';
import { MODES } from '../src/bench/traffic.ts';
import { InterfaceNames } from '../src/capture/interfaces.ts';
import { BATCH_PACKETS, EVENT, PACKET, RECORD } from '../src/engine/layout.ts';
import { ConntrackLines } from '../src/report/conntrack-text.ts';
import { PacketLines } from '../src/report/packets.ts';
import { type Batches, Lab, Stream, tableBytes } from './lab.ts';
import { type Effort, type Measure, measure } from './measure.ts';

const TUPLE_BYTES = 40;

/** An event for every packet of a batch: what it would be if each had begun a flow of its own. */
function eventsOf(lab: Lab, batches: Batches): Uint8Array {
  const events = new Uint8Array(BATCH_PACKETS * EVENT.size);
  const view = new DataView(events.buffer);
  for (let index = 0; index < BATCH_PACKETS; index++) {
    const packet = batches.packets + index * PACKET.size;
    const record = batches.records + index * RECORD.size;
    const at = index * EVENT.size;
    const tuple = lab.bytes.subarray(packet, packet + TUPLE_BYTES);
    events.set(tuple, at + EVENT.original_0);
    events.set(tuple.subarray(16, 32), at + EVENT.reply_0);
    events.set(tuple.subarray(0, 16), at + EVENT.reply_0 + 16);
    events.set(tuple.subarray(32), at + EVENT.reply_0 + 32);
    view.setBigUint64(at + EVENT.time, lab.view.getBigUint64(record + RECORD.ts, true), true);
    events[at + EVENT.kind] = EventKind.UPDATE;
    events[at + EVENT.tcp_state] = TcpConntrack.ESTABLISHED;
    view.setUint32(at + EVENT.bits, EventBit.PROTOINFO, true);
    view.setUint32(at + EVENT.timeout_s, 432_000, true);
    view.setUint32(at + EVENT.status, Status.SEEN_REPLY | Status.ASSURED, true);
  }
  return events;
}

function exhaust(pieces: Iterable<Uint8Array>): void {
  for (const piece of pieces) if (piece.length === 0) throw new Error('there are lines to write');
}

export async function benchOutput(effort: Effort): Promise<Measure[]> {
  const lab = await Lab.open();
  const world = lab.world(tableBytes(MODES.small.flows));
  const batches = lab.keep(new Stream(MODES.small), 1);
  lab.track(world, batches, 0);
  const { records, packets } = batches;
  const packetLines = new PacketLines({ rules: [], interfaces: new InterfaceNames() });
  const eventLines = new ConntrackLines({ timestamp: true });
  const batch = { view: lab.view, bytes: lab.bytes, records, count: BATCH_PACKETS };
  const bytes = eventsOf(lab, batches);
  const view = new DataView(bytes.buffer);
  const places = Array.from({ length: BATCH_PACKETS }, (_, index) => ({ view, bytes, at: index * EVENT.size }));
  return measure(
    [
      {
        name: 'output / packet line',
        packets: BATCH_PACKETS,
        run: () =>
          exhaust(packetLines.lines(batch, { packets, translations: 0, logs: () => [], master: () => undefined })),
      },
      { name: 'output / event line', packets: BATCH_PACKETS, run: () => exhaust(eventLines.events(places)) },
    ],
    effort,
  );
}
