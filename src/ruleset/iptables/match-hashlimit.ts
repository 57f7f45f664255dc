// What does `-m hashlimit` limit? Packets or bytes per time, for each address or port of its own (libxt_hashlimit).
import { HashlimitFlag } from '../../../assembly/vocabulary.ts';
import type { HashlimitTest } from '../ast.ts';
import { refuse } from '../source.ts';
import { procName } from './match-recent.ts';
import type { MatchExtension } from './matches.ts';
import { own } from './names.ts';
import { firstValue, type Given, type Use } from './options.ts';
import { invalid, parseNumber, type Value } from './values.ts';

const U32_MAX = 0xffff_ffff;
/** NAME_MAX, less the end. */
const NAME_MAX = 254;
/** XT_HASHLIMIT_SCALE_v2 */
const SCALE = 1_000_000n;
const BURST = 5n;
const BURST_MAX = 1_000_000n;
const GC_INTERVAL_MS = 1000;
/** How long buckets of bytes stay, without a burst and with one. */
const BYTES_EXPIRE_MS = 15_000;
const BYTES_BURST_EXPIRE_MS = 60_000;
/** Bytes are counted in chunks of 16 (XT_HASHLIMIT_BYTE_SHIFT). */
const BYTE_SHIFT = 4n;

const MODES: Readonly<Record<string, HashlimitFlag>> = {
  dstip: HashlimitFlag.DESTINATION,
  dstport: HashlimitFlag.DPORT,
  srcip: HashlimitFlag.SOURCE,
  srcport: HashlimitFlag.SPORT,
};
const FACTORS: Readonly<Record<string, bigint>> = { '': 1n, k: 1024n, m: 1048576n };
const UNITS: readonly (readonly [name: string, seconds: number])[] = [
  ['second', 1],
  ['minute', 60],
  ['hour', 3600],
  ['day', 86400],
];

interface Rate {
  bytes: boolean;
  /** What user space hands to the kernel. */
  average: bigint;
  /** Seconds of the unit. */
  unit: number;
}

/** `number[/second|minute|hour|day]`, the unit cut short as one likes, or `number[k|m]b/s`. */
function readRate(value: Value): Rate {
  const bytes = /^(\d{1,18})([km]?)b\/s$/.exec(value.text);
  if (bytes) {
    const amount = BigInt(bytes[1]!) * FACTORS[bytes[2]!]!;
    const chunks = BigInt.asUintN(32, amount >> BYTE_SHIFT) + 1n;
    const average = BigInt(U32_MAX) / chunks;
    if (amount > 0n) return average > 0n ? { bytes: true, average, unit: 1 } : invalid(value, 'the rate is too high');
  }
  const packets = /^(\d{1,18})(?:\/([a-z]+))?$/i.exec(value.text);
  const unit = packets && UNITS.find(([name]) => name.startsWith((packets[2] ?? 's').toLowerCase()));
  const amount = packets ? BigInt(packets[1]!) : 0n;
  if (!unit || amount === 0n) {
    return invalid(value, 'not a rate (number/second, /minute, /hour or /day, or number[k|m]b/s)');
  }
  const average = (SCALE * BigInt(unit[1])) / amount;
  return average > 0n ? { bytes: false, average, unit: unit[1] } : invalid(value, 'the rate is too fast');
}

function readBurst(value: Value): bigint {
  const parts = /^(\d{1,12})([km]?)b?$/.exec(value.text);
  const amount = parts ? BigInt(parts[1]!) : 0n;
  if (!parts || amount === 0n) return invalid(value, 'not a burst (number[k|m][b])');
  if (/\d$/.test(value.text) && amount > BURST_MAX) return invalid(value, `the burst is greater than ${BURST_MAX}`);
  return amount * FACTORS[parts[2]!]!;
}

/** Bytes per second that a rate stands for (cost_to_bytes()). */
function bytesOf(average: bigint): bigint {
  return (BigInt(U32_MAX) / average - 1n) << BYTE_SHIFT;
}

