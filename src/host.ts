// What is the host that a capture is replayed through: its rules, sysctls, place in the network, and connections?
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Sysctl } from '../assembly/vocabulary.ts';
import { HostError, UsageError } from './errors.ts';
import { readFault } from './read-fault.ts';
import type { IpSets } from './ruleset/ipset/ipset.ts';
import { parseIpSets } from './ruleset/ipset/parse.ts';
import type { LabelNames, RulesetSource } from './ruleset/source.ts';
import { type Family, IPV4, IPV6, parseAddressWithLength, parsePrefix } from './topology/addresses.ts';
import { type ConntrackEntry, parseConntrackTable } from './topology/conntrack-table.ts';
import {
  type HostFileKind,
  iptablesNftTables,
  isEmptyOutput,
  kindByContent,
  kindByName,
  REPEATABLE,
  tablesFamily,
} from './topology/host-files.ts';
import { type Interface, type JoinedGroup, parseGroups, parseInterfaces } from './topology/interfaces.ts';
import { JsonFile } from './topology/json.ts';
import { parseLabelNames } from './topology/labels.ts';
import { refuseHost } from './topology/place.ts';
import { checkRules, type ParsedRoutes, parseRoutes } from './topology/routes.ts';
import { defaultSysctls, Sysctls } from './topology/sysctl.ts';
import { buildTopology, type Topology, type TopologySources } from './topology/topology.ts';

/** Where a host is described; each is optional. */
export interface HostOptions {
  /** Directory of files as production prints them, or one such file told apart by content (`--host`). */
  host?: string | undefined;
  /** Further ruleset files (`--rules`). */
  rules?: readonly string[] | undefined;
  /** `NAME=VALUE`, or a file of such lines (`--sysctl`). They override the host's. */
  sysctls?: readonly string[] | undefined;
  /** `ADDRESS` or `ADDRESS/LENGTH` of the host itself (`--local`). */
  locals?: readonly string[] | undefined;
  /** `NAME=CIDR[,CIDR]`: networks behind an interface (`--iface`). */
  interfaces?: readonly string[] | undefined;
  /** `UID:GID` of who sends the host's own packets (`--owner`). */
  owner?: string | undefined;
}

/** A host as the engine needs it. */
export class Host {
  /** In the order in which they were read; iptables texts with their family. */
  readonly rulesets: RulesetSource[] = [];
  /** u32[Sysctl.COUNT], as World.sysctls. */
  sysctls: Uint32Array = defaultSysctls();
  /** Undefined if nothing is known of addresses and routes: every packet is then forwarded. */
  topology: Topology | undefined;
  /** Interfaces with their numbers, link-layer addresses and MTUs, as far as they were printed. */
  links: readonly Pick<Interface, 'name' | 'index' | 'mac' | 'mtu'>[] = [];
  /** The table to start from. */
  conntrack: ConntrackEntry[] = [];
  /** Who sends the host's own packets; undefined if that is not known. */
  owner: { uid: number; gid: number } | undefined;
  /** Names of connection labels. */
  labels: LabelNames = new Map();
  /** What was assumed, or left out, that a user should know. */
  readonly notes: string[] = [];
  /** Files of the host directory that are none of a host's, by name. */
  readonly ignored: string[] = [];
}

/**
 * Reads a host.
 * @throws HostError naming file and place: `host-missing`, `host-syntax`, `host-value`, `host-unsupported`,
 * `host-ambiguous`; UsageError for options that make no sense
 */
export function loadHost(options: HostOptions = {}): Host {
  return new HostLoader().load(options);
}

class HostLoader {
  private readonly host = new Host();
  private readonly nft: RulesetSource[] = [];
  private readonly sysctls = new Sysctls();
  private labels: LabelNames | undefined;
  private sets: IpSets | undefined;
  private interfaces: Interface[] | undefined;
  private links: Interface[] | undefined;
  private groups: JoinedGroup[] | undefined;
  private readonly routes: ParsedRoutes['routes'] = [];
  private readonly preferredSources: TopologySources['own'] = [];
  private readonly routedFamilies = new Set<Family>();
  private readonly readers: Record<HostFileKind, (file: string, text: string) => void> = {
    rules4: (file, text) => this.host.rulesets.push({ file, text, family: IPV4 }),
    rules6: (file, text) => this.host.rulesets.push({ file, text, family: IPV6 }),
    nft: (file, text) => this.readNft(file, text),
    ipset: (file, text) => {
      this.sets = parseIpSets(file, text, this.sets);
    },
    sysctl: (file, text) => this.sysctls.read(file, text),
    addr: (file, text) => {
      this.interfaces = parseInterfaces(new JsonFile(file, text));
    },
    link: (file, text) => {
      this.links = parseInterfaces(new JsonFile(file, text));
    },
    maddr: (file, text) => {
      this.groups = parseGroups(new JsonFile(file, text));
    },
    route: (file, text) => this.readRoutes(file, text),
    rule: (file, text) => checkRules(new JsonFile(file, text)),
    conntrack: (file, text) => {
      this.host.conntrack = parseConntrackTable(file, text);
    },
    connlabel: (file, text) => {
      this.labels = parseLabelNames(file, text);
    },
  };

