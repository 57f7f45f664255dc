// Which targets (-j) are supported, with which options, and what do they do?
import { L3, RejectWith, TemplateFlag } from '../../../assembly/vocabulary.ts';
import type { LogOptions, TargetAction } from '../ast.ts';
import { refuse } from '../source.ts';
import { CT_EVENTS, EXPECTATION_EVENTS, LOG_LEVELS, own, REJECT4, REJECT6 } from './names.ts';
import { NAT_TARGETS } from './nat-targets.ts';
import { firstValue, type Given, type OptionSpec, type Use } from './options.ts';
import { invalid, parseBits, parseMark, parseNumber, readNumber, type Value } from './values.ts';

export interface TargetExtension {
  options: readonly OptionSpec[];
  build(use: Use): TargetAction;
}

/** Longest prefixes that struct xt_log_info and struct xt_nflog_info hold; user space cuts what is longer. */
const LOG_PREFIX_MAX = 29;
const NFLOG_PREFIX_MAX = 63;

const LOG_FLAGS = ['log-tcp-sequence', 'log-tcp-options', 'log-ip-options', 'log-uid', 'log-macdecode'];
const ZONE_OPTIONS = ['zone', 'zone-orig', 'zone-reply'];
const MARK_OPTIONS = ['set-xmark', 'set-mark', 'and-mark', 'or-mark', 'xor-mark'];

function single(...names: string[]): OptionSpec {
  return { names, values: 1 };
}

function flag(...names: string[]): OptionSpec {
  return { names, values: 0 };
}

function unsupported(values: 0 | 1, ...names: string[]): OptionSpec[] {
  return names.map((name) => ({ names: [name], values, unsupported: true }));
}

/** `mark = (mark & ~mask) ^ value` for the five ways of saying it. */
function markChange(name: string, value: Value): { value: number; mask: number } {
  if (name === 'set-xmark' || name === 'set-mark') {
    const mark = parseMark(value);
    return name === 'set-xmark' ? mark : { value: mark.value, mask: (mark.value | mark.mask) >>> 0 };
  }
  const bits = readNumber(value.text, 0xffffffff) ?? invalid(value, 'not a number of 32 bits');
  if (name === 'and-mark') return { value: 0, mask: ~bits >>> 0 };
  return { value: bits, mask: name === 'or-mark' ? bits : 0 };
}

function buildLog(use: Use): TargetAction {
  // LOG_DEFAULT_LEVEL; iptables-save leaves it out.
  const log: LogOptions = { kind: 'LOG', level: 4 };
  const level = use.value('log-level');
  if (level) {
    log.level =
      readNumber(level.text, 7) ?? own(LOG_LEVELS, level.text.toLowerCase()) ?? invalid(level, 'unknown log level');
  }
  const prefix = use.value('log-prefix');
  if (prefix) log.prefix = prefix.text.slice(0, LOG_PREFIX_MAX);
  const flags = LOG_FLAGS.filter((name) => use.has(name));
  if (flags.length > 0) log.flags = flags.map((name) => name.slice('log-'.length));
  return { kind: 'log', log };
}

function buildNflog(use: Use): TargetAction {
  const log: LogOptions = { kind: 'NFLOG', group: 0 };
  const number = (name: string, maximum: number): number | undefined => {
    const value = use.value(name);
    return value && parseNumber(value, maximum, `--${name}`);
  };
  log.group = number('nflog-group', 65535) ?? 0;
  const size = number('nflog-size', 0xffffffff);
  if (size !== undefined) log.size = size;
  const threshold = number('nflog-threshold', 65535);
  if (threshold !== undefined) log.threshold = threshold;
  const prefix = use.value('nflog-prefix');
  if (prefix) {
    if (prefix.text === '') invalid(prefix, 'the prefix is empty');
    log.prefix = prefix.text.slice(0, NFLOG_PREFIX_MAX);
  }
  return { kind: 'log', log };
}

