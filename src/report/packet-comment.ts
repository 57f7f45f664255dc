// What does a packet's comment say in a capture that was written again? Where it was captured, its verdict, what decided, and
// what connection tracking took it for.

import { CtState, Helper, PacketFlag, Reason } from '../../assembly/vocabulary.ts';
import type { BatchView, WorldView } from '../batch.ts';
import { PACKET, RECORD } from '../engine/layout.ts';
import { helperName } from '../ruleset/helpers.ts';
import { ctStateName, dirName, packetState, rejectName, statusNames, verdictName } from './names.ts';
import { whyText } from './reason.ts';
import { NO_RULE, ruleLabel } from './rules.ts';
import { idAt } from './time.ts';

/** `1:7 ACCEPT filter/FORWARD/2, ESTABLISHED reply of 3 [SEEN_REPLY ASSURED] tcp ESTABLISHED` */
export function packetComment({ view, bytes, records }: BatchView, world: WorldView, index: number): string {
  const packet = world.packets + index * PACKET.size;
  const record = records + index * RECORD.size;
  const flags = view.getUint16(packet + PACKET.flags, true);
  const place = `${view.getUint16(record + RECORD.file, true)}:${view.getUint32(record + RECORD.n, true)}`;
  const words = [place, verdictName(bytes[packet + PACKET.verdict]!)];
  const reject = rejectName(bytes[packet + PACKET.reject]!);
  if (reject !== undefined) words.push(`with ${reject}`);
  const rule = view.getUint32(packet + PACKET.rule, true);
  if (rule !== NO_RULE) words.push(ruleLabel(world.rules, rule));
  const reason = bytes[packet + PACKET.reason]!;
  const [value, tag] = [PACKET.why_value, PACKET.ct_mark].map((field) => view.getUint32(packet + field, true));
  if (reason !== Reason.NONE) words.push(`(${whyText(reason, value!, tag!)})`);
  const parts = [words.join(' ')];
  const state = bytes[packet + PACKET.ct_state]!;
  if (state !== CtState.NONE) parts.push(stateText(view, bytes, packet));
  if (flags & PacketFlag.FRAGMENT_OF) {
    // The fragment that completed the packet (layout/packet.ts).
    parts.push(`of ${view.getUint32(packet + PACKET.l4, true)}:${view.getUint32(packet + PACKET.hash, true)}`);
  }
  return parts.join(', ');
}

function stateText(view: DataView, bytes: Uint8Array, packet: number): string {
  const state = bytes[packet + PACKET.ct_state]!;
  if (state === CtState.INVALID || state === CtState.UNTRACKED) return ctStateName(state);
  const words = [ctStateName(state), dirName(bytes[packet + PACKET.dir]!)];
  const id = idAt(view, packet + PACKET.flow_id);
  if (id !== 0) words.push(`of ${id}`);
  const status = statusNames(view.getUint16(packet + PACKET.status, true));
  if (status.length > 0) words.push(`[${status.join(' ')}]`);
  const tracked = bytes[packet + PACKET.tcp_state]!;
  if (tracked !== 0) words.push(packetState(tracked).join(' '));
  const helper = bytes[packet + PACKET.template]!;
  if (helper !== Helper.NONE) words.push(`helper ${helperName(helper)}`);
  return words.join(' ');
}
