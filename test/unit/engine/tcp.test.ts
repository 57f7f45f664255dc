// What do flags, numbers, windows, resets and repetitions do to a TCP connection? Expectations: nf_conntrack_proto_tcp.c, RFC 9293, 5961, 7323, 2018, and what a kernel 6.18 was seen to do.

import { beforeAll, describe, expect, it } from 'vitest';
import { BUILDS, openEngine, type Sysctls, type TestEngine } from '../../support/engine.ts';
import { C, Conversation, S } from './tcp.ts';

const IGNORED = 'TCP_IGNORED_STATE';

describe.each(BUILDS)('%s build', (build) => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await openEngine({ build });
  });
  const open = (sysctls: Partial<Sysctls> = {}) => new Conversation(engine, sysctls);

  describe('flags', () => {
    it('accepts the combinations that TCPs send, as they are or with PSH, ECE, CWR, and no others', () => {
      const sensible = new Set(['S', 'SU', 'SA', 'R', 'RA', 'FA', 'FAU', 'A', 'AU']);
      const letters = ['F', 'S', 'R', 'A', 'U'];
      for (let bits = 0; bits < 32; bits++) {
        const text = letters.filter((_, i) => bits & (1 << i));
        const known = [...sensible].some((each) => [...each].sort().join() === [...text].sort().join());
        for (const extra of ['', 'P', 'EC', 'PEC']) {
          const said = open()
            .established()
            .c(text.join('') + extra, C + 1, S + 1);
          expect(`${text.join('')}${extra} ${said.includes('TCP_FLAGS')}`).toBe(`${text.join('')}${extra} ${!known}`);
        }
      }
    });
    it('a header of less than 20 bytes, or longer than the segment', () => {
      for (const dataOffset of [0, 1, 4, 6, 15]) {
        expect(
          open()
            .established()
            .c('A', C + 1, S + 1, { dataOffset }),
        ).toContain('INVALID');
        expect(open().c('S', C, 0, { dataOffset })).toBe('INVALID - TRUNCATED_L4');
      }
    });
  });

  describe('the first packet', () => {
    it('SYN', () => {
      const talk = open();
      expect(talk.c('S', C)).toBe('NEW SYN_SENT 120');
      expect(talk.events()).toEqual(['[NEW] 120 SYN_SENT [UNREPLIED]']);
    });
    it.each(['SA', 'FA', 'R', 'RA'])('%s: INVALID', (flags) => {
      expect(open().c(flags, C, S)).toBe('INVALID - TCP_INVALID_NEW');
    });
    it('ACK: picked up in mid-stream', () => {
      const talk = open();
      expect(talk.c('A', C, S)).toBe('NEW ESTABLISHED 300');
      expect(talk.events()).toEqual(['[NEW] 300 ESTABLISHED [UNREPLIED]']);
      // The first answer still meets an unreplied entry: no full timeout, not assured.
      expect(talk.s('A', S, C)).toBe('ESTABLISHED ESTABLISHED 300');
      expect(talk.events()).toEqual(['[UPDATE] 300']);
      expect(talk.c('A', C, S)).toBe('ESTABLISHED ESTABLISHED 432000');
      expect(talk.events()).toEqual(['[UPDATE] 432000 [ASSURED]']);
    });
    it('ACK with tcp_loose=0: INVALID', () => {
      expect(open({ TCP_LOOSE: 0 }).c('A', C, S)).toBe('INVALID - TCP_NOT_LOOSE');
      expect(open({ TCP_LOOSE: 0 }).c('S', C)).toBe('NEW SYN_SENT 120');
    });
    it('picked up connections are not held to their windows', () => {
      const talk = open();
      talk.c('A', C, S);
      talk.s('A', S, C);
      expect(talk.c('A', C + 5_000_000, S)).toBe('ESTABLISHED ESTABLISHED 432000');
      expect(talk.s('A', S, C - 900_000)).toBe('ESTABLISHED ESTABLISHED 432000');
    });
  });

  describe('events of a whole life', () => {
    it('handshake, close, TIME_WAIT, expiry', () => {
      const talk = open().timeWait();
      talk.world.sweep(1_700_000_200n * 1_000_000_000n);
      expect(talk.events()).toEqual([
        '[NEW] 120 SYN_SENT [UNREPLIED]',
        '[UPDATE] 60 SYN_RECV',
        '[UPDATE] 432000 ESTABLISHED [ASSURED]',
        '[UPDATE] 120 FIN_WAIT [ASSURED]',
        '[UPDATE] 60 CLOSE_WAIT [ASSURED]',
        '[UPDATE] 30 LAST_ACK [ASSURED]',
        '[UPDATE] 120 TIME_WAIT [ASSURED]',
        '[DESTROY] TIME_WAIT [ASSURED]',
      ]);
    });
    it('a reset is the only answer: only NEW and DESTROY', () => {
      const talk = open().synSent();
      expect(talk.s('RA', 0, C + 1)).toBe('ESTABLISHED -');
      expect(talk.events()).toEqual(['[NEW] 120 SYN_SENT [UNREPLIED]', '[DESTROY] 120 CLOSE [UNREPLIED]']);
    });
    it('simultaneous open', () => {
      const talk = open().synSent2();
      expect(talk.c('SA', C, S + 1)).toBe('ESTABLISHED SYN_RECV 60');
      expect(talk.s('A', S + 1, C + 1)).toBe('ESTABLISHED ESTABLISHED 432000');
      expect(talk.status).toBe('SEEN_REPLY ASSURED');
    });
  });

  describe('timeouts', () => {
    it('data that is not acknowledged: 300 until it is', () => {
      const talk = open().established();
      expect(talk.c('PA', C + 1, S + 1, { payload: 10 })).toBe('ESTABLISHED ESTABLISHED 300');
      expect(talk.s('A', S + 1, C + 6)).toBe('ESTABLISHED ESTABLISHED 300');
      expect(talk.s('A', S + 1, C + 11)).toBe('ESTABLISHED ESTABLISHED 432000');
    });
    it('a zero window: tcp_timeout_max_retrans', () => {
      const talk = open({ TCP_TIMEOUT_MAX_RETRANS: 77 }).established();
      expect(talk.s('A', S + 1, C + 1, { win: 0 })).toBe('ESTABLISHED ESTABLISHED 77');
      expect(talk.s('A', S + 1, C + 1, { win: 9 })).toBe('ESTABLISHED ESTABLISHED 432000');
    });
    it('a SYN counts as window 0', () => {
      expect(open({ TCP_TIMEOUT_MAX_RETRANS: 77 }).c('S', C)).toBe('NEW SYN_SENT 77');
    });
    it('the same ACK again and again: tcp_timeout_max_retrans after tcp_max_retrans repetitions', () => {
      const talk = open({ TCP_TIMEOUT_MAX_RETRANS: 77 }).established();
      const said = Array.from({ length: 5 }, () => talk.s('A', S + 1, C + 1));
      expect(said.map((each) => each.split(' ')[2])).toEqual(['432000', '432000', '432000', '77', '77']);
      expect(talk.s('A', S + 1, C + 1, { win: 999 })).toBe('ESTABLISHED ESTABLISHED 432000');
    });
    it('the count of repetitions is one byte (u8 retrans): after 256 it begins anew', () => {
      const talk = open({ TCP_TIMEOUT_MAX_RETRANS: 77 }).established();
      const said = Array.from({ length: 260 }, () => talk.s('A', S + 1, C + 1));
      expect(said[255]).toBe('ESTABLISHED ESTABLISHED 77');
      expect(said[256]).toBe('ESTABLISHED ESTABLISHED 432000');
      expect(said[259]).toBe('ESTABLISHED ESTABLISHED 77');
    });
    it('FINs and RSTs from both sides that are out of window: an assured entry keeps 300 seconds', () => {
      const talk = open().established();
      expect(talk.c('FA', C + 90_000, S + 1)).toBe('INVALID ESTABLISHED 432000 TCP_SEQ_OVER');
      expect(talk.c('FA', C + 90_000, S + 1)).toBe('INVALID ESTABLISHED 432000 TCP_SEQ_OVER');
      expect(talk.s('FA', S + 90_000, C + 1)).toBe('INVALID ESTABLISHED 300 TCP_SEQ_OVER');
    });
  });

  it.each([
    [119, '119'],
    [120, '60'],
  ])('... but not if it has less than two minutes left (%i seconds)', (seconds, left) => {
    const talk = open({ TCP_TIMEOUT_ESTABLISHED: seconds, TCP_TIMEOUT_UNACKNOWLEDGED: 60 }).established();
    talk.c('FA', C + 90_000, S + 1);
    expect(talk.s('FA', S + 90_000, C + 1)).toBe(`INVALID ESTABLISHED ${left} TCP_SEQ_OVER`);
  });

  describe('resets', () => {
    it('below what the other side acknowledged: INVALID, unless tcp_ignore_invalid_rst', () => {
      expect(open().established().s('R', S)).toBe('INVALID ESTABLISHED 432000 TCP_INVALID_RST');
      const talk = open({ TCP_IGNORE_INVALID_RST: 1 }).established();
      expect(talk.s('R', S)).toBe('ESTABLISHED ESTABLISHED 10');
    });
    it('at what the other side acknowledged: CLOSE', () => {
      expect(
        open()
          .established()
          .s('R', S + 1),
      ).toBe('ESTABLISHED CLOSE 10');
    });
    it("right behind the sender's own last segment: CLOSE", () => {
      const talk = open().established();
      talk.s('PA', S + 1, C + 1, { payload: 19 });
      expect(talk.s('R', S + 20)).toBe('ESTABLISHED CLOSE 10');
    });
    it('elsewhere in the window: ESTABLISHED stays, for ten seconds', () => {
      const talk = open().established();
      expect(talk.s('R', S + 500)).toBe('ESTABLISHED ESTABLISHED 10');
      expect(talk.events().at(-1)).toBe('[UPDATE] 432000 ESTABLISHED [ASSURED]');
    });
    it('number 0 before the connection is assured: judged by the window alone, whatever was acknowledged', () => {
      expect(
        open()
          .synRecv()
          .s('RA', 0, C + 1),
      ).toBe('ESTABLISHED SYN_RECV 60 TCP_SEQ_UNDER');
    });
  });

  describe('windows', () => {
    // The handshake's windows are 1,000: the server granted up to C + 1001, the client up to S + 1001.
    it('upper bound: the number of the segment counts, not its end', () => {
      expect(
        open()
          .established()
          .c('A', C + 1001, S + 1, { payload: 100 }),
      ).toBe('ESTABLISHED ESTABLISHED 300');
    });
    it('up to a window beyond it: let through unbelieved', () => {
      expect(
        open()
          .established()
          .c('A', C + 1002, S + 1),
      ).toBe('ESTABLISHED ESTABLISHED 432000 TCP_OVERSHOT');
      expect(
        open()
          .established()
          .c('A', C + 2000, S + 1),
      ).toBe('ESTABLISHED ESTABLISHED 432000 TCP_OVERSHOT');
    });
    it('further: INVALID', () => {
      expect(
        open()
          .established()
          .c('A', C + 2001, S + 1),
      ).toBe('INVALID ESTABLISHED 432000 TCP_SEQ_OVER');
    });
    it('what overshot may be acknowledged', () => {
      const talk = open().established();
      talk.c('A', C + 1002, S + 1, { payload: 10 });
      expect(talk.s('A', S + 1, C + 1012)).toBe('ESTABLISHED ESTABLISHED 432000');
    });
    it('an acknowledgment of what was not sent: INVALID', () => {
      expect(
        open()
          .established()
          .s('A', S + 1, C + 1),
      ).toBe('ESTABLISHED ESTABLISHED 432000');
      expect(
        open()
          .established()
          .s('A', S + 1, C + 2),
      ).toBe('INVALID ESTABLISHED 432000 TCP_ACK_OVER');
    });
    it('old data: believed for a window, let through beyond', () => {
      const talk = open().established();
      for (let sent = 0; sent < 5000; sent += 1000) {
        talk.c('A', C + 1 + sent, S + 1, { payload: 1000 });
        talk.s('A', S + 1, C + 1001 + sent);
      }
      // td_end is C + 5001, the receiver's largest window 1,000.
      expect(talk.c('A', C + 3901, S + 1, { payload: 100 })).toBe('ESTABLISHED ESTABLISHED 432000');
      expect(talk.c('A', C + 3900, S + 1, { payload: 100 })).toBe('ESTABLISHED ESTABLISHED 432000 TCP_SEQ_UNDER');
    });
    it('old acknowledgments: believed for 66,000 bytes, let through beyond', () => {
      const talk = open().established();
      for (let sent = 0; sent < 100_000; sent += 1000) {
        talk.s('A', S + 1 + sent, C + 1, { payload: 1000 });
        talk.c('A', C + 1, S + 1001 + sent);
      }
      expect(talk.c('A', C + 1, S + 100_001 - 66_000)).toBe('ESTABLISHED ESTABLISHED 432000');
      expect(talk.c('A', C + 1, S + 100_000 - 66_000)).toBe('ESTABLISHED ESTABLISHED 432000 TCP_ACK_UNDER');
    });
    it('tcp_be_liberal: everything is in the window', () => {
      const talk = open({ TCP_BE_LIBERAL: 1 }).established();
      expect(talk.c('A', C + 900_000, S + 1)).toBe('ESTABLISHED ESTABLISHED 432000');
      expect(talk.s('A', S + 1, C + 2_000_000)).toBe('ESTABLISHED ESTABLISHED 432000');
    });
    it('SACK blocks are acknowledgments, if both SYNs allowed them', () => {
      const sack = [[C + 400, C + 501]] as const;
      for (const sackOK of [true, false]) {
        const talk = open();
        talk.c('S', C, 0, { sackOK });
        talk.s('SA', S, C + 1, { sackOK });
        talk.c('A', C + 1, S + 1);
        expect(talk.s('A', S + 1, C + 1, { sack })).toBe(
          `${sackOK ? 'INVALID' : 'ESTABLISHED'} ESTABLISHED 432000${sackOK ? ' TCP_ACK_OVER' : ''}`,
        );
      }
    });
    it('only a SACK option of whole blocks counts, and only the first of them', () => {
      const edges = (left: number, right: number) =>
        [left, right].flatMap((v) => [v >>> 24, (v >> 16) & 255, (v >> 8) & 255, v & 255]);
      const unseen = edges(C + 400, C + 501);
      const known = edges(C - 5, C + 1);
      const say = (raw: number[]) => {
        const talk = open();
        talk.c('S', C, 0, { sackOK: true });
        talk.s('SA', S, C + 1, { sackOK: true });
        talk.c('A', C + 1, S + 1);
        return talk.s('A', S + 1, C + 1, { raw });
      };
      const over = 'INVALID ESTABLISHED 432000 TCP_ACK_OVER';
      const fine = 'ESTABLISHED ESTABLISHED 432000';
      expect(say([1, 1, 5, 10, ...unseen])).toBe(over);
      expect(say([1, 1, 5, 18, ...known, ...unseen])).toBe(over);
      expect(say([5, 14, ...unseen, 0, 0, 0, 0])).toBe(fine);
      expect(say([5, 14, ...known, 0, 0, 0, 0, 5, 10, ...unseen])).toBe(over);
      expect(say([5, 10, ...known, 5, 10, ...unseen])).toBe(fine);
      expect(say([0, 1, 5, 10, ...unseen])).toBe(fine);
      expect(say([5, 1, 5, 10, ...unseen])).toBe(fine);
      expect(say([1, 1, 5, 18, ...unseen])).toBe(fine);
    });
    it('scaling: only if both sides offered it, at most 14, and never in a SYN', () => {
      const reach = (client: number | undefined, server: number | undefined) => {
        const talk = open();
        talk.c('S', C, 0, client === undefined ? {} : { wscale: client });
        talk.s('SA', S, C + 1, { mss: 1460, ...(server === undefined ? {} : { wscale: server }) });
        talk.c('A', C + 1, S + 1);
        talk.s('A', S + 1, C + 1);
        // How far may the client go on the server's window of 1,000, scaled?
        return [1000, 8000, 1000 << 14].filter((far) => !talk.c('A', C + 1 + far, S + 1).includes('TCP_'));
      };
      expect(reach(undefined, 3)).toEqual([1000]);
      expect(reach(3, undefined)).toEqual([1000]);
      expect(reach(0, 3)).toEqual([1000, 8000]);
      expect(reach(0, 200)).toEqual([1000, 8000, 1000 << 14]);
    });
    it('sequence numbers that wrap around', () => {
      const talk = open();
      const top = 2 ** 32 - 1;
      talk.c('S', top);
      expect(talk.s('SA', 2 ** 31 - 1, 0)).toBe('ESTABLISHED SYN_RECV 60');
      expect(talk.c('A', 0, 2 ** 31)).toBe('ESTABLISHED ESTABLISHED 432000');
      expect(talk.c('A', 0, 2 ** 31, { payload: 100 })).toBe('ESTABLISHED ESTABLISHED 300');
      expect(talk.s('A', 2 ** 31, 100)).toBe('ESTABLISHED ESTABLISHED 432000');
      expect(talk.c('A', top - 5, 2 ** 31, { payload: 6 })).toBe('ESTABLISHED ESTABLISHED 432000');
    });
  });

  describe('out of step', () => {
    it('SYN/ACK to an ignored SYN: both sides begin anew from it', () => {
      const talk = open().established();
      talk.c('S', 90_000);
      expect(talk.s('SA', 70_000, 90_001)).toBe('ESTABLISHED SYN_RECV 60');
      expect(talk.c('A', 90_001, 70_001)).toBe('ESTABLISHED ESTABLISHED 432000');
      expect(talk.events().slice(-2)).toEqual([
        '[UPDATE] 60 SYN_RECV [ASSURED]',
        '[UPDATE] 432000 ESTABLISHED [ASSURED]',
      ]);
    });
    it('RST to an ignored SYN: CLOSE', () => {
      const talk = open().established();
      talk.c('S', 90_000);
      expect(talk.s('RA', 0, 90_001)).toBe('ESTABLISHED CLOSE 10');
    });
    it('LAST_ACK, ignored SYN, challenge ACK: not the last ACK (RFC 5961 section 4)', () => {
      const talk = open().lastAck();
      talk.c('S', 90_000);
      expect(talk.s('A', S + 2, C + 2)).toBe('ESTABLISHED LAST_ACK 30 TCP_CHALLENGE_ACK');
      expect(talk.s('A', S + 2, C + 2)).toBe('ESTABLISHED TIME_WAIT 120');
    });
    it('SYN_SENT, challenge ACK from an old half of the connection, then the reset that it asks for', () => {
      const talk = open().synSent();
      expect(talk.s('A', S + 77, C - 600)).toBe(`ESTABLISHED SYN_SENT 120 ${IGNORED}`);
      expect(talk.c('R', C - 600)).toBe('ESTABLISHED CLOSE 10');
    });
    it('SYN_SENT, a second SYN with a higher number replaces the first', () => {
      const talk = open().synSent();
      expect(talk.c('S', C + 500)).toBe('NEW SYN_SENT 120');
      expect(talk.s('SA', S, C + 501)).toBe('ESTABLISHED SYN_RECV 60');
    });
  });
});
