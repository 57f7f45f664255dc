// Which packets, rules and sysctls belong to a seed? Generated traffic for the comparison with the kernel: the property
// tests' generator (test/model/traffic.ts) with steps of time that a kernel can live through, and damage on top.
//
// A group of seeds shares sysctls and rules, so that one namespace serves them all; each seed has a network of its own.

import { Random } from '../model/random.ts';
import { drawSettings } from '../model/settings.ts';
import type { ModelSettings } from '../model/tracker.ts';
import { ModelTracker } from '../model/tracker.ts';
import { Traffic } from '../model/traffic.ts';
import { addresses, forwardable } from './frames.ts';
import { drawNat } from './generate-nat.ts';
import { drawNft } from './generate-nft.ts';
import { drawRules } from './generate-rules.ts';
import { type LocalAddress, plainAddress } from './host.ts';
import { NFT_FORMS, type NftForm } from './nft.ts';
import { isIcmpError, wordSum } from './packet.ts';
import { ruleset } from './sequences.ts';

/** Seeds that share settings: 1 to 10, 11 to 20, ... */
export const GROUP = 10;
/** Packets of one seed that follow each other before another seed of the group has its turn. */
const TURN = 40;

export interface Settings {
  sysctls: Record<string, string>;
  rules4: string[];
  rules6: string[];
  nft?: string;
  nftForm?: NftForm;
  /** Addresses of the router's own: packets to and from it are among the generated ones. */
  locals?: LocalAddress[];
  /** The rules translate: what outside hosts answer goes to OUTSIDE. */
  translates: boolean;
}

/** A packet of a seed. */
export interface Generated {
  seed: number;
  packet: Buffer;
}

/** Number of a seed's group, from 0. */
export const groupOf = (seed: number): number => Math.floor((seed - 1) / GROUP);

/** Third byte of the addresses of a seed: 10.0.NETWORK.x, 2001:db8:0:NETWORK::x. */
export const networkOf = (seed: number): number => (seed - 1) % GROUP;

/** Sysctls and rules of a group. */
export function settingsOf(group: number): { settings: Settings; model: ModelSettings } {
  const random = new Random(0x5e77 + group);
  const model = drawSettings(random);
  const kind = random.weighted({ none: 1, tracked: 1, gateway: 2, generated: 4 });
  const rules =
    kind === 'none'
      ? { rules4: [], rules6: [] }
      : kind === 'generated'
        ? drawRules(random)
        : {
            rules4: [ruleset(`${kind === 'tracked' ? 'conntrack' : kind}.iptables-save`)],
            rules6: [ruleset(`${kind === 'tracked' ? 'conntrack' : kind}.ip6tables-save`)],
          };
  const extra = {
    'net.netfilter.nf_conntrack_checksum': random.chance(0.2) ? '0' : '1',
    'net.netfilter.nf_conntrack_acct': random.chance(0.3) ? '1' : '0',
  };
  const sysctls = { ...sysctlsOf(model), ...extra };
  const locals = localsOf(group);
  if (usesNft(group))
    return { settings: { ...nftOf(group, rules), sysctls, ...(locals.length > 0 && { locals }) }, model };
  if (locals.length > 0) {
    const around = { rules4: rules.rules4.map(aroundHost), rules6: rules.rules6.map(aroundHost) };
    return { settings: { ...around, sysctls, locals, translates: false }, model };
  }
  const nat = drawNat(new Random(0x4a7 + group));
  const all = nat
    ? { rules4: [...rules.rules4, nat.rules4], rules6: [...rules.rules6, nat.rules6], translates: true }
    : { ...rules, translates: false };
  return { settings: { ...all, sysctls }, model };
}

/** Seeds from here on all have nft rulesets; of those before every fourth group has. */
export const NFT_SEEDS = 100_001;

const usesNft = (group: number): boolean => group % 4 === 3 || group >= groupOf(NFT_SEEDS);

/** An nft ruleset, in a third of the groups beside the iptables rules that the group has otherwise. Drawn apart from the rest. */
function nftOf(
  group: number,
  rules: Pick<Settings, 'rules4' | 'rules6'>,
): Pick<Settings, 'rules4' | 'rules6' | 'nft' | 'nftForm' | 'translates'> {
  const random = new Random(0x9f7 + group);
  const beside = random.chance(0.33) ? rules : { rules4: [], rules6: [] };
  const translates = localsOf(group).length === 0 && random.chance(0.4);
  return { ...beside, translates, nftForm: random.pick(NFT_FORMS), nft: drawNft(random, translates) };
}

/** Every third group has hosts of the generator's networks for addresses of the router. Drawn apart from the rest. */
function localsOf(group: number): LocalAddress[] {
  if (group % 3 !== 1) return [];
  const random = new Random(0x105a + group);
  return Array.from({ length: GROUP }, (_, network) => network).flatMap((network): LocalAddress[] => {
    const side = random.pick([0, 1] as const);
    const host = 1 + random.below(3);
    return [
      { address: `10.0.${network}.${host}`, length: 24, side },
      { address: plainAddress(`2001:db8:0:${network.toString(16)}::${host}`), length: 64, side },
    ];
  });
}

