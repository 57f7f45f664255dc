// What does `-m owner` test? Which user or group sent a packet, or whether any process of the host did.
import { OwnerFlag } from '../../../assembly/vocabulary.ts';
import type { Range } from '../ast.ts';
import { refuse } from '../source.ts';
import type { MatchExtension } from './matches.ts';
import { firstValue, type Given } from './options.ts';
import { invalid, readNumber, type Value } from './values.ts';

/** The number above is no user or group. */
const ID_MAX = 0xfffffffe;

/** A number, or `low-high`. */
function ids(value: Value): Range {
  const [first = '', last, ...rest] = value.text.split('-');
  const low = readNumber(first, ID_MAX);
  const high = last === undefined ? low : readNumber(last, ID_MAX);
  if (low === undefined && /^[A-Za-z_]/.test(value.text)) {
    return refuse('RULESET_UNSUPPORTED', `names of users and groups are not looked up: '${value.text}'`, value.at);
  }
  if (low === undefined || high === undefined || rest.length > 0) {
    return invalid(value, `not a number from 0 to ${ID_MAX}, nor a range of them`);
  }
  return low <= high ? { low, high } : invalid(value, 'the range ends before it starts');
}

export const OWNER: MatchExtension = {
  options: [
    { names: ['uid-owner'], values: 1, invert: true },
    { names: ['gid-owner'], values: 1, invert: true },
    { names: ['socket-exists'], values: 0, invert: true },
    { names: ['suppl-groups'], values: 0 },
  ],
  build(use) {
    const [uid, gid, socket] = [use.get('uid-owner'), use.get('gid-owner'), use.get('socket-exists')];
    if (!uid && !gid && !socket) {
      refuse('RULESET_INVALID', "match 'owner' needs --uid-owner, --gid-owner or --socket-exists", use.at);
    }
    if (use.has('suppl-groups') && !gid) refuse('RULESET_INVALID', '--suppl-groups needs --gid-owner', use.at);
    let asked = use.has('suppl-groups') ? OwnerFlag.SUPPL_GROUPS : 0;
    let inverted = 0;
    const take = (given: Given | undefined, flag: OwnerFlag): void => {
      if (given) asked |= flag;
      if (given?.invert) inverted |= flag;
    };
    take(uid, OwnerFlag.UID);
    take(gid, OwnerFlag.GID);
    take(socket, OwnerFlag.SOCKET);
    const anyone = { low: 0, high: ID_MAX };
    return {
      kind: 'owner',
      asked,
      inverted,
      uid: uid ? ids(firstValue(uid)) : anyone,
      gid: gid ? ids(firstValue(gid)) : anyone,
    };
  },
};
