// What does each segment do in each TCP state? One line per state and stimulus. Expectations: the transition table of
// nf_conntrack_proto_tcp.c, RFC 9293, and what a kernel 6.18 was seen to do.

import { beforeAll, describe, expect, it } from 'vitest';
import { BUILDS, openEngine, type Sysctls, type TestEngine } from '../../support/engine.ts';
import { C, Conversation, S } from './tcp.ts';

const STATES = [
  'synSent',
  'synRecv',
  'established',
  'finWait',
  'closeWait',
  'lastAck',
  'timeWait',
  'close',
  'synSent2',
] as const;
type State = (typeof STATES)[number];

/** Sequence numbers with which each side would go on in each state, by the shortcuts in tcp.ts: [client, server]. */
const NEXT: Record<State, readonly [number, number]> = {
  synSent: [C + 1, S],
  synRecv: [C + 1, S + 1],
  established: [C + 1, S + 1],
  finWait: [C + 2, S + 1],
  closeWait: [C + 2, S + 1],
  lastAck: [C + 2, S + 2],
  timeWait: [C + 2, S + 2],
  close: [C + 1, S + 1],
  synSent2: [C + 1, S + 1],
};

const INVALID = 'TCP_INVALID_STATE';
const IGNORED = 'TCP_IGNORED_STATE';

/**
 * Stimulus, then per state what the packet is and what the entry becomes. The packet's numbers are those that the
 * sender would use next, acknowledging all that the other side has sent. `-`: INVALID by its state; `~`: let through.
 */
const TABLE: [dir: 'client' | 'server', flags: string, cells: Record<State, string>][] = [
  [
    'client',
    'SA',
    {
      synSent: '-',
      synRecv: 'SYN_RECV 60',
      established: '-',
      finWait: '-',
      closeWait: '-',
      lastAck: '-',
      timeWait: '-',
      close: '-',
      synSent2: 'SYN_RECV 60',
    },
  ],
  [
    'client',
    'FA',
    {
      synSent: '-',
      synRecv: 'FIN_WAIT 120',
      established: 'FIN_WAIT 120',
      finWait: 'LAST_ACK 30',
      closeWait: 'LAST_ACK 30',
      lastAck: 'LAST_ACK 30',
      timeWait: 'TIME_WAIT 120',
      close: 'CLOSE 10',
      synSent2: '-',
    },
  ],
  [
    'client',
    'A',
    {
      synSent: '-',
      synRecv: 'ESTABLISHED 432000',
      established: 'ESTABLISHED 432000',
      finWait: 'CLOSE_WAIT 60',
      closeWait: 'CLOSE_WAIT 60',
      lastAck: 'TIME_WAIT 120',
      timeWait: 'TIME_WAIT 120',
      close: 'CLOSE 10',
      synSent2: '-',
    },
  ],
  [
    'client',
    'R',
    {
      synSent: 'killed',
      synRecv: 'CLOSE 10',
      established: 'CLOSE 10',
      finWait: 'CLOSE 10',
      closeWait: 'CLOSE 10',
      lastAck: 'CLOSE 10',
      timeWait: 'CLOSE 10',
      close: 'CLOSE 10',
      synSent2: 'CLOSE 10',
    },
  ],
  [
    'server',
    'S',
    {
      synSent: 'SYN_SENT2 120',
      synRecv: '-',
      established: '-',
      finWait: '-',
      closeWait: '-',
      lastAck: '-',
      timeWait: 'reopened',
      close: '-',
      synSent2: 'SYN_SENT2 120',
    },
  ],
  [
    'server',
    'SA',
    {
      synSent: 'SYN_RECV 60',
      synRecv: '~',
      established: '~',
      finWait: '~',
      closeWait: '~',
      lastAck: '~',
      timeWait: '~',
      close: '~',
      synSent2: 'SYN_RECV 60',
    },
  ],
  [
    'server',
    'FA',
    {
      synSent: '-',
      synRecv: 'FIN_WAIT 120',
      established: 'FIN_WAIT 120',
      finWait: 'LAST_ACK 30',
      closeWait: 'LAST_ACK 30',
      lastAck: 'LAST_ACK 30',
      timeWait: 'TIME_WAIT 120',
      close: 'CLOSE 10',
      synSent2: '-',
    },
  ],
  [
    'server',
    'A',
    {
      synSent: '~',
      synRecv: 'SYN_RECV 60',
      established: 'ESTABLISHED 432000',
      finWait: 'CLOSE_WAIT 60',
      closeWait: 'CLOSE_WAIT 60',
      lastAck: 'TIME_WAIT 120',
      timeWait: 'TIME_WAIT 120',
      close: 'CLOSE 10',
      synSent2: '~',
    },
  ],
  [
    'server',
    'R',
    {
      synSent: 'killed',
      synRecv: 'CLOSE 10',
      established: 'CLOSE 10',
      finWait: 'CLOSE 10',
      closeWait: 'CLOSE 10',
      lastAck: 'CLOSE 10',
      timeWait: 'CLOSE 10',
      close: 'CLOSE 10',
      synSent2: 'CLOSE 10',
    },
  ],
];