  load(options: HostOptions): Host {
    if (options.host !== undefined) this.readHost(options.host);
    for (const file of options.rules ?? []) this.readRules(file);
    for (const source of this.nft) this.addNft(source);
    if (this.labels) this.host.labels = this.labels;
    for (const source of this.host.rulesets) {
      if (this.labels) source.labels = this.labels;
      if (this.sets) source.sets = this.sets;
    }
    for (const setting of options.sysctls ?? []) {
      if (setting.includes('=')) this.sysctls.set(setting);
      else this.sysctls.read(setting, readText(setting));
    }
    this.host.sysctls = this.sysctls.values;
    this.host.topology = this.topology(options);
    if (options.owner !== undefined) this.host.owner = parseOwner(options.owner);
    this.host.links = this.links ?? this.interfaces ?? [];
    this.noteSysctls();
    return this.host;
  }

  private readHost(path: string): void {
    if (!isDirectory(path)) {
      const text = readText(path);
      const kind = kindByContent(text) ?? kindByName(basename(path));
      if (kind === undefined) refuseHost('host-syntax', 'neither a directory nor a file of a known kind', path);
      this.readers[kind](path, text);
      return;
    }
    const seen = new Map<HostFileKind, string>();
    for (const name of readdirSync(path).sort()) {
      const file = join(path, name);
      const kind = isDirectory(file) ? undefined : kindByName(name);
      if (kind === undefined) {
        this.host.ignored.push(name);
        continue;
      }
      const before = seen.get(kind);
      if (before !== undefined && !REPEATABLE.has(kind)) {
        refuseHost('host-ambiguous', `${before} and ${name} are for the same thing: keep one of them`, path);
      }
      seen.set(kind, name);
      this.readers[kind](file, readText(file));
    }
    if (seen.size === 0) refuseHost('host-missing', 'no file of a host is in this directory', path);
  }

  private readNft(file: string, text: string): void {
    if (!isEmptyOutput('nft', text)) this.nft.push({ file, text });
  }

  /** What nft prints of the tables of iptables-nft is left to iptables-save, which says all of it, where that is given. */
  private addNft(source: RulesetSource): void {
    const saved = savedTables(this.host.rulesets);
    if (saved.size > 0) source.saved = saved;
    const left = iptablesNftTables(source.text).filter((name) => saved.has(name));
    if (left.length > 0) {
      this.host.notes.push(`${source.file}: ${left.join(', ')}: of iptables-nft, and taken from iptables-save`);
    }
    this.host.rulesets.push(source);
  }

  private readRoutes(file: string, text: string): void {
    const six = basename(file).includes('6');
    const parsed = parseRoutes(new JsonFile(file, text), six ? IPV6 : undefined);
    const main = parsed.routes.filter((route) => route.table !== 'local');
    for (const { prefix } of main) this.routedFamilies.add(prefix.family);
    if (main.length === 0) this.routedFamilies.add(six ? IPV6 : IPV4);
    // Not push(...routes): a full routing table is more than a call can take.
    for (const route of parsed.routes) this.routes.push(route);
    for (const { family, first, length } of parsed.ownAddresses)
      this.preferredSources.push({ family, value: first, length });
    this.host.notes.push(...parsed.notes);
  }

  private readRules(file: string): void {
    const text = readText(file);
    const kind = kindByContent(text);
    if (kind === 'nft') {
      this.readNft(file, text);
      return;
    }
    if (kind === 'ipset') {
      this.readers.ipset(file, text);
      return;
    }
    if (kind !== undefined && kind !== 'rules4' && kind !== 'rules6') {
      refuseHost(
        'host-syntax',
        'not a ruleset: expected the output of iptables-save, ip6tables-save, nft list ruleset or ipset save',
        file,
      );
    }
    this.host.rulesets.push({ file, text, family: familyOfRules(file, text) });
  }

