// What does `-m sctp` test? Ports and the chunks of a packet, by the names of libxt_sctp (iptables 1.8.9).
import { ChunkMatch } from '../../../assembly/vocabulary.ts';
import type { ChunkTest } from '../ast.ts';
import type { MatchExtension } from './matches.ts';
import { own } from './names.ts';
import { firstValue, type Given } from './options.ts';
import { invalid, inverted, parsePorts } from './values.ts';

/** Types by name, and the letters of the flags that can be asked for, bit 7 first. */
const CHUNKS: Readonly<Record<string, { type: number; flags?: string }>> = {
  DATA: { type: 0, flags: '----IUBE' },
  INIT: { type: 1 },
  INIT_ACK: { type: 2 },
  SACK: { type: 3 },
  HEARTBEAT: { type: 4 },
  HEARTBEAT_ACK: { type: 5 },
  ABORT: { type: 6, flags: '-------T' },
  SHUTDOWN: { type: 7 },
  SHUTDOWN_ACK: { type: 8 },
  ERROR: { type: 9 },
  COOKIE_ECHO: { type: 10 },
  COOKIE_ACK: { type: 11 },
  ECN_ECNE: { type: 12 },
  ECN_CWR: { type: 13 },
  SHUTDOWN_COMPLETE: { type: 14, flags: '-------T' },
  ASCONF_ACK: { type: 128 },
  RE_CONFIG: { type: 130 },
  FORWARD_TSN: { type: 192 },
  ASCONF: { type: 193 },
};

const MATCHES: Readonly<Record<string, ChunkMatch>> = {
  ANY: ChunkMatch.ANY,
  ALL: ChunkMatch.ALL,
  ONLY: ChunkMatch.ONLY,
};

/** XT_NUM_SCTP_FLAGS: types whose flags one match can ask for. */
export const FLAG_TESTS_MAX = 4;

/** `all`, `any` or `only`, and a list of `TYPE[:FLAGS]`: a capital letter is a flag that is set, a small one is not. */
function chunkTest({ values: [match, list], invert }: Given): ChunkTest {
  if (!match || !list) throw new Error('--chunk-types has two values');
  const how = own(MATCHES, match.text.toUpperCase()) ?? invalid(match, "neither 'all', 'any' nor 'only'");
  const test: ChunkTest = { match: how, types: [], flags: [], invert };
  if (list.text.toUpperCase() === 'NONE') return test;
  if (list.text.toUpperCase() === 'ALL') {
    test.types = Array.from({ length: 256 }, (_, type) => type);
    return test;
  }
  for (const text of list.text.split(',')) {
    const value = { text, at: list.at };
    const [name = '', letters = '', ...rest] = text.split(':');
    const chunk = own(CHUNKS, name.toUpperCase());
    if (!chunk || rest.length > 0) return invalid(value, 'unknown SCTP chunk');
    if (!test.types.includes(chunk.type)) test.types.push(chunk.type);
    for (const letter of letters) {
      const place = letter === '-' ? -1 : (chunk.flags ?? '').indexOf(letter.toUpperCase());
      if (place < 0) invalid(value, `flag '${letter}' of an SCTP chunk that has none of that name`);
      let flags = test.flags.find(({ type }) => type === chunk.type);
      if (!flags) {
        if (test.flags.length === FLAG_TESTS_MAX) invalid(list, `flags of more than ${FLAG_TESTS_MAX} SCTP chunks`);
        flags = { type: chunk.type, value: 0, mask: 0 };
        test.flags.push(flags);
      }
      const bit = 0x80 >> place;
      flags.mask |= bit;
      if (letter !== letter.toLowerCase()) flags.value |= bit;
    }
  }
  // The kernel knows a set of types: equal sets are equal tests.
  test.types.sort((one, other) => one - other);
  test.flags.sort((one, other) => one.type - other.type);
  return test;
}

export const SCTP: MatchExtension = {
  options: [
    { names: ['source-port', 'sport'], values: 1, invert: true },
    { names: ['destination-port', 'dport'], values: 1, invert: true },
    { names: ['chunk-types'], values: 2, invert: true },
  ],
  build(use) {
    const [source, destination, chunks] = [use.get('source-port'), use.get('destination-port'), use.get('chunk-types')];
    const ports = (given: Given) => inverted(parsePorts(firstValue(given), true), given.invert);
    return {
      kind: 'sctp',
      ...(source && { sport: ports(source) }),
      ...(destination && { dport: ports(destination) }),
      ...(chunks && { chunks: chunkTest(chunks) }),
    };
  },
};
