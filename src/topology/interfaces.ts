// Which interfaces and addresses does a host have, and which groups has it joined (`ip -j addr`, `ip -j link`, `ip -j maddr`)?
import { addressBits, type Family, IPV4, IPV6, parseAddress } from './addresses.ts';
import { type JsonFile, type JsonObject, numberOf, objectsOf, textOf, textsOf } from './json.ts';

/** An address of an interface, as the kernel's struct in_ifaddr or inet6_ifaddr has it. */
export interface InterfaceAddress {
  family: Family;
  value: bigint;
  /** The other end of a point-to-point link, else the address itself: the connected prefix is around this one. */
  peer: bigint;
  length: number;
  /** Broadcast address that was assigned by hand (`brd`). */
  broadcast: bigint | undefined;
  /** A further address within the prefix of an earlier one: it brings no prefix of its own. */
  secondary: boolean;
  /** The address was added without its connected route. */
  noPrefixRoute: boolean;
  /** RT_SCOPE_*: 0 is everywhere. */
  scope: number;
  deprecated: boolean;
  /** A temporary address of IPv6 (RFC 8981). */
  temporary: boolean;
}

export interface Interface {
  name: string;
  /** The kernel's number of it, as Linux cooked captures have it. */
  index: number | undefined;
  /** Link-layer address of six bytes, the first one most significant; undefined if it has none. */
  mac: bigint | undefined;
  /** Longest IP packet of its link, bytes; undefined if it was not printed. */
  mtu: number | undefined;
  /** False if administratively down: the kernel then has no routes for its addresses. */
  up: boolean;
  loopback: boolean;
  /** True if it asks for its neighbours' link-layer addresses, so that it joins their solicited-node groups. */
  resolves: boolean;
  addresses: InterfaceAddress[];
}

/** A group that is joined, on one interface. */
export interface JoinedGroup {
  family: Family;
  value: bigint;
  device: string;
}

/**
 * Reads `ip -j link` or `ip -j addr`; without addresses the interfaces have none.
 * @throws HostError with the place
 */
export function parseInterfaces(json: JsonFile): Interface[] {
  return json.objects().map((object) => {
    const name = textOf(object, 'ifname');
    if (name === undefined)
      json.refuse('host-value', 'expected an interface with "ifname", as `ip -j addr` prints it', object);
    const flags = textsOf(object, 'flags');
    return {
      name,
      index: numberOf(object, 'ifindex'),
      mac: textOf(object, 'link_type') === 'ether' ? macOf(textOf(object, 'address')) : undefined,
      mtu: mtuOf(json, object),
      up: !('flags' in object) || flags.includes('UP'),
      loopback: flags.includes('LOOPBACK'),
      resolves: !flags.includes('LOOPBACK') && !flags.includes('NOARP'),
      addresses: objectsOf(object, 'addr_info').flatMap((info) => parseInterfaceAddress(json, info)),
    };
  });
}

function mtuOf(json: JsonFile, object: JsonObject): number | undefined {
  if (!('mtu' in object)) return undefined;
  const mtu = numberOf(object, 'mtu');
  if (mtu === undefined || !Number.isInteger(mtu) || mtu < 0 || mtu > 0xffffffff)
    json.refuse('host-value', `"mtu" ${JSON.stringify(object.mtu)} is no length in bytes`, object);
  return mtu || undefined;
}

/** An address of one station: not all zeros, and not of a group. */
function macOf(text: string | undefined): bigint | undefined {
  if (text === undefined || !/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(text)) return undefined;
  const mac = BigInt(`0x${text.replaceAll(':', '')}`);
  return mac === 0n || (mac >> 40n) & 1n ? undefined : mac;
}

/** Addresses that the kernel does not answer for yet (IFA_F_TENTATIVE, IFA_F_DADFAILED) are left out. */
function parseInterfaceAddress(json: JsonFile, info: JsonObject): InterfaceAddress[] {
  if (Object.keys(info).length === 0) return [];
  const name = textOf(info, 'family');
  if (name !== 'inet' && name !== 'inet6') return [];
  const family = name === 'inet' ? IPV4 : IPV6;
  const value = addressOf(json, info, 'local', family) ?? json.refuse('host-value', 'an address without "local"', info);
  const length = numberOf(info, 'prefixlen') ?? addressBits(family);
  if (!Number.isInteger(length) || length < 0 || length > addressBits(family)) {
    json.refuse('host-value', `"prefixlen" ${length} is no prefix length`, info);
  }
  const optimistic = info.optimistic === true;
  if (info.dadfailed === true || (info.tentative === true && !optimistic)) return [];
  return [
    {
      family,
      value,
      length,
      peer: addressOf(json, info, 'address', family) ?? value,
      broadcast: family === IPV4 ? addressOf(json, info, 'broadcast', family) : undefined,
      secondary: info.secondary === true,
      noPrefixRoute: info.noprefixroute === true,
      scope: scopeOf(info),
      deprecated: info.deprecated === true,
      temporary: family === IPV6 && (info.temporary === true || info.secondary === true),
    },
  ];
}

/** RT_SCOPE_* by name (iproute2, rtnl_rtscope_n2a()). */
const SCOPES: Record<string, number> = {
  global: 0,
  site: 200,
  link: 253,
  host: 254,
  nowhere: 255,
};

function scopeOf(info: JsonObject): number {
  const text = textOf(info, 'scope') ?? 'global';
  return SCOPES[text] ?? (/^\d+$/.test(text) ? Number(text) & 0xff : 0);
}

function addressOf(json: JsonFile, object: JsonObject, name: string, family: Family): bigint | undefined {
  if (!(name in object)) return undefined;
  const text = textOf(object, name) ?? '';
  const address = parseAddress(text);
  if (address === undefined || address.family !== family) {
    json.refuse(
      'host-value',
      `"${name}" ${JSON.stringify(object[name])} is no ${family === IPV4 ? 'IPv4' : 'IPv6'} address`,
      object,
    );
  }
  return address.value;
}

/**
 * Reads `ip -j maddr`.
 * @throws HostError with the place
 */
export function parseGroups(json: JsonFile): JoinedGroup[] {
  return json.objects().flatMap((object) => {
    const device = textOf(object, 'ifname');
    if (device === undefined)
      json.refuse('host-value', 'expected an interface with "ifname", as `ip -j maddr` prints it', object);
    return objectsOf(object, 'maddr').flatMap((group) => {
      const name = textOf(group, 'family');
      if (name !== 'inet' && name !== 'inet6') return [];
      const family = name === 'inet' ? IPV4 : IPV6;
      const value = addressOf(json, group, 'address', family);
      return value === undefined ? [] : [{ family, value, device }];
    });
  });
}
