// What is compared of the slow model's answers and of ctreplay's, as lines?

import type { ModelTuple } from '../model/icmp.ts';
import type { ModelEvent, ModelVerdict } from '../model/tracker.ts';

/** Bits of an entry's status that the model knows. */
const BITS = ['SEEN_REPLY', 'ASSURED', 'SRC_NAT', 'DST_NAT', 'EXPECTED', 'HELPER'];
const known = (status: readonly string[]): string => BITS.filter((bit) => status.includes(bit)).join('+');

export function addressText(hex: string): string {
  const bytes = Buffer.from(hex, 'hex');
  if (bytes.length === 4) return bytes.join('.');
  return new URL(`http://[${hex.match(/..../g)!.join(':')}]`).hostname.slice(1, -1);
}

/** The tuple as JSON has it. */
export function shown({ protocol, source, target, sport, dport }: ModelTuple): Record<string, unknown> {
  const addresses = { src: addressText(source), dst: addressText(target) };
  if (protocol === 1 || protocol === 58) return { ...addresses, type: dport >> 8, code: dport & 255, id: sport };
  return [6, 17, 132].includes(protocol) ? { ...addresses, sport, dport } : addresses;
}

export function stamp(time: bigint): string {
  return `${time / 1_000_000_000n}.${String(time % 1_000_000_000n).padStart(9, '0')}`;
}

/** A packet: whether it passed, its entry, and what NAT made of it. */
export function packetOfModel(verdict: ModelVerdict, captured: ModelTuple | undefined): string {
  if (verdict.clashed) return 'DROP nat-clash';
  if (verdict.refused) return 'DROP dropped-by-helper';
  if (verdict.ctState === 'INVALID' || verdict.ctState === 'UNTRACKED') return `ACCEPT ${verdict.ctState}`;
  const { ctState, dir, status, flowId, sent } = verdict;
  const changed: Record<string, unknown> = {};
  const [before, after] = [captured && shown(captured), sent && shown(sent)];
  for (const key of ['src', 'dst', 'sport', 'dport', 'id']) {
    if (before?.[key] !== after?.[key]) changed[key] = after![key];
  }
  // Of ICMPv6 only echoes have an id that could be changed (icmpv6_manip_pkt()); other queries keep theirs, whatever the entry says.
  if (captured?.protocol === 58 && ![128, 129].includes(captured.dport >> 8)) delete changed.id;
  return `ACCEPT ${ctState} ${dir.toLowerCase()} ${known(status)} ${flowId} ${JSON.stringify(changed)}`;
}

/** The same of a line of `--packets`. */
export function packetOfLine(line: string): string {
  const { verdict, why, ct, nat = {} } = JSON.parse(line);
  if (verdict !== 'ACCEPT') return `${verdict} ${String(why).replace(/:.*/, '')}`;
  if (ct.state === 'INVALID' || ct.state === 'UNTRACKED') return `ACCEPT ${ct.state}`;
  const changed = Object.fromEntries(
    ['src', 'dst', 'sport', 'dport', 'id'].flatMap((key) => (key in nat ? [[key, nat[key]]] : [])),
  );
  return `ACCEPT ${ct.state} ${ct.dir} ${known(ct.status ?? [])} ${ct.id} ${JSON.stringify(changed)}`;
}

/** An event: when, what, of which entry, with which tuples. */
export function eventOfModel({ time, kind, id, timeout, original, reply, status }: ModelEvent): string {
  return JSON.stringify([stamp(time), kind, id, timeout, shown(original), shown(reply), known(status)]);
}

/** The same of a line of `--events-format json`. */
export function eventOfLine(line: string): string {
  const { ts, event, id, timeout, original, reply, status } = JSON.parse(line);
  const bare = ({ packets: _, bytes: __, ...tuple }: Record<string, unknown>): object => tuple;
  return JSON.stringify([ts, event, id, timeout, bare(original), bare(reply), known(status)]);
}

interface Placed {
  time: bigint;
  klass: number;
  order: number;
  sequence: number;
}

/** Deaths before what packets do at the same time; these as they were caused. */
export function inOrder<Event extends Placed>(events: readonly Event[]): Event[] {
  const by = (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0);
  return [...events].sort(
    (a, b) => by(a.time, b.time) || a.klass - b.klass || a.order - b.order || a.sequence - b.sequence,
  );
}

/** The first difference of two lists of lines, undefined for none. */
export function difference(ours: readonly string[], model: readonly string[]): string | undefined {
  const at = Array.from({ length: Math.max(ours.length, model.length) }).findIndex((_, i) => ours[i] !== model[i]);
  return at < 0 ? undefined : `line ${at + 1}:\n ours  ${ours[at] ?? 'nothing'}\n model ${model[at] ?? 'nothing'}`;
}