function buildReject(use: Use): TargetAction {
  const value = use.value('reject-with');
  const kinds = use.family === L3.IPV4 ? REJECT4 : REJECT6;
  if (!value) {
    const answer = use.family === L3.IPV4 ? RejectWith.ICMP_PORT_UNREACHABLE : RejectWith.ICMP6_PORT_UNREACHABLE;
    return { kind: 'reject', with: answer };
  }
  const wanted = value.text.toLowerCase();
  const found = kinds.find(([name, alias]) => name.startsWith(wanted) || alias.startsWith(wanted));
  return found && wanted !== ''
    ? { kind: 'reject', with: found[2] }
    : invalid(value, `unknown kind of reject for ${use.family === L3.IPV4 ? 'IPv4' : 'IPv6'}`);
}

function buildConnmark(use: Use): TargetAction {
  const given = use.one(...MARK_OPTIONS, 'save-mark', 'restore-mark');
  if (given.name !== 'save-mark' && given.name !== 'restore-mark') {
    const { value, mask } = markChange(given.name, firstValue(given));
    return { kind: 'connmark', mode: 'set', value, ctmask: mask, nfmask: 0xffffffff };
  }
  const mode = given.name === 'save-mark' ? 'save' : 'restore';
  const both = use.get('mask');
  const apart = use.get('ctmask') ?? use.get('nfmask');
  if (both && apart) refuse('RULESET_INVALID', `--mask and --${apart.name} exclude each other`, apart.at);
  const mask = (name: string): number => {
    const value = use.value(name);
    return value ? parseNumber(value, 0xffffffff, `--${name}`) : 0xffffffff;
  };
  return {
    kind: 'connmark',
    mode,
    value: 0,
    ctmask: mask(both ? 'mask' : 'ctmask'),
    nfmask: mask(both ? 'mask' : 'nfmask'),
  };
}

function buildNfqueue(use: Use): TargetAction {
  const given = use.atMostOne('queue-num', 'queue-balance');
  if (given?.name === 'queue-num') parseNumber(firstValue(given), 65535, 'the queue');
  if (given?.name === 'queue-balance') {
    const [first = '', last = '', ...rest] = firstValue(given).text.split(':');
    const low = readNumber(first, 65535);
    const high = readNumber(last, 65535);
    if (low === undefined || high === undefined || low >= high || rest.length > 0) {
      invalid(firstValue(given), 'not a range of queues (first:last)');
    }
  }
  return { kind: 'verdict', verdict: 'QUEUE' };
}

/** Zone and direction (struct xt_ct_target_info_v1). */
function zoneOf(given: Given | undefined): { zone: number; flags: number } {
  if (!given) return { zone: 0, flags: TemplateFlag.ZONE_ORIGINAL | TemplateFlag.ZONE_REPLY };
  const value = firstValue(given);
  const mark = value.text === 'mark';
  const directions: Record<string, number> = {
    'zone-orig': TemplateFlag.ZONE_ORIGINAL,
    'zone-reply': TemplateFlag.ZONE_REPLY,
  };
  const direction = directions[given.name] ?? TemplateFlag.ZONE_ORIGINAL | TemplateFlag.ZONE_REPLY;
  return {
    zone: mark ? 0 : parseNumber(value, 65535, 'the zone'),
    flags: direction | (mark ? TemplateFlag.ZONE_MARK : 0),
  };
}