/** The burst as the kernel gets it: packets, or how often a bucket of bytes may be filled up at once. */
function burstOf(given: Given | undefined, { bytes, average }: Rate): bigint {
  if (!given) return bytes ? 0n : BURST;
  const value = firstValue(given);
  const burst = readBurst(value);
  if (!bytes) return burst <= BURST_MAX ? burst : invalid(value, `the burst is greater than ${BURST_MAX}`);
  const rate = bytesOf(average);
  if (rate === 0n) return invalid(value, 'a burst of so few bytes per second');
  if (burst < rate) return invalid(value, `the burst is less than the ${rate} bytes of a second`);
  const times = BigInt.asUintN(32, burst) / rate;
  return times + (burst % rate === 0n ? 0n : 1n);
}

function readMode(value: Value): number {
  let flags = 0;
  for (const name of value.text.split(/[,|]/)) {
    if (name !== '') flags |= own(MODES, name) ?? invalid({ text: name, at: value.at }, 'not a mode of hashlimit');
  }
  return flags;
}

function build(use: Use): { kind: 'hashlimit'; test: HashlimitTest } {
  const limit = use.one('hashlimit-upto', 'hashlimit-above');
  const rate = readRate(firstValue(limit));
  const number = (name: string, otherwise: number, most = U32_MAX): number => {
    const value = use.value(`hashlimit-${name}`);
    return value ? parseNumber(value, most, `--hashlimit-${name}`) : otherwise;
  };
  const burst = use.get('hashlimit-burst');
  const bits = use.family === 2 ? 32 : 128;
  const bytesExpire = burst ? BYTES_BURST_EXPIRE_MS : BYTES_EXPIRE_MS;
  const mode = use.value('hashlimit-mode');
  const rated = use.has('hashlimit-rate-match');
  const test: HashlimitTest = {
    name: procName(firstValue(use.one('hashlimit-name')), NAME_MAX),
    flags: (mode ? readMode(mode) : 0) | (rate.bytes ? HashlimitFlag.BYTES : 0) | (rated ? HashlimitFlag.RATE : 0),
    average: rated && !rate.bytes ? rate.average / BigInt(rate.unit) : rate.average,
    burst: burstOf(burst, rate),
    sourceBits: number('srcmask', bits, bits),
    destinationBits: number('dstmask', bits, bits),
    buckets: number('htable-size', 0),
    most: number('htable-max', 0),
    gcInterval_ms: number('htable-gcinterval', GC_INTERVAL_MS),
    expire_ms: number('htable-expire', rate.bytes ? bytesExpire : rate.unit * 1000),
    interval_s: number('rate-interval', rate.bytes ? 1 : rate.unit, 0x7fff_ffff),
    invert: (limit.name === 'hashlimit-above') !== limit.invert,
  };
  for (const name of ['htable-gcinterval', 'htable-expire', 'rate-interval']) {
    if (use.has(`hashlimit-${name}`) && number(name, 0) === 0) {
      refuse('RULESET_INVALID', `--hashlimit-${name} is 0`, use.get(`hashlimit-${name}`)!.at);
    }
  }
  return { kind: 'hashlimit', test };
}

export const HASHLIMIT: MatchExtension = {
  options: [
    { names: ['hashlimit-upto', 'hashlimit'], values: 1, invert: true },
    { names: ['hashlimit-above'], values: 1, invert: true },
    ...['name', 'mode', 'burst', 'srcmask', 'dstmask', 'htable-size', 'htable-max', 'htable-gcinterval'].map(
      (name) => ({ names: [`hashlimit-${name}`], values: 1 as const }),
    ),
    { names: ['hashlimit-htable-expire'], values: 1 },
    { names: ['hashlimit-rate-match'], values: 0 },
    { names: ['hashlimit-rate-interval'], values: 1 },
  ],
  build,
};