  private topology(options: HostOptions): Topology | undefined {
    const behind = (options.interfaces ?? []).flatMap(parseBehind);
    const own = (options.locals ?? []).map(parseLocal);
    const interfaces = this.interfaces ?? this.links;
    const known = [this.interfaces, this.routes[0], behind[0], own[0]].some((source) => source !== undefined);
    if (!known) return undefined;
    const printed = (family: Family): boolean =>
      this.interfaces !== undefined ||
      this.routes.some((route) => route.table === 'local' && route.prefix.family === family);
    const preferred = this.preferredSources.filter(({ family }) => !printed(family));
    if (!printed(IPV4) && own.length === 0) {
      this.host.notes.push(
        preferred.length > 0
          ? 'own addresses are known from the preferred sources of routes only: give addr.json or --local for the others'
          : 'no own addresses are known: give addr.json or --local',
      );
    }
    return buildTopology(
      {
        interfaces,
        groups: this.groups,
        routes: this.routes,
        routedFamilies: this.routedFamilies,
        own: [...own, ...preferred],
        behind,
        forwarding6: this.sysctls.values[Sysctl.IPV6_FORWARDING] !== 0,
      },
      this.host.notes,
    );
  }

  private noteSysctls(): void {
    const { notes, topology } = this.host;
    for (const setting of this.sysctls.notApplied) notes.push(`${setting} is not applied`);
    if (topology !== undefined) return;
    for (const [index, name] of [
      [Sysctl.IP_FORWARD, 'net.ipv4.ip_forward'],
      [Sysctl.IPV6_FORWARDING, 'net.ipv6.conf.all.forwarding'],
    ] as const) {
      if (this.sysctls.states(index) && this.sysctls.values[index] === 0) {
        notes.push(`${name} = 0 has no effect while the host's own addresses are unknown: give addr.json or --local`);
      }
    }
  }
}

/** Tables (`ip filter`) that iptables-save printed, and whether its first line says that they are nft's. */
function savedTables(rulesets: readonly RulesetSource[]): Map<string, boolean> {
  const tables = new Map<string, boolean>();
  for (const { text, family } of rulesets) {
    if (family === undefined) continue;
    const nft = /^# Generated by .*(\(nf_tables\)|-nft-save)/m.test(text);
    for (const [, name] of text.matchAll(/^\*(\w+)/gm)) tables.set(`${family === IPV4 ? 'ip' : 'ip6'} ${name}`, nft);
  }
  return tables;
}

function familyOfRules(file: string, text: string): Family {
  const kind = /^# Generated by /m.test(text) ? undefined : kindByName(basename(file));
  if (kind === 'rules4') return IPV4;
  return kind === 'rules6' ? IPV6 : tablesFamily(text);
}

function parseLocal(text: string): TopologySources['own'][number] {
  const address = parseAddressWithLength(text);
  if (address === undefined) throw new UsageError('bad-local', `--local ${text}: expected ADDRESS or ADDRESS/LENGTH`);
  return address;
}

function parseOwner(text: string): { uid: number; gid: number } {
  const [, uid, gid] = (/^(\d{1,10}):(\d{1,10})$/.exec(text) ?? []).map(Number);
  // 4294967295 is no user.
  if (uid === undefined || gid === undefined || Math.max(uid, gid) >= 0xffffffff)
    throw new UsageError('bad-owner', `--owner ${text}: expected UID:GID, two numbers`);
  return { uid, gid };
}

function parseBehind(text: string): TopologySources['behind'] {
  const [, device, list] = /^([^=\s/]{1,15})=(.+)$/.exec(text) ?? [];
  if (device === undefined || list === undefined)
    throw new UsageError('bad-iface', `--iface ${text}: expected NAME=CIDR[,CIDR]`);
  return list.split(',').map((part) => {
    const prefix = parsePrefix(part.trim());
    if (prefix === undefined)
      throw new UsageError('bad-iface', `--iface ${text}: ${JSON.stringify(part)} is no network`);
    return { device, prefix };
  });
}

function isDirectory(path: string): boolean {
  return reading(path, () => statSync(path).isDirectory());
}

function readText(path: string): string {
  return reading(path, () => readFileSync(path, 'utf8'));
}

function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new HostError('host-missing', `${path}: ${readFault(cause)}`, { cause });
  }
}
