// Which flows are meant? The filters of `list` under their names, asked of entries: of the table, or as they ended.

import { Proto, SctpConntrack, TcpConntrack } from '../../assembly/vocabulary.ts';
import { EVENT } from '../engine/layout.ts';
import { type FlowFilter, flowMatches } from '../report/filter.ts';
import { labelsOf, markOf, natOf, numberOf } from '../report/filter-values.ts';
import { sctpStateName, tcpStateName } from '../report/names.ts';
import type { EventPlace } from '../report/order.ts';
import { helperName } from '../ruleset/helpers.ts';
import { oneOf, type Test, type Word, type Words } from './description.ts';
import { readStatus } from './status.ts';
import { END_WORDS, ICMP_WORDS, wordsAt } from './tuple-words.ts';
import { namesOf, readName, readTruth, refuseValue } from './values.ts';

const PROTONUM = EVENT.original_0 + 36;

/** Everything about an entry is told, also where an event of conntrack would not have it. */
function by(filter: Partial<FlowFilter>): Test<EventPlace> {
  const whole: FlowFilter = { words: [], labels: [], ...filter };
  return ({ view, bytes, at }) => flowMatches(view, bytes, at, true, whole);
}

function nat(filter: (target: ReturnType<typeof natOf>) => Partial<FlowFilter>): Word<EventPlace> {
  return oneOf((text, key) => {
    const truth = readTruth(text);
    if (truth === undefined) return by(filter(text === '' ? refuseValue(`${key}: no address`) : natOf(key, text)));
    const translated = by(filter({}));
    return truth ? translated : (place) => !translated(place);
  });
}

function zone(filter: (zone: number) => Partial<FlowFilter>): Word<EventPlace> {
  return oneOf((text, key) => by(filter(numberOf(key, text, 0xffff))));
}

const TCP_STATES = namesOf(1, TcpConntrack.MAX, tcpStateName);
const SCTP_STATES = namesOf(1, SctpConntrack.MAX, sctpStateName);

function stateTest(text: string, key: string): Test<EventPlace> {
  const [tcp, sctp] = [TCP_STATES.get(text), SCTP_STATES.get(text)];
  if (tcp === undefined && sctp === undefined) readName(key, text, new Map([...TCP_STATES, ...SCTP_STATES]));
  return ({ bytes, at }) => {
    const state = bytes[at + EVENT.tcp_state];
    const protonum = bytes[at + PROTONUM];
    return protonum === Proto.TCP ? state === tcp : protonum === Proto.SCTP && state === sctp;
  };
}

export const HELPERS = namesOf(0, 256, helperName);

export const FLOW_WORDS: Words<EventPlace> = {
  ...wordsAt<EventPlace>({ ...END_WORDS, ...ICMP_WORDS }, ({ bytes, at }) => ({
    bytes,
    at: at + EVENT.original_0,
    reversed: false,
    whole: true,
  })),
  ...wordsAt<EventPlace>(
    {
      'reply-src': END_WORDS.src!,
      'reply-dst': END_WORDS.dst!,
      'reply-port-src': END_WORDS.sport!,
      'reply-port-dst': END_WORDS.dport!,
    },
    ({ bytes, at }) => ({ bytes, at: at + EVENT.reply_0, reversed: false, whole: true }),
  ),
  state: oneOf(stateTest),
  status: oneOf((text, key) => {
    const { set, clear } = readStatus(key, text);
    return ({ view, at }) => {
      const bits = view.getUint32(at + EVENT.status, true);
      return (bits & set) === set && (bits & clear) === 0;
    };
  }),
  'src-nat': nat((srcNat) => ({ srcNat })),
  'dst-nat': nat((dstNat) => ({ dstNat })),
  'any-nat': nat((anyNat) => ({ anyNat })),
  mark: oneOf((text, key) => by({ mark: markOf(key, text) })),
  label: oneOf((text, key, { labels }) => by({ labels: labelsOf(key, text, labels) })),
  helper: oneOf((text, key) => {
    const helper = readName(key, text, HELPERS);
    return ({ bytes, at }) => bytes[at + EVENT.helper] === helper;
  }),
  zone: zone((number) => ({ zone: number })),
  'orig-zone': zone((number) => ({ origZone: number })),
  'reply-zone': zone((number) => ({ replyZone: number })),
};
