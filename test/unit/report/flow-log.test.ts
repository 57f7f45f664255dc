// Are ended entries logged as conntrackd and ulogd log them? What both wrote about the events that conntrack -E printed at
// the same time: conntrackd 1.4.7 in statistics mode, ulogd 2.0.8 with NFCT, IP2STR, PRINTFLOW and LOGEMU, Linux 6.18, in UTC.

import { expect, test } from 'vitest';
import { EVENT } from '../../../src/engine/layout.ts';
import { ctimeText } from '../../../src/report/conntrack-text.ts';
import { FlowLog } from '../../../src/report/flow-log.ts';
import { eventRecord, memory } from './records.ts';

/** The moment of all of them: Sat Nov 21 14:18:46 2026. */
const SECOND = Date.UTC(2026, 10, 21, 14, 18, 46) / 1000;

const EVENTS = `
[DESTROY] unknown  89 598 src=127.0.0.1 dst=127.0.0.1 packets=1 bytes=50 [UNREPLIED] src=127.0.0.1 dst=127.0.0.1 packets=0 bytes=0 delta-time=1
[DESTROY] unknown  50 598 src=127.0.0.1 dst=127.0.0.1 packets=1 bytes=50 [UNREPLIED] src=127.0.0.1 dst=127.0.0.1 packets=0 bytes=0 delta-time=1
[DESTROY] icmp     1 28 src=127.0.0.1 dst=127.0.0.1 type=8 code=3 id=1 packets=1 bytes=28 [UNREPLIED] src=127.0.0.1 dst=127.0.0.1 type=0 code=3 id=1 packets=0 bytes=0 delta-time=1
[DESTROY] tcp      6 118 TIME_WAIT src=127.0.0.1 dst=127.0.0.1 sport=44256 dport=80 packets=5 bytes=273 src=127.0.0.1 dst=127.0.0.1 sport=80 dport=44256 packets=3 bytes=164 [ASSURED] mark=9 delta-time=1
[DESTROY] udp      17 28 src=127.0.0.1 dst=127.0.0.1 sport=998 dport=999 packets=1 bytes=29 src=127.0.0.1 dst=127.0.0.1 sport=999 dport=998 packets=1 bytes=30 delta-time=1
[DESTROY] gre      47 28 src=127.0.0.1 dst=127.0.0.1 srckey=0x0 dstkey=0x0 packets=1 bytes=50 [UNREPLIED] src=127.0.0.1 dst=127.0.0.1 srckey=0x0 dstkey=0x0 packets=0 bytes=0 delta-time=1
[DESTROY] sctp     132 8 CLOSED src=127.0.0.1 dst=127.0.0.1 sport=1 dport=2 packets=1 bytes=52 [UNREPLIED] src=127.0.0.1 dst=127.0.0.1 sport=2 dport=1 packets=0 bytes=0 delta-time=1
`;

const CONNTRACKD = `
Sat Nov 21 14:18:46 2026\tunknown  89 src=127.0.0.1 dst=127.0.0.1 packets=1 bytes=50 [UNREPLIED] src=127.0.0.1 dst=127.0.0.1 packets=0 bytes=0 delta-time=1
Sat Nov 21 14:18:46 2026\tunknown  50 src=127.0.0.1 dst=127.0.0.1 packets=1 bytes=50 [UNREPLIED] src=127.0.0.1 dst=127.0.0.1 packets=0 bytes=0 delta-time=1
Sat Nov 21 14:18:46 2026\ticmp     1 src=127.0.0.1 dst=127.0.0.1 type=8 code=3 id=1 packets=1 bytes=28 [UNREPLIED] src=127.0.0.1 dst=127.0.0.1 type=0 code=3 id=1 packets=0 bytes=0 delta-time=1
Sat Nov 21 14:18:46 2026\ttcp      6 TIME_WAIT src=127.0.0.1 dst=127.0.0.1 sport=44256 dport=80 packets=5 bytes=273 src=127.0.0.1 dst=127.0.0.1 sport=80 dport=44256 packets=3 bytes=164 [ASSURED] mark=9 delta-time=1
Sat Nov 21 14:18:46 2026\tudp      17 src=127.0.0.1 dst=127.0.0.1 sport=998 dport=999 packets=1 bytes=29 src=127.0.0.1 dst=127.0.0.1 sport=999 dport=998 packets=1 bytes=30 delta-time=1
Sat Nov 21 14:18:46 2026\tgre      47 src=127.0.0.1 dst=127.0.0.1 srckey=0x0 dstkey=0x0 packets=1 bytes=50 [UNREPLIED] src=127.0.0.1 dst=127.0.0.1 srckey=0x0 dstkey=0x0 packets=0 bytes=0 delta-time=1
Sat Nov 21 14:18:46 2026\tsctp     132 CLOSED src=127.0.0.1 dst=127.0.0.1 sport=1 dport=2 packets=1 bytes=52 [UNREPLIED] src=127.0.0.1 dst=127.0.0.1 sport=2 dport=1 packets=0 bytes=0 delta-time=1
`;

