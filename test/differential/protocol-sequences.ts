// Which hand-made packets of SCTP and ICMPv6 must the kernel and ctreplay agree on? Every SCTP state met with every chunk
// from either side, with the right tag and with others, and every ICMPv6 type.

import { SCTP_CHUNKS, type SctpChunkSpec, sctp } from '../support/sctp.ts';
import { ends, icmp, ip } from './craft.ts';
import type { Sequence } from './sequences.ts';

/** Tags that the client and the server have chosen. */
const CLIENT = 100;
const SERVER = 200;

type Sender = (back: boolean, vtag: number, ...chunks: (SctpChunkSpec | string)[]) => Buffer;

export function association(family: 4 | 6, sport: number): Sender {
  return (back, vtag, ...given) => {
    const chunks = given.map((chunk) => (typeof chunk === 'string' ? { type: chunk } : chunk));
    const [from, to] = back ? [80, sport] : [sport, 80];
    return ip(ends(family, back), 132, Buffer.from(sctp({ sport: from, dport: to, vtag, chunks }).bytes), -1);
  };
}

/** Packets that bring an association into each state. */
export const WAYS: Record<string, (send: Sender) => Buffer[]> = {
  NONE: () => [],
  CLOSED: (send) => [send(false, 0, { type: 'INIT', tag: CLIENT })],
  COOKIE_WAIT: (send) => [...WAYS.CLOSED!(send), send(true, CLIENT, { type: 'INIT_ACK', tag: SERVER })],
  COOKIE_ECHOED: (send) => [...WAYS.COOKIE_WAIT!(send), send(false, SERVER, 'COOKIE_ECHO')],
  ESTABLISHED: (send) => [...WAYS.COOKIE_ECHOED!(send), send(true, CLIENT, 'COOKIE_ACK')],
  SHUTDOWN_SENT: (send) => [...WAYS.ESTABLISHED!(send), send(false, SERVER, 'SHUTDOWN')],
  SHUTDOWN_RECD: (send) => [...WAYS.ESTABLISHED!(send), send(true, CLIENT, 'SHUTDOWN')],
  SHUTDOWN_ACK_SENT: (send) => [...WAYS.SHUTDOWN_SENT!(send), send(true, CLIENT, 'SHUTDOWN_ACK')],
  HEARTBEAT_SENT: (send) => [send(false, SERVER, 'HEARTBEAT')],
  COLLISION: (send) => [...WAYS.CLOSED!(send), send(true, 0, { type: 'INIT', tag: SERVER })],
  PROBED: (send) => [
    ...WAYS.HEARTBEAT_SENT!(send),
    send(true, CLIENT, 'HEARTBEAT_ACK'),
    send(false, SERVER + 1, 'HEARTBEAT'),
  ],
};

/** What each state is met with: each chunk with each tag that could be right, and twice, as both sides remember. */
function statesAndChunks(family: 4 | 6): Sequence {
  const steps: Buffer[] = [];
  let port = 10_000;
  for (const way of Object.values(WAYS)) {
    for (const type of [...Object.keys(SCTP_CHUNKS), 192]) {
      for (const back of [false, true]) {
        for (const vtag of [CLIENT, SERVER, 0, 300]) {
          const send = association(family, port++);
          const flags = vtag === 300 ? 0 : port & 1;
          const probe = send(back, vtag, {
            type,
            flags,
            ...(type === 'INIT' || type === 'INIT_ACK' ? { tag: 300 } : {}),
          });
          steps.push(...way(send), probe, probe, send(!back, back ? SERVER : CLIENT, 'DATA'), send(back, vtag, 'DATA'));
        }
      }
    }
  }
  return { name: `each SCTP state met by each chunk, IPv${family}`, steps };
}

/** Two chunks in one packet, in every pair: the second may be refused where the first has had its effect. */
function pairsOfChunks(): Sequence {
  const steps: Buffer[] = [];
  let port = 10_000;
  for (const way of [WAYS.NONE!, WAYS.COOKIE_ECHOED!, WAYS.ESTABLISHED!, WAYS.PROBED!]) {
    for (const one of Object.keys(SCTP_CHUNKS)) {
      for (const other of Object.keys(SCTP_CHUNKS)) {
        const send = association(4, port++);
        const back = (port & 1) === 1;
        steps.push(...way(send), send(back, back ? CLIENT : SERVER, one, other), send(false, SERVER, 'DATA'));
      }
    }
  }
  return { name: 'pairs of SCTP chunks', steps };
}

/** Each ICMPv6 type from both sides, so that answers meet their queries (RFC 4443, 4620, 4861, 4286, 3810). */
function icmpv6Types(): Sequence {
  const body = Buffer.alloc(40);
  const steps = Array.from({ length: 256 }, (_, type) => [
    icmp({ family: 6, type, rest: type, body }),
    icmp({ family: 6, type, rest: type, body, back: true }),
    icmp({ family: 6, type: type ^ 1, rest: type, body, back: true }),
  ]);
  return { name: 'each ICMPv6 type', steps: steps.flat() };
}

export const PROTOCOL_SEQUENCES: Sequence[] = [statesAndChunks(4), statesAndChunks(6), pairsOfChunks(), icmpv6Types()];
