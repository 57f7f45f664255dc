// What does TCPMSS do to a segment? It lowers the MSS that is announced, or announces one. Kernel: net/netfilter/xt_TCPMSS.c.

import { L3 } from '../../assembly/vocabulary.ts';
import { updated } from './checksum.ts';
import type { IpPacket } from './packet.ts';

const TCP_HEADER = 20;
const TCP_HEADER_MAX = 60;
const KIND_NOP = 1;
const KIND_MSS = 2;
/** Bytes of the option. */
export const MSS_LENGTH = 4;
/** What a segment without the option means (RFC 9293 section 3.7.1). */
const UNSTATED4 = 536;
const UNSTATED6 = 1220;

export function setMss(p: IpPacket, mss: number): void {
  const { bytes, view, l4 } = p;
  const length = p.length - l4;
  if (l4 === 0 || length < TCP_HEADER || !p.has(l4, TCP_HEADER)) return;
  const header = (bytes[l4 + 12]! >> 4) * 4;
  if (header < TCP_HEADER || header > length || !p.has(l4, header)) return;
  const options = l4 + TCP_HEADER;
  for (let at = options; at <= l4 + header - MSS_LENGTH; at += optionLength(bytes, at)) {
    if (bytes[at] !== KIND_MSS || bytes[at + 1] !== MSS_LENGTH) continue;
    const before = view.getUint16(at + 2);
    if (before > mss) {
      view.setUint16(at + 2, mss);
      view.setUint16(l4 + 16, updated(view.getUint16(l4 + 16), before, mss));
    }
    return;
  }
  if (length > header || header === TCP_HEADER_MAX) return;
  const stated = Math.min(mss, p.family === L3.IPV6 ? UNSTATED6 : UNSTATED4);
  bytes.copyWithin(options + MSS_LENGTH, options, l4 + header);
  view.setUint32(options, (KIND_MSS << 24) | (MSS_LENGTH << 16) | stated);
  const first = view.getUint16(l4 + 12);
  bytes[l4 + 12]! += (MSS_LENGTH / 4) << 4;
  // The pseudo header counts the four bytes, too.
  const after = length + MSS_LENGTH + ((KIND_MSS << 8) | MSS_LENGTH) + stated + view.getUint16(l4 + 12);
  view.setUint16(l4 + 16, updated(view.getUint16(l4 + 16), length + first, after));
  p.length += MSS_LENGTH;
  p.captured += MSS_LENGTH;
  const place = p.family === L3.IPV6 ? 4 : 2;
  const before = view.getUint16(place);
  view.setUint16(place, before + MSS_LENGTH);
  if (p.family === L3.IPV4) view.setUint16(10, updated(view.getUint16(10), before, before + MSS_LENGTH));
}

/** An option that claims no length counts as one byte. */
function optionLength(bytes: Uint8Array, at: number): number {
  return bytes[at]! <= KIND_NOP || bytes[at + 1] === 0 ? 1 : bytes[at + 1]!;
}
