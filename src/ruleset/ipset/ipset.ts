// What is an IP set? Its type, and its elements as the keys that a packet is looked up by.
import type { TextPosition } from '../../errors.ts';
import type { Family } from '../source.ts';

/** What a part of an element is compared with. */
export type Part = 'ip' | 'net' | 'port' | 'mac' | 'mark';

/**
 * An element: a word per address of IPv4, port (protocol << 16 | port, or type and code of ICMP) and mark, four for an
 * address of IPv6, two for a MAC address. Words of addresses are as little-endian machines load them, and masked.
 */
export interface Element {
  words: number[];
  /** Length of the prefix of each part that is a network. */
  lengths: number[];
  /** What it holds does not match, although a wider network of the set does. */
  nomatch: boolean;
  /** Seconds after which it is gone, counted from the first packet; undefined for one that stays. */
  left?: number;
}

/** A set that holds elements. */
export interface ElementSet {
  kind: 'elements';
  name: string;
  /** Type as ipset writes it: `hash:net,port`. */
  type: string;
  parts: readonly Part[];
  /** undefined: packets of both families are looked up, as in bitmap:port. */
  family: Family | undefined;
  /** Bits of addresses that count (netmask, bitmask), 4 or 16 bytes in wire order. */
  mask?: Uint8Array;
  /** Only TCP and UDP have ports here, and the protocol does not matter (bitmap:port). */
  barePorts: boolean;
  elements: Element[];
  at: TextPosition;
}

/** A set of sets, which are asked in turn (list:set). */
export interface ListSet {
  kind: 'list';
  name: string;
  type: 'list:set';
  members: { name: string; at: TextPosition }[];
  at: TextPosition;
}

export type IpSet = ElementSet | ListSet;
export type IpSets = ReadonlyMap<string, IpSet>;