function buildCt(use: Use): TargetAction {
  const zone = use.atMostOne(...ZONE_OPTIONS);
  if (use.has('notrack')) return { kind: 'notrack' };
  const entries = use.value('ctevents');
  const expectations = use.value('expevents');
  // With either of the two the other kind is masked altogether (nf_ct_ecache_ext_add()).
  const events = (entries || expectations) && {
    entries: entries ? parseBits(entries, (name) => own(CT_EVENTS, name.toLowerCase()), 'event') : 0,
    expectations: expectations
      ? parseBits(expectations, (name) => own(EXPECTATION_EVENTS, name.toLowerCase()), 'event')
      : 0,
  };
  // Masks that name nothing are no masks.
  const masked = events && (events.entries | events.expectations) !== 0;
  const helper = use.value('helper');
  return {
    kind: 'template',
    template: { ...zoneOf(zone), ...(masked && { events }), ...(helper && { helper: helper.text }) },
    ...(helper && { helperAt: helper.at }),
  };
}

const TARGETS: Readonly<Record<string, TargetExtension>> = {
  ACCEPT: { options: [], build: () => ({ kind: 'verdict', verdict: 'ACCEPT' }) },
  DROP: { options: [], build: () => ({ kind: 'verdict', verdict: 'DROP' }) },
  RETURN: { options: [], build: () => ({ kind: 'verdict', verdict: 'RETURN' }) },
  QUEUE: { options: [], build: () => ({ kind: 'verdict', verdict: 'QUEUE' }) },
  NFQUEUE: {
    options: [single('queue-num'), single('queue-balance'), flag('queue-bypass'), flag('queue-cpu-fanout')],
    build: buildNfqueue,
  },
  REJECT: { options: [single('reject-with')], build: buildReject },
  LOG: {
    options: [single('log-level'), single('log-prefix'), ...LOG_FLAGS.map((name) => flag(name))],
    build: buildLog,
  },
  NFLOG: {
    options: ['nflog-group', 'nflog-prefix', 'nflog-range', 'nflog-size', 'nflog-threshold'].map((name) =>
      single(name),
    ),
    build: buildNflog,
  },
  MARK: {
    options: MARK_OPTIONS.map((name) => single(name)),
    build(use) {
      const given = use.one(...MARK_OPTIONS);
      return { kind: 'mark', ...markChange(given.name, firstValue(given)) };
    },
  },
  CONNMARK: {
    options: [
      ...MARK_OPTIONS.map((name) => single(name)),
      flag('save-mark'),
      flag('restore-mark'),
      single('mask'),
      single('ctmask'),
      single('nfmask'),
      ...unsupported(1, 'left-shift-mark', 'right-shift-mark'),
    ],
    build: buildConnmark,
  },
  NOTRACK: { options: [], build: () => ({ kind: 'notrack' }) },
  CT: {
    options: [
      flag('notrack'),
      ...['ctevents', 'expevents', 'helper', ...ZONE_OPTIONS].map((name) => single(name)),
      ...unsupported(1, 'timeout'),
    ],
    build: buildCt,
  },
  TCPMSS: {
    options: [single('set-mss'), flag('clamp-mss-to-pmtu')],
    build(use) {
      const given = use.one('set-mss', 'clamp-mss-to-pmtu');
      if (given.name !== 'set-mss') return { kind: 'mss', mss: 'clamp' };
      return { kind: 'mss', mss: parseNumber(firstValue(given), 65535 - 40, 'the MSS') };
    },
  },
  ...NAT_TARGETS,
  CHECKSUM: {
    options: [flag('checksum-fill')],
    build(use) {
      use.one('checksum-fill');
      return { kind: 'checksum' };
    },
  },
};

/** Targets that exist and that this program does not have: named in the error whatever follows them. */
const UNSUPPORTED = new Set(
  (
    'AUDIT CLASSIFY CLUSTERIP CONNSECMARK DNPT DSCP ECN HL HMARK IDLETIMER LED RATEEST ' +
    'SECMARK SET SNPT SYNPROXY TCPOPTSTRIP TEE TOS TPROXY TRACE TTL ULOG'
  ).split(' '),
);

export function findTarget(name: string): TargetExtension | 'unsupported' | undefined {
  return own(TARGETS, name) ?? (UNSUPPORTED.has(name) ? 'unsupported' : undefined);
}
