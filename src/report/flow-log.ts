// What do the two programs that log connections write when one ends?
//
// conntrackd in statistics mode (log.c dlog_ct()) writes the moment, a tab, and the entry as `conntrack -E` prints it,
// without the kind of event and without the timeout. ulogd2 (stack NFCT, IP2STR, PRINTFLOW, LOGEMU; printflow.c) writes a
// line that looks like syslog. Both print local time; ours is UTC, so that every machine writes the same.

import { EventKind, Proto } from '../../assembly/vocabulary.ts';
import { EVENT } from '../engine/layout.ts';
import { addressText } from './address.ts';
import { ConntrackLines, ctimeText, wordAt } from './conntrack-text.ts';
import type { EventPlace } from './order.ts';
import { secondsAt, u64At } from './time.ts';

/** `--flow-log-format`. */
export const FLOW_LOG_FORMATS = ['conntrackd', 'ulogd'] as const;
export type FlowLogFormat = (typeof FLOW_LOG_FORMATS)[number];

/** Where ulogd writes the name of its host. */
const HOST_NAME = 'ctreplay';

/** printflow.c swaps type and code of ICMP, and the reply says those of the original direction. */
function protocolUlogd(bytes: Uint8Array, original: number, tuple: number): string {
  const protonum = bytes[tuple + 36]!;
  switch (protonum) {
    case Proto.TCP:
    case Proto.UDP: {
      const ports = `SPT=${wordAt(bytes, tuple + 32)} DPT=${wordAt(bytes, tuple + 34)}`;
      return `PROTO=${protonum === Proto.TCP ? 'TCP' : 'UDP'} ${ports}`;
    }
    case Proto.ICMP:
      return `PROTO=ICMP TYPE=${bytes[original + 35]} CODE=${bytes[original + 34]}`;
    case Proto.ESP:
      return 'PROTO=ESP';
    case Proto.AH:
      return 'PROTO=AH';
    default:
      return `PROTO=${protonum}`;
  }
}

function directionUlogd(view: DataView, bytes: Uint8Array, at: number, tuple: number, packets: number, octets: number) {
  const l3num = bytes[tuple + 37]!;
  return (
    `SRC=${addressText(bytes, tuple, l3num)} DST=${addressText(bytes, tuple + 16, l3num)} ` +
    `${protocolUlogd(bytes, at + EVENT.original_0, tuple)} ` +
    `PKTS=${u64At(view, at + packets)} BYTES=${u64At(view, at + octets)} `
  );
}

function ulogdLine({ view, bytes, at }: EventPlace): string {
  const time = ctimeText(secondsAt(view, at + EVENT.time)).slice(4, 19);
  const original = directionUlogd(view, bytes, at, at + EVENT.original_0, EVENT.packets_original, EVENT.bytes_original);
  const reply = directionUlogd(view, bytes, at, at + EVENT.reply_0, EVENT.packets_reply, EVENT.bytes_reply);
  return `${time} ${HOST_NAME} [DESTROY] ORIG: ${original}, REPLY: ${reply}\n`;
}

/** Writes a line for every entry that has ended. */
export class FlowLog {
  readonly #format: FlowLogFormat;
  readonly #lines = new ConntrackLines({});

  constructor(format: FlowLogFormat) {
    this.#format = format;
  }

  /** The lines of those among the events that are deaths. */
  *lines(events: Iterable<EventPlace>): Generator<string> {
    for (const event of events) {
      if (event.bytes[event.at + EVENT.kind] !== EventKind.DESTROY) continue;
      yield this.#format === 'ulogd' ? ulogdLine(event) : this.#conntrackdLine(event);
    }
  }

  #conntrackdLine(event: EventPlace): string {
    const [line] = this.#lines.events([event]);
    const text = Buffer.from(line!).toString('latin1');
    // `[DESTROY] tcp      6 119 TIME_WAIT src=...`: the kind, the protocol, and the timeout if some is left.
    const entry = text.replace(/^\[DESTROY\] (\S+ +\d+ )(?:\d+ )?/, '$1');
    return `${ctimeText(secondsAt(event.view, event.at + EVENT.time))}\t${entry}`;
  }
}
