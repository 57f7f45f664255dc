// Which packets belong to the same conversation? Keys for reports that group packets by tuple, both directions together.
//
// The engine's own identity (Flow.id) does not help where there is no entry (dropped, INVALID, UNTRACKED) or where two
// worlds disagree about it, so these keys come from the packet's tuple alone.

import { Proto } from '../../assembly/vocabulary.ts';
import { PACKET } from '../engine/layout.ts';
import { wordAt } from './conntrack-text.ts';

/** ICMP queries by the type of their reply (kernel: invmap in nf_conntrack_proto_icmp.c): both have one key. */
const ICMP_REQUEST: Record<number, number> = { 0: 8, 14: 13, 16: 15, 18: 17 };
const ICMPV6_REQUEST: Record<number, number> = { 129: 128, 140: 139 };

/** Type of the query that the ICMP tuple at `at` belongs to. */
function icmpType(bytes: Uint8Array, at: number): number {
  const type = bytes[at + PACKET.dport]!;
  const requests = bytes[at + PACKET.protonum] === Proto.ICMP ? ICMP_REQUEST : ICMPV6_REQUEST;
  return requests[type] ?? type;
}

function isIcmp(protonum: number): boolean {
  return protonum === Proto.ICMP || protonum === Proto.ICMPV6;
}

/** A key that is equal for both directions of a conversation and for nothing else. */
export function flowKey(view: DataView, bytes: Uint8Array, at: number): string {
  const protonum = bytes[at + PACKET.protonum]!;
  const icmp = isIcmp(protonum);
  const source = icmp ? 0 : wordAt(bytes, at + PACKET.sport);
  const target = icmp ? 0 : wordAt(bytes, at + PACKET.dport);
  let a = `${source}`;
  let b = `${target}`;
  for (let word = 0; word < 16; word += 4) {
    a += `.${view.getUint32(at + PACKET.src_lo + word).toString(36)}`;
    b += `.${view.getUint32(at + PACKET.dst_lo + word).toString(36)}`;
  }
  const head = `${protonum}/${bytes[at + PACKET.l3num]}/${view.getUint16(at + PACKET.zone, true)}`;
  const query = icmp ? `/${icmpType(bytes, at)}/${wordAt(bytes, at + PACKET.sport)}` : '';
  return a < b ? `${head}${query}/${a}/${b}` : `${head}${query}/${b}/${a}`;
}

function mix(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x9e3779b1);
  return mixed ^ (mixed >>> 15);
}

function endpointHash(view: DataView, address: number, port: number, seed: number): number {
  let hash = mix(seed, port);
  for (let word = 0; word < 16; word += 4) hash = mix(hash, view.getUint32(address + word, true));
  return Math.imul(hash ^ (hash >>> 13), 0x85ebca6b);
}

/**
 * A set of conversations, by 64-bit hash, that counts how many different ones it saw. Memory is bounded: beyond
 * `limit` further conversations are not told apart any more and `count` is a lower bound.
 */
export class FlowSet {
  count = 0;
  /** True once a conversation could not be held any more. */
  full = false;
  readonly #limit: number;
  #slots = new Uint32Array(2 * 1024);

  /** @param limit most conversations held (16 bytes each) */
  constructor(limit = 1 << 21) {
    this.#limit = limit;
  }

  /** Adds the conversation of the PACKET at `at`; true if it was not seen before. */
  add(view: DataView, bytes: Uint8Array, at: number): boolean {
    const protonum = bytes[at + PACKET.protonum]!;
    const icmp = isIcmp(protonum);
    const source = icmp ? 0 : wordAt(bytes, at + PACKET.sport);
    const target = icmp ? 0 : wordAt(bytes, at + PACKET.dport);
    const query = icmp ? (icmpType(bytes, at) << 16) | wordAt(bytes, at + PACKET.sport) : 0;
    const head = mix(query, (protonum << 24) | (bytes[at + PACKET.l3num]! << 16) | wordAt(bytes, at + PACKET.zone));
    const src = at + PACKET.src_lo;
    const dst = at + PACKET.dst_lo;
    const low = mix(head, endpointHash(view, src, source, 1) + endpointHash(view, dst, target, 1));
    const high = mix(~head, endpointHash(view, src, source, 2) + endpointHash(view, dst, target, 2));
    return this.#insert(low >>> 0, (high | 1) >>> 0);
  }

  #insert(low: number, high: number): boolean {
    const slots = this.#slots;
    const mask = slots.length / 2 - 1;
    let slot = low & mask;
    while (slots[slot * 2 + 1] !== 0) {
      if (slots[slot * 2] === low && slots[slot * 2 + 1] === high) return false;
      slot = (slot + 1) & mask;
    }
    if (this.count >= this.#limit) {
      this.full = true;
      return false;
    }
    slots[slot * 2] = low;
    slots[slot * 2 + 1] = high;
    this.count++;
    if (this.count * 2 > mask) this.#grow();
    return true;
  }

  #grow(): void {
    const old = this.#slots;
    const slots = new Uint32Array(old.length * 2);
    const mask = slots.length / 2 - 1;
    for (let at = 0; at < old.length; at += 2) {
      if (old[at + 1] === 0) continue;
      let slot = old[at]! & mask;
      while (slots[slot * 2 + 1] !== 0) slot = (slot + 1) & mask;
      slots[slot * 2] = old[at]!;
      slots[slot * 2 + 1] = old[at + 1]!;
    }
    this.#slots = slots;
  }
}
