// How does the kernel print an entry in /proc/net/nf_conntrack (ct_seq_show() in nf_conntrack_standalone.c)?
//
// It differs from `conntrack -L -o extended` in addresses of IPv6, which are not shortened, in the zone, which is always
// said unless it holds for one direction only, in the timeouts of GRE, and in the whole seconds since the start, which are
// those of the difference. In `use` the reader counts, too.

import { Proto, Status } from '../../assembly/vocabulary.ts';
import { EVENT } from '../engine/layout.ts';
import { ipv4Text } from './address.ts';
import { messageParts, wordAt, zonesAt } from './conntrack-text.ts';
import { conntrackProtocol, entryStateName, familyName } from './names.ts';
import { u64At } from './time.ts';

/** Seconds of nf_conntrack_gre_timeout and nf_conntrack_gre_timeout_stream, which GRE entries say of themselves. */
export interface GreTimeouts {
  timeout: number;
  stream: number;
}

function addressProc(bytes: Uint8Array, at: number, v4: boolean): string {
  if (v4) return ipv4Text(bytes, at);
  const groups = Array.from({ length: 8 }, (_, n) =>
    wordAt(bytes, at + n * 2)
      .toString(16)
      .padStart(4, '0'),
  );
  return groups.join(':');
}

export function tupleProc(bytes: Uint8Array, at: number, v4: boolean): string {
  const addresses = `src=${addressProc(bytes, at, v4)} dst=${addressProc(bytes, at + 16, v4)} `;
  switch (bytes[at + 36]!) {
    case Proto.TCP:
    case Proto.UDP:
    case Proto.UDPLITE:
    case Proto.SCTP:
      return `${addresses}sport=${wordAt(bytes, at + 32)} dport=${wordAt(bytes, at + 34)} `;
    case Proto.ICMP:
    case Proto.ICMPV6:
      return `${addresses}type=${bytes[at + 34]} code=${bytes[at + 35]} id=${wordAt(bytes, at + 32)} `;
    case Proto.GRE: {
      const [source, target] = [wordAt(bytes, at + 32).toString(16), wordAt(bytes, at + 34).toString(16)];
      return `${addresses}srckey=0x${source} dstkey=0x${target} `;
    }
    default:
      return addresses;
  }
}

/** Linux 6.18 has no tracker for DCCP any more. */
function protocolProc(protonum: number): string {
  return protonum === Proto.DCCP ? 'unknown' : conntrackProtocol(protonum);
}

function stateProc(protonum: number, state: number, gre: GreTimeouts): string {
  if (protonum === Proto.GRE) return `timeout=${gre.timeout}, stream_timeout=${gre.stream} `;
  const name = entryStateName(protonum, state);
  return name === undefined ? '' : `${name} `;
}

/** Line of the EVENT-shaped record at `at` (an entry of the table at the moment `time`), without newline. */
export function procText(view: DataView, bytes: Uint8Array, at: number, gre: GreTimeouts): string {
  const original = at + EVENT.original_0;
  const reply = at + EVENT.reply_0;
  const protonum = bytes[original + 36]!;
  const l3num = bytes[original + 37]!;
  const v4 = familyName(l3num) === 'ipv4';
  const status = view.getUint32(at + EVENT.status, true);
  const parts = messageParts(view, bytes, at, true);
  const zones = zonesAt(view, at);
  const directed = zones.original !== 0 || zones.reply !== 0;
  const counters = (packets: number, octets: number) =>
    parts.counters ? `packets=${u64At(view, at + packets)} bytes=${u64At(view, at + octets)} ` : '';
  let text = `${familyName(l3num).padEnd(8)} ${l3num} ${protocolProc(protonum).padEnd(8)} ${protonum} `;
  text += `${view.getUint32(at + EVENT.timeout_s, true)} ${stateProc(protonum, bytes[at + EVENT.tcp_state]!, gre)}`;
  text += tupleProc(bytes, original, v4);
  if (zones.original) text += `zone-orig=${zones.original} `;
  text += counters(EVENT.packets_original, EVENT.bytes_original);
  if (!(status & Status.SEEN_REPLY)) text += '[UNREPLIED] ';
  text += tupleProc(bytes, reply, v4);
  if (zones.reply) text += `zone-reply=${zones.reply} `;
  text += counters(EVENT.packets_reply, EVENT.bytes_reply);
  if (status & Status.ASSURED) text += '[ASSURED] ';
  text += `mark=${view.getUint32(at + EVENT.mark, true)} `;
  if (!directed) text += `zone=${zones.both} `;
  if (parts.start) {
    const lived = view.getBigUint64(at + EVENT.time, true) - view.getBigUint64(at + EVENT.start, true);
    text += `delta-time=${lived / 1_000_000_000n} `;
  }
  return `${text}use=${2 + view.getUint16(at + EVENT.children, true)}`;
}
