// Is a packet's JSON line what DESIGN section 6 says, for each kind of packet?

import { describe, expect, test } from 'vitest';
import {
  CtState,
  L3,
  Path,
  Proto,
  Reason,
  RejectWith,
  Status,
  TcpConntrack,
  Verdict,
} from '../../../assembly/vocabulary.ts';
import { InterfaceNames } from '../../../src/capture/interfaces.ts';
import { PACKET } from '../../../src/engine/layout.ts';
import { PacketLines } from '../../../src/report/packets.ts';
import { reasonLabel, reasonWord, whyText } from '../../../src/report/reason.ts';
import type { ReportRule } from '../../../src/report/rules.ts';
import { captureRecord, memory, type PacketFields, packetRecord } from './records.ts';

const RULES: ReportRule[] = [
  {
    family: L3.IPV4,
    table: 'filter',
    chain: 'FORWARD',
    number: 1,
    text: '-A FORWARD -j LOG',
    file: 'r',
    line: 3,
    log: { kind: 'LOG', prefix: 'say "hi" ' },
  },
  { family: L3.IPV4, table: 'filter', chain: 'FORWARD', number: 2, text: '-A FORWARD -j ACCEPT', file: 'r', line: 4 },
  { family: L3.IPV4, table: 'filter', chain: 'FORWARD', number: 'policy', text: ':FORWARD DROP', file: 'r', line: 2 },
];

const INTERFACES = new InterfaceNames();
INTERFACES.index('lan');
INTERFACES.index('wan');

function line(fields: PacketFields, logs: number[] = []): string {
  const place = memory(4096);
  captureRecord(place, 64, 1, 7, 1_700_000_000_000_123_456n, 7n);
  packetRecord(place, 512, fields);
  const lines = new PacketLines({ rules: RULES, interfaces: INTERFACES });
  const batch = { view: place.view, bytes: place.bytes, records: 64, count: 1 };
  const recorded = () => logs.map((rule) => ({ rule }));
  const pieces = lines.lines(batch, { packets: 512, translations: 0, logs: recorded, master: () => undefined });
  return Buffer.concat([...pieces]).toString();
}

describe('a line', () => {
  test('of a reply, as in the design', () => {
    const text = line({
      u8: {
        path: Path.FORWARD,
        ct_state: CtState.ESTABLISHED,
        dir: 1,
        tcp_state: TcpConntrack.ESTABLISHED,
        verdict: Verdict.ACCEPT,
        events: 2,
      },
      u16: { iif: 1, oif: 2, status: Status.SEEN_REPLY | Status.ASSURED | Status.CONFIRMED },
      u32: { rule: 1 },
      flowId: 3n,
    });
    expect(text).toBe(
      '{"file":1,"n":7,"ts":"1700000000.000123456","path":"forward","in":"lan","out":"wan",' +
        '"ct":{"id":3,"state":"ESTABLISHED","dir":"reply","status":["SEEN_REPLY","ASSURED"],"tcp":"ESTABLISHED","mark":0},' +
        '"verdict":"ACCEPT","rule":"filter/FORWARD/2","events":["UPDATE"]}\n',
    );
  });

  test('of a packet that no IP stack would see', () => {
    expect(line({ u8: { verdict: Verdict.NONE, reason: Reason.NOT_IP } })).toBe(
      '{"file":1,"n":7,"ts":"1700000000.000123456","verdict":"NONE","why":"not-ip"}\n',
    );
  });

  test('of an INVALID packet names the reason and the policy that decided', () => {
    const parsed = JSON.parse(
      line({
        u8: { path: Path.FORWARD, ct_state: CtState.INVALID, verdict: Verdict.DROP, reason: Reason.TCP_SEQ_OVER },
        u32: { rule: 2, why_value: 12345 },
      }),
    );
    expect(parsed).toMatchObject({
      ct: { state: 'INVALID' },
      rule: 'filter/FORWARD/policy',
      why: 'out-of-window: SEQ is over upper bound 12345 (over the window of the receiver)',
    });
    expect(Object.keys(parsed.ct)).toEqual(['state']);
  });

  test('of a rejected packet names the answer', () => {
    const fields = { ct_state: CtState.NEW, verdict: Verdict.REJECT, reject: RejectWith.TCP_RESET };
    expect(JSON.parse(line({ u8: fields }))).toMatchObject({ verdict: 'REJECT', with: 'tcp-reset' });
  });

  test('of a packet that reopens its connection: DESTROY comes before NEW', () => {
    expect(JSON.parse(line({ u8: { verdict: Verdict.ACCEPT, events: 5 } })).events).toEqual(['DESTROY', 'NEW']);
  });

  test('with log records, prefixes escaped', () => {
    expect(JSON.parse(line({ u8: { verdict: Verdict.DROP }, u16: { logs: 1 } }, [0])).logs).toEqual([
      { kind: 'LOG', prefix: 'say "hi" ', rule: 'filter/FORWARD/1' },
    ]);
  });

  test('marks and ids beyond 2^31', () => {
    const parsed = JSON.parse(
      line({
        u8: { ct_state: CtState.NEW, verdict: Verdict.ACCEPT, protonum: Proto.UDP },
        u32: { ct_mark: 0xffffffff },
        flowId: 0x1_0000_0001n,
      }),
    );
    expect(parsed.ct).toEqual({ id: 4294967297, state: 'NEW', dir: 'original', status: [], mark: 4294967295 });
  });
});

