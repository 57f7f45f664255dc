// Which connection tracking helpers are there, under which names, and for which protocols?
// Kernel: nf_conntrack_helper_register() in net/netfilter/nf_conntrack_*.c.

import { Helper, L3, Proto } from '../../assembly/vocabulary.ts';

interface Registration {
  helper: Helper;
  /** As `helper=` and `--helper` have it. */
  name: string;
  families: readonly L3[];
  protocols: readonly Proto[];
  /** Protocols of connections that have it because they were expected, if others. */
  expected?: readonly Proto[];
  /** It may expect flows of others than the two hosts of the connection that announces them. */
  others?: true;
}

const BOTH = [L3.IPV4, L3.IPV6];

const REGISTRATIONS: readonly Registration[] = [
  { helper: Helper.FTP, name: 'ftp', families: BOTH, protocols: [Proto.TCP] },
  { helper: Helper.TFTP, name: 'tftp', families: BOTH, protocols: [Proto.UDP] },
  { helper: Helper.IRC, name: 'irc', families: [L3.IPV4], protocols: [Proto.TCP], others: true },
  { helper: Helper.SANE, name: 'sane', families: BOTH, protocols: [Proto.TCP] },
  { helper: Helper.PPTP, name: 'pptp', families: [L3.IPV4], protocols: [Proto.TCP] },
  { helper: Helper.SIP, name: 'sip', families: BOTH, protocols: [Proto.UDP, Proto.TCP] },
  { helper: Helper.NETBIOS_NS, name: 'netbios-ns', families: [L3.IPV4], protocols: [Proto.UDP], others: true },
  { helper: Helper.SNMP, name: 'snmp', families: [L3.IPV4], protocols: [Proto.UDP], others: true },
  { helper: Helper.SNMP_TRAP, name: 'snmp_trap', families: [L3.IPV4], protocols: [Proto.UDP] },
  { helper: Helper.AMANDA, name: 'amanda', families: BOTH, protocols: [Proto.UDP] },
  { helper: Helper.RAS, name: 'RAS', families: BOTH, protocols: [Proto.UDP], others: true },
  { helper: Helper.Q931, name: 'Q.931', families: BOTH, protocols: [Proto.TCP], others: true },
  { helper: Helper.H245, name: 'H.245', families: BOTH, protocols: [Proto.UDP], expected: [Proto.TCP] },
];

const NAMES = new Map(REGISTRATIONS.map(({ helper, name }) => [helper as number, name]));

/** Name of a helper, undefined for NONE. */
export function helperName(helper: number): string | undefined {
  return NAMES.get(helper);
}

/** The helper of this name for a protocol, undefined if the kernel has none. */
export function findHelper(name: string, family: number, protocol: number): Helper | undefined {
  const found = REGISTRATIONS.find(
    (each) => each.name === name && each.families.includes(family) && each.protocols.includes(protocol),
  );
  return found?.helper;
}

/** The helper of this name that an entry of the kernel's table may have. */
export function findEntryHelper(name: string, family: number, protocol: number): Helper | undefined {
  const expected = REGISTRATIONS.find((each) => each.name === name && each.expected?.includes(protocol));
  return findHelper(name, family, protocol) ?? expected?.helper;
}

/** Number of a helper by its name alone. */
export function helperNumber(name: string): Helper {
  return REGISTRATIONS.find((each) => each.name === name)?.helper ?? Helper.NONE;
}

/** May connections with this helper expect flows of others than their own two hosts? */
export function expectsOthers(name: string): boolean {
  return REGISTRATIONS.some((each) => each.name === name && each.others);
}

/** Helpers that `-m helper --helper TEXT` means, as bits: those whose name TEXT begins with; all if it is empty. */
export function helpersLike(text: string): number {
  return REGISTRATIONS.reduce(
    (bits, { helper, name }) => (text === '' || text.startsWith(name) ? bits | (1 << helper) : bits),
    0,
  );
}
