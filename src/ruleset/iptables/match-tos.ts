// What do `-m tos`, `-m dscp` and `-m ecn` test? The type of service of IPv4, the traffic class of IPv6, whole or in part.
import { refuse } from '../source.ts';
import type { MatchExtension } from './matches.ts';
import { own } from './names.ts';
import { firstValue } from './options.ts';
import { invalid, parseNumber, readNumber, type Value } from './values.ts';

/** RFC 1349; the two bits above them and the lowest one are not looked at. */
const SERVICES: Readonly<Record<string, number>> = {
  'minimize-delay': 0x10,
  'maximize-throughput': 0x08,
  'maximize-reliability': 0x04,
  'minimize-cost': 0x02,
  'normal-service': 0x00,
};
const SERVICES_MASK = 0x3f;

/** RFC 2474, RFC 2597 and RFC 3246. */
const CLASSES: Readonly<Record<string, number>> = {
  cs0: 0, cs1: 8, cs2: 16, cs3: 24, cs4: 32, cs5: 40, cs6: 48, cs7: 56, be: 0, ef: 46,
  af11: 10, af12: 12, af13: 14, af21: 18, af22: 20, af23: 22, af31: 26, af32: 28, af33: 30, af41: 34, af42: 36, af43: 38,
}; // biome-ignore format: a table

const DSCP_SHIFT = 2;
const ECN_MASK = 3;

function service(value: Value): { value: number; mask: number } {
  const known = own(SERVICES, value.text.toLowerCase());
  if (known !== undefined) return { value: known, mask: SERVICES_MASK };
  const [first = '', second] = value.text.split('/', 2);
  const number = readNumber(first, 0xff);
  const mask = second === undefined ? 0xff : readNumber(second, 0xff);
  if (number === undefined || mask === undefined || value.text.split('/').length > 2) {
    return invalid(value, 'neither number[/mask] of a byte nor the name of a service');
  }
  return { value: number, mask };
}

export const TOS: MatchExtension = {
  options: [{ names: ['tos'], values: 1, invert: true }],
  build(use) {
    const given = use.one('tos');
    return { kind: 'tos', ...service(firstValue(given)), invert: given.invert };
  },
};

export const DSCP: MatchExtension = {
  options: [
    { names: ['dscp'], values: 1, invert: true },
    { names: ['dscp-class'], values: 1, invert: true },
  ],
  build(use) {
    const given = use.one('dscp', 'dscp-class');
    const value = firstValue(given);
    const number =
      given.name === 'dscp'
        ? parseNumber(value, 63, 'the code point')
        : (own(CLASSES, value.text.toLowerCase()) ?? invalid(value, 'unknown class'));
    return { kind: 'tos', value: number << DSCP_SHIFT, mask: 0xff & ~ECN_MASK, invert: given.invert };
  },
};

export const ECN: MatchExtension = {
  options: [
    { names: ['ecn-ip-ect'], values: 1, invert: true },
    { names: ['ecn-tcp-ece'], values: 0, invert: true, unsupported: true },
    { names: ['ecn-tcp-cwr'], values: 0, invert: true, unsupported: true },
  ],
  build(use) {
    const given = use.get('ecn-ip-ect');
    if (!given) return refuse('RULESET_INVALID', "match 'ecn' needs at least one option", use.at);
    return {
      kind: 'tos',
      value: parseNumber(firstValue(given), ECN_MASK, 'the code point'),
      mask: ECN_MASK,
      invert: given.invert,
    };
  },
};
