// Which extension header, option or chunk does a rule look for?
import { own } from '../iptables/names.ts';
import type { Exthdr, Place } from './ast.ts';
import type { Context } from './context.ts';
import { typed } from './datatypes.ts';
import { readNumber, readRawRange } from './expressions.ts';
import { EXTENSION_HEADERS, IP_OPTIONS, SCTP_CHUNKS, type Searched, TCP_OPTIONS } from './headers.ts';
import type { Token } from './lex.ts';
import { refuseAt } from './text.ts';

function exists(of: Exthdr['of'], name: string | undefined, number: number, at: Place): Exthdr {
  const header: Exthdr = { kind: 'exthdr', of, number, offset: 0, ...typed('boolean'), at };
  if (name !== undefined) header.name = name;
  return header;
}

export function readExthdrExists({ cursor }: Context): Exthdr {
  const first = cursor.expect('exthdr');
  const name = cursor.take();
  const found = own(EXTENSION_HEADERS, name.text);
  if (found === undefined) refuseAt('RULESET_SYNTAX', `'${name.text}' is not an extension header`, name.at);
  return exists('ipv6', name.text, found.number, cursor.since(first.at));
}

export function readExtensionHeader(context: Context): Exthdr {
  const name = context.cursor.take();
  const found = EXTENSION_HEADERS[name.text] as Searched;
  const header = readField(context, 'ipv6', name, found, name.at);
  return header ?? context.cursor.unexpected(`a field of ${name.text}`);
}

/** The field of a header that was named, or undefined if none is named. */
function readField(
  { cursor }: Context,
  of: Exthdr['of'],
  name: Token,
  { number, fields }: Searched,
  from: Place,
): Exthdr | undefined {
  let text = cursor.peek().kind === 'word' ? cursor.peek().text : '';
  const indexed = cursor.is('[', 1) && cursor.peek(2).kind === 'number' && cursor.is(']', 3);
  if (indexed) text = `${text}[${cursor.peek(2).text}]`;
  const found = own(fields, text);
  if (found === undefined) return undefined;
  for (let words = indexed ? 4 : 1; words > 0; words--) cursor.take();
  return { kind: 'exthdr', of, name: name.text, number, field: text, ...found, at: cursor.since(from) };
}

const OPTIONS: Readonly<Record<string, { of: Exthdr['of']; names: Readonly<Record<string, Searched>> }>> = {
  'ip option': { of: 'ipv4 option', names: IP_OPTIONS },
  'tcp option': { of: 'tcp option', names: TCP_OPTIONS },
  'sctp chunk': { of: 'sctp chunk', names: SCTP_CHUNKS },
  'dccp option': { of: 'dccp option', names: {} },
};

const TCP_OPTION_ALIASES: Readonly<Record<string, string>> = {
  'sack-permitted': 'sack-perm',
  noop: 'nop',
  md5: 'md5sig',
};

/** `tcp option maxseg size`, `tcp option 5`, `tcp option @5,16,8`, `ip option rr`, `sctp chunk init`, `dccp option 1`. */
export function readOption(context: Context): Exthdr {
  const { cursor } = context;
  const first = cursor.take();
  const words = `${first.text} ${cursor.take().text}`;
  const kind = own(OPTIONS, words);
  if (kind === undefined) return refuseAt('RULESET_SYNTAX', `'${words}' is not known`, cursor.since(first.at));
  const { of, names } = kind;
  if (of === 'tcp option' && cursor.accept('@')) {
    const number = readNumber(context, 255);
    cursor.expect(',');
    const { offset, bits, at } = readRawRange(context, first.at);
    return { kind: 'exthdr', of, number, field: `@${offset},${bits}`, offset, ...typed('integer', bits), at };
  }
  if (cursor.peek().kind === 'number') {
    const number = readNumber(context, 255);
    const name = Object.keys(names).find((each) => names[each]?.number === number);
    return exists(of, name, number, cursor.since(first.at));
  }
  const written = cursor.take();
  const name = { ...written, text: own(TCP_OPTION_ALIASES, written.text) ?? written.text };
  const found = own(names, name.text);
  if (found === undefined) return refuseAt('RULESET_SYNTAX', `'${words} ${written.text}' is not known`, written.at);
  return readField(context, of, name, found, first.at) ?? exists(of, name.text, found.number, cursor.since(first.at));
}
