// Do reports for people keep their shape? Whole texts, written down here, from made-up results.

import { expect, test } from 'vitest';
import { ChainVerdict, CtState, Hook, L3, Reason, Status, TcpConntrack, Verdict } from '../../assembly/vocabulary.ts';
import { alignRows, countText } from '../../src/report/align.ts';
import type { ReportRule } from '../../src/report/rules.ts';
import { type TracedPacket, type TraceEntry, type TracePeer, traceJson, traceText } from '../../src/report/trace.ts';

const rule = (number: number | 'policy', line: number, text: string): ReportRule => ({
  family: L3.IPV4,
  table: 'filter',
  chain: 'FORWARD',
  number,
  text,
  file: 'rules.v4',
  line,
});
const RULES = [
  rule('policy', 2, ':FORWARD DROP [0:0]'),
  rule(1, 4, '-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT'),
  rule(2, 5, '-A FORWARD -p tcp --dport 22 -j ACCEPT'),
];

test('counts have separators, columns line up', () => {
  expect(countText(1234567)).toBe('1,234,567');
  expect(countText(999)).toBe('999');
  expect(
    alignRows(
      [
        ['a', '1', 'x'],
        ['bbb', '22', ''],
      ],
      'lr',
    ),
  ).toEqual(['  a     1  x', '  bbb  22']);
});

const peer = (td_end: number, td_maxend: number, td_maxwin: number): TracePeer => ({
  td_end,
  td_maxend,
  td_maxwin,
  td_maxack: 0,
  td_scale: 7,
  flags: 3,
});

const PACKET: TracedPacket = {
  file: 1,
  n: 9,
  path: 'a.pcap',
  ts: '1700000000.000000001',
  text: 'tcp 10.0.0.1:4000 -> 10.0.0.2:22 [P.] seq 5000 ack 1 win 100 length 10',
  verdict: Verdict.DROP,
  reject: 0,
  reason: Reason.TCP_SEQ_OVER,
  reasonValue: 3000,
  reasonTag: 0,
  rule: 0,
};

const STEPS: TraceEntry[] = [
  { kind: 'hook', hook: Hook.PREROUTING },
  {
    kind: 'ct',
    state: CtState.INVALID,
    dir: 0,
    statusBefore: Status.SEEN_REPLY,
    statusAfter: Status.SEEN_REPLY,
    reason: Reason.TCP_SEQ_OVER,
    reasonValue: 3000,
    reasonTag: 0,
    tcp: {
      flags: 24,
      index: 3,
      seq: 5000,
      ack: 1,
      end: 5010,
      win: 12800,
      sack: 1,
      before: TcpConntrack.ESTABLISHED,
      after: TcpConntrack.ESTABLISHED,
      peersBefore: [peer(2000, 3000, 1000), peer(1, 2, 1000)],
      peersAfter: [peer(2000, 3000, 1000), peer(1, 2, 1000)],
      bounds: { seqUpper: 3000, seqLower: 1000, ackUpper: 1, ackLower: 4294901297 },
    },
  },
  { kind: 'route', text: 'forward in=lan out=wan' },
  { kind: 'hook', hook: Hook.FORWARD, table: 'filter', chain: 'FORWARD' },
  { kind: 'rule', rule: 1, matched: false },
  { kind: 'rule', rule: 2, matched: false },
  { kind: 'chain', verdict: ChainVerdict.DROP, rule: 0 },
];

test('a trace shows the bound that was violated, across the wrap of sequence numbers', () => {
  expect(traceText(PACKET, STEPS, RULES, false)).toBe(`a.pcap:9  1700000000.000000001
  tcp 10.0.0.1:4000 -> 10.0.0.2:22 [P.] seq 5000 ack 1 win 100 length 10
  PREROUTING
    conntrack: INVALID
      out-of-window: SEQ is over upper bound 3000 (over the window of the receiver)
      tcp [P.] as ACK: ESTABLISHED -> ESTABLISHED
      seq 5000  end 5010  ack 1  sack 1  win 12800
      SEQ upper  seq 5000 <= 3000     VIOLATED
      SEQ lower  end 5010 >= 1000     ok
      ACK upper  sack 1 <= 1          ok
      ACK lower  ack 1 >= 4294901297  ok
                       td_end  td_maxend  td_maxwin  td_maxack  td_scale  flags
      original before    2000       3000       1000          0         7    0x3
      original after     2000       3000       1000          0         7    0x3
      reply before          1          2       1000          0         7    0x3
      reply after           1          2       1000          0         7    0x3
    route: forward in=lan out=wan
  FORWARD
    filter/FORWARD
        -    filter/FORWARD/1  -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT
        -    filter/FORWARD/2  -A FORWARD -p tcp --dport 22 -j ACCEPT
      => DROP by filter/FORWARD/policy
DROP by filter/FORWARD/policy: out-of-window: SEQ is over upper bound 3000 (over the window of the receiver)
`);
});

test('a trace for programs has names instead of numbers', () => {
  const parsed = JSON.parse(traceJson(PACKET, STEPS, RULES));
  expect(parsed).toMatchObject({ file: 1, n: 9, verdict: 'DROP', rule: 'filter/FORWARD/policy' });
  expect(parsed.steps[0]).toEqual({ kind: 'hook', hook: 'PREROUTING' });
  expect(parsed.steps[1]).toMatchObject({ state: 'INVALID', statusAfter: ['SEEN_REPLY'], tcp: { index: 'ACK' } });
  expect(parsed.steps[6]).toEqual({ kind: 'chain', verdict: 'DROP', rule: 'filter/FORWARD/policy' });
});
