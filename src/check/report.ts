// What came out of a check? One object, which is printed as text, JSON, JUnit or TAP.

import type { Judgement } from '../report/diff.ts';
import type { Quantifier, Subject } from './expectation.ts';

/** A packet that shows why an expectation fails: where it was captured, what it is, what became of it. */
export interface PacketExample extends Judgement {
  /** Path of the capture, and the packet's number in it, from 1. */
  capture: string;
  n: number;
  /** `seconds.nanoseconds` */
  ts: string;
  packet: string;
}

/** An entry as `conntrack -L` lists it, or as `conntrack -E -o timestamp` tells that it ended. */
export interface FlowExample {
  flow: string;
}

export interface RuleExample {
  rule: string;
  family: string;
  packets: number;
  bytes: number;
  text: string;
  file: string;
  line: number;
}

export type Example = PacketExample | FlowExample | RuleExample;

/** Examples that a failure shows. */
export const EXAMPLES_MAX = 5;

export interface Failure {
  /** What does not hold: a claim, how many were selected, or that a name in the expectation means something. */
  claim: Quantifier | 'count' | 'name';
  /** Where the expectation says so, from 1. */
  line: number;
  column: number;
  message: string;
  /** How many show it: packets, flows, rules or entries. */
  total: number;
  /** The first of them. */
  first: Example[];
}

export interface ExpectationResult {
  name: string;
  /** Where the expectation stands, line from 1. */
  file: string;
  line: number;
  subject: Subject;
  /** How many packets, flows, rules or entries it selects. */
  selected: number;
  holds: boolean;
  failures: Failure[];
}

export interface CheckReport {
  /** Packets in the captures. */
  packets: number;
  holds: boolean;
  /** Expectations that fail. */
  failed: number;
  /** In the order of the files. */
  results: ExpectationResult[];
}

/** The report as `--json` prints it: one object on one line. */
export function checkJson(report: CheckReport): string {
  return `${JSON.stringify(report)}\n`;
}
