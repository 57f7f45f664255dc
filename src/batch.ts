// What does a run hand to those who report, batch after batch?

import type { InterfaceNames } from './capture/interfaces.ts';
import type { EventPlace } from './report/order.ts';
import type { RuleInfo } from './ruleset/index.ts';
import type { SentParts } from './sent/records.ts';

/** A LOG or NFLOG rule that a packet met. */
export interface LogEntry {
  /** Index into WorldResult.rules. */
  rule: number;
}

/** What one world made of a batch. Addresses are in BatchView.view, those of events in their own. */
export interface WorldView {
  /** Address of PACKET[count]. */
  packets: number;
  /** Address of TUPLE[count]: what NAT made of the packets that are TRANSLATED; 0 without NAT. */
  translations: number;
  /** EVENT records in the order of output. */
  events: readonly EventPlace[];
  /** The same of expectations. */
  expectations: readonly EventPlace[];
  /** Log records of the packet at this address. */
  logs(packetAddress: number): readonly LogEntry[];
  /** Number of the entry that expected the one of the packet at this address, undefined if none did. */
  master(packetAddress: number): number | undefined;
  /** What helpers and NAT made of packets beyond their records (RunOptions.wantSent). */
  sent: SentParts;
  /** What Packet.rule counts by. */
  rules: readonly RuleInfo[];
  /** Some packets were not counted by lanes, or not to the end (PacketTally.add). */
  uncounted: boolean;
}

/** Judged packets in replay order, valid until the sink's promise resolves. */
export interface BatchView {
  /** Over linear memory. */
  view: DataView;
  bytes: Uint8Array;
  /** Address of RECORD[count]. */
  records: number;
  count: number;
  worlds: readonly WorldView[];
  interfaces: InterfaceNames;
  /** Of some packets it is known whether they arrived or left. */
  sided: boolean;
}

export type Sink = (batch: BatchView) => void | Promise<void>;