/** The chains that packets to and from the host meet, where a ruleset names those of forwarded packets. */
const BESIDE: Record<string, string[]> = {
  'raw/PREROUTING': ['OUTPUT'],
  'mangle/PREROUTING': ['OUTPUT'],
  'mangle/FORWARD': ['INPUT', 'OUTPUT'],
  'filter/FORWARD': ['INPUT', 'OUTPUT'],
};

/** What a ruleset says of forwarded packets, it says of the host's, too; only conditions on interfaces are not repeated. */
function aroundHost(text: string): string {
  let table = '';
  return text
    .split('\n')
    .flatMap((line) => {
      table = /^\*(\w+)/.exec(line)?.[1] ?? table;
      const chain = /^-A (\S+) (?!.*-[io] )/.exec(line)?.[1];
      const beside = BESIDE[`${table}/${chain}`] ?? [];
      return [line, ...beside.map((other) => line.replace(`-A ${chain}`, `-A ${other}`))];
    })
    .join('\n');
}

function sysctlsOf({ timeouts, ...model }: ModelSettings): Record<string, string> {
  const states = ['SYN_SENT', 'SYN_RECV', 'ESTABLISHED', 'FIN_WAIT', 'CLOSE_WAIT', 'LAST_ACK', 'TIME_WAIT', 'CLOSE'];
  const values: Record<string, number> = {
    ...Object.fromEntries(
      [...states, 'MAX_RETRANS', 'UNACKNOWLEDGED'].map((state) => [
        `tcp_timeout_${state.toLowerCase()}`,
        timeouts[state as keyof typeof timeouts],
      ]),
    ),
    tcp_loose: Number(model.loose),
    tcp_be_liberal: Number(model.liberal),
    tcp_ignore_invalid_rst: Number(model.ignoreInvalidRst),
    tcp_max_retrans: model.maxRetrans,
    udp_timeout: model.udp,
    udp_timeout_stream: model.udpStream,
    icmp_timeout: model.icmp,
    icmpv6_timeout: model.icmpv6,
    generic_timeout: model.generic,
  };
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [`net.netfilter.nf_conntrack_${key}`, String(value)]),
  );
}

/** Packets of one seed, in order. */
export function packetsOf(seed: number, count: number): Generated[] {
  const { model: settings, settings: given } = settingsOf(groupOf(seed));
  // Where our side takes the host's own ICMP errors for answers and the kernel does not, no counter can be compared.
  const own = new Set(groupOf(seed) % 2 ? given.locals?.map(({ address }) => address) : []);
  const isLeftOut = (packet: Buffer): boolean => own.has(addresses(packet)[0]) && isIcmpError(packet);
  const random = new Random(seed);
  const model = new ModelTracker(settings);
  const traffic = new Traffic(random, model, { steps: { us: 1 }, network: networkOf(seed) });
  const damage = random.chance(0.7) ? 0 : random.next() * 0.1;
  const hops = random.chance(0.8) ? 0 : random.next() * 0.05;
  const packets: Generated[] = [];
  while (packets.length < count) {
    const { time, bytes } = traffic.draw();
    model.judge(bytes, time);
    let packet: Buffer = Buffer.from(bytes);
    if (random.chance(damage)) packet = damaged(packet, random);
    if (random.chance(hops)) packet = dying(packet);
    const whole = forwardable(packet);
    if (typeof whole !== 'string' && !isLeftOut(whole)) packets.push({ seed, packet: whole });
  }
  return packets;
}

/** One bit behind the IP header is wrong. */
function damaged(packet: Buffer, random: Random): Buffer {
  const wrong = Buffer.from(packet);
  const header = packet.readUInt8(0) >> 4 === 4 ? (packet.readUInt8(0) & 15) * 4 : 40;
  if (wrong.length > header) {
    const at = header + random.below(wrong.length - header);
    wrong.writeUInt8(wrong.readUInt8(at) ^ (1 << random.below(8)), at);
  }
  return wrong;
}

/** No router may forward it further: time to live, hop limit 1. */
function dying(packet: Buffer): Buffer {
  const last = Buffer.from(packet);
  if (packet.readUInt8(0) >> 4 === 6) {
    last.writeUInt8(1, 7);
    return last;
  }
  last.writeUInt8(1, 8);
  last.writeUInt16BE(0, 10);
  last.writeUInt16BE(~wordSum(last.subarray(0, (last.readUInt8(0) & 15) * 4)) & 0xffff, 10);
  return last;
}

/** Packets of seeds of one group, in turns: each seed's time passes while the others have theirs. */
export function interleaved(seeds: number[], count: number): Generated[] {
  const lists = seeds.map((seed) => packetsOf(seed, count));
  const all: Generated[] = [];
  for (let at = 0; at < count; at += TURN) for (const list of lists) all.push(...list.slice(at, at + TURN));
  return all;
}