test('a second that repeats is cached, one that changes is not', () => {
  const place = memory(4096);
  packetRecord(place, 512, {});
  const lines = new PacketLines({ rules: [], interfaces: new InterfaceNames() });
  const stamps = [1_000_000_000n, 1_500_000_000n, 2_000_000_000n, 1_000_000_001n].map((ts) => {
    captureRecord(place, 64, 1, 1, ts, 1n);
    const batch = { view: place.view, bytes: place.bytes, records: 64, count: 1 };
    const [piece] = lines.lines(batch, { packets: 512, translations: 0, logs: () => [], master: () => undefined });
    return JSON.parse(Buffer.from(piece!).toString()).ts;
  });
  expect(stamps).toEqual(['1.000000000', '1.500000000', '2.000000000', '1.000000001']);
});

describe('reasons', () => {
  const reasons = Object.values(Reason).filter(
    (value) => typeof value === 'number' && value !== Reason.NONE,
  ) as number[];

  test('each has a word that fits before a colon', () => {
    for (const reason of reasons) expect(reasonWord(reason)).toMatch(/^[a-z][a-z0-9-]*$/);
    for (const reason of reasons) expect(reasonWord(reason)).not.toMatch(/^reason-\d/);
  });

  test('each has a label of its own', () => {
    expect(new Set(reasons.map(reasonLabel)).size).toBe(reasons.length);
  });

  /** net/netfilter/nf_conntrack_proto_tcp.c, nf_tcp_log_invalid and nf_conntrack_tcp_packet. */
  test.each([
    [Reason.TCP_OVERSHOT, 12, 'out-of-window: 12 bytes more than expected'],
    [Reason.TCP_ACK_OVER, 4294967295, 'out-of-window: ACK is over upper bound 4294967295 (ACKed data not seen yet)'],
    [Reason.TCP_SEQ_UNDER, 1, 'out-of-window: SEQ is under lower bound 1 (already ACKed data retransmitted)'],
    [Reason.TCP_ACK_UNDER, 1, 'out-of-window: ignored ACK under lower bound 1 (possible overly delayed)'],
    [
      Reason.TCP_INVALID_STATE,
      (3 << 16) | (1 << 8) | 1,
      'invalid-state: packet (index 3) in dir 1 invalid, state SYN_SENT',
    ],
    [Reason.TCP_IGNORED_STATE, 3, 'ignored-state: packet (index 0) in dir 0 ignored, state ESTABLISHED'],
    [Reason.BAD_CHECKSUM, 0, 'invalid-checksum'],
  ])('%i with %i', (reason, value, text) => {
    expect(whyText(reason, value, 0)).toBe(text);
  });

  /** net/netfilter/nf_conntrack_proto_sctp.c, nf_conntrack_sctp_packet: the packet's tag, then the right one. */
  test('of a wrong tag are both tags', () => {
    const text = 'wrong-tag: verification tag check failed 2c010000 vs c8 for dir 1';
    expect(whyText(Reason.SCTP_VTAG_REPLY, 0xc8, 0x2c01_0000)).toBe(text);
  });
});

test('PACKET.rule is read unsigned', () => {
  const place = memory(4096);
  captureRecord(place, 64, 1, 1, 0n, 1n);
  packetRecord(place, 512, {});
  expect(place.view.getUint32(512 + PACKET.rule, true)).toBe(0xffffffff);
  expect(line({})).not.toContain('"rule"');
});