describe.each(BUILDS)('%s build', (build) => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await openEngine({ build });
  });
  const open = (sysctls: Partial<Sysctls> = {}) => new Conversation(engine, sysctls);

  describe('the table of states', () => {
    for (const [who, flags, cells] of TABLE) {
      for (const state of STATES) {
        it(`${state}, ${flags} from the ${who}: ${cells[state]}`, () => {
          const talk = open({ TCP_TIMEOUT_UNACKNOWLEDGED: 500_000, TCP_TIMEOUT_MAX_RETRANS: 500_000 })[state]();
          const before = talk.entry;
          const [client, server] = NEXT[state];
          // A SYN/ACK of the client's acknowledges the server's SYN; so does everything else that it sends.
          const numbers =
            who === 'client' ? [flags === 'SA' ? C : client, server] : [/S/.test(flags) ? S : server, client];
          const said =
            who === 'client' ? talk.c(flags, numbers[0]!, numbers[1]) : talk.s(flags, numbers[0]!, numbers[1]);
          const cell = cells[state];
          if (cell === '-') expect(said).toBe(`INVALID ${before} ${INVALID}`);
          else if (cell === '~') expect(said).toBe(`ESTABLISHED ${before} ${IGNORED}`);
          else if (cell === 'killed') expect(talk.entry).toBe('-');
          else if (cell === 'reopened') expect(said).toBe('NEW SYN_SENT 120');
          else expect(said).toMatch(new RegExp(`^(NEW|ESTABLISHED) ${cell}$`));
        });
      }
    }

    it.each(STATES.filter((state) => !['timeWait', 'close', 'synSent', 'synSent2'].includes(state)))(
      '%s, SYN from the client: let through, remembered',
      (state) => {
        const talk = open()[state]();
        const before = talk.entry;
        expect(talk.c('S', 90_000)).toBe(`ESTABLISHED ${before} ${IGNORED}`);
      },
    );
    it('synSent, SYN from the client: the same again, its timeout runs on', () => {
      const talk = open().synSent().wait(50);
      expect(talk.c('S', C)).toBe('NEW SYN_SENT 70');
    });
    it('synSent2, SYN from the client', () => {
      expect(open().synSent2().c('S', C)).toBe('ESTABLISHED SYN_SENT2 120');
    });
    it('timeWait and close, SYN from the client: the entry dies, another begins', () => {
      for (const state of ['timeWait', 'close'] as const) {
        const talk = open()[state]().wait(1);
        talk.events();
        expect(talk.c('S', 5)).toBe('NEW SYN_SENT 120');
        expect(talk.events()).toEqual([
          state === 'timeWait' ? '[DESTROY] 119 TIME_WAIT [ASSURED]' : '[DESTROY] 9 CLOSE [ASSURED]',
          '[NEW] 120 SYN_SENT [UNREPLIED]',
        ]);
      }
    });
    it('timeWait, SYN from the server: the roles are exchanged', () => {
      const talk = open().timeWait();
      expect(talk.s('S', 70_000)).toBe('NEW SYN_SENT 120');
      expect(talk.world.table()[0]!.original).toMatchObject({ src: '0a000002', sport: 80 });
    });
    it('close without a FIN or an RST of the same side: the SYN is let through', () => {
      const talk = open().established();
      expect(talk.s('R', S + 1)).toBe('ESTABLISHED CLOSE 10');
      expect(talk.c('S', 90_000)).toBe(`ESTABLISHED CLOSE 10 ${IGNORED}`);
    });
    it('no flags that matter: never valid', () => {
      for (const state of STATES)
        expect(
          open()
            [state]()
            .c('P', C + 1),
        ).toContain('TCP_FLAGS');
    });
  });
});