/** Its host was called vm. Each line ends with a space. */
const ULOGD = `
Nov 21 14:18:46 vm [DESTROY] ORIG: SRC=127.0.0.1 DST=127.0.0.1 PROTO=89 PKTS=1 BYTES=50 , REPLY: SRC=127.0.0.1 DST=127.0.0.1 PROTO=89 PKTS=0 BYTES=0
Nov 21 14:18:46 vm [DESTROY] ORIG: SRC=127.0.0.1 DST=127.0.0.1 PROTO=ESP PKTS=1 BYTES=50 , REPLY: SRC=127.0.0.1 DST=127.0.0.1 PROTO=ESP PKTS=0 BYTES=0
Nov 21 14:18:46 vm [DESTROY] ORIG: SRC=127.0.0.1 DST=127.0.0.1 PROTO=ICMP TYPE=3 CODE=8 PKTS=1 BYTES=28 , REPLY: SRC=127.0.0.1 DST=127.0.0.1 PROTO=ICMP TYPE=3 CODE=8 PKTS=0 BYTES=0
Nov 21 14:18:46 vm [DESTROY] ORIG: SRC=127.0.0.1 DST=127.0.0.1 PROTO=TCP SPT=44256 DPT=80 PKTS=5 BYTES=273 , REPLY: SRC=127.0.0.1 DST=127.0.0.1 PROTO=TCP SPT=80 DPT=44256 PKTS=3 BYTES=164
Nov 21 14:18:46 vm [DESTROY] ORIG: SRC=127.0.0.1 DST=127.0.0.1 PROTO=UDP SPT=998 DPT=999 PKTS=1 BYTES=29 , REPLY: SRC=127.0.0.1 DST=127.0.0.1 PROTO=UDP SPT=999 DPT=998 PKTS=1 BYTES=30
Nov 21 14:18:46 vm [DESTROY] ORIG: SRC=127.0.0.1 DST=127.0.0.1 PROTO=47 PKTS=1 BYTES=50 , REPLY: SRC=127.0.0.1 DST=127.0.0.1 PROTO=47 PKTS=0 BYTES=0
Nov 21 14:18:46 vm [DESTROY] ORIG: SRC=127.0.0.1 DST=127.0.0.1 PROTO=132 PKTS=1 BYTES=52 , REPLY: SRC=127.0.0.1 DST=127.0.0.1 PROTO=132 PKTS=0 BYTES=0
`;

const lines = (text: string) => text.split('\n').filter(Boolean);

function events(text: string) {
  const { view, bytes } = memory();
  return lines(text).map((line, index) => {
    eventRecord({ view, bytes }, index * EVENT.size, line, SECOND);
    return { view, bytes, at: index * EVENT.size };
  });
}

test('conntrackd', () => {
  expect([...new FlowLog('conntrackd').lines(events(EVENTS))]).toEqual(lines(CONNTRACKD).map((line) => `${line}\n`));
});

test('ulogd', () => {
  const expected = lines(ULOGD).map((line) => `${line.replace(' vm ', ' ctreplay ')} \n`);
  expect([...new FlowLog('ulogd').lines(events(EVENTS))]).toEqual(expected);
});

test('only what has ended is logged', () => {
  const tuples = 'src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1';
  const living = events(`    [NEW] udp      17 30 ${tuples}\n [UPDATE] udp      17 30 ${tuples}`);
  for (const format of ['conntrackd', 'ulogd'] as const) expect([...new FlowLog(format).lines(living)]).toEqual([]);
});

test('an entry without time left has no timeout to leave out', () => {
  const line =
    '[DESTROY] udp      17 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1';
  const [logged] = new FlowLog('conntrackd').lines(events(line));
  expect(logged).toBe(`Sat Nov 21 14:18:46 2026\t${line.slice('[DESTROY] '.length)}\n`);
});

test('days of one digit have a space before them, as ctime(3) writes them', () => {
  expect(ctimeText(Date.UTC(2026, 0, 5, 4, 3, 2) / 1000)).toBe('Mon Jan  5 04:03:02 2026');
});
