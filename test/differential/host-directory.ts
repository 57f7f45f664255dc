// What does a host, given as for `ctreplay --host`, mean to the router of the comparison? Its iptables rules, sysctls and
// addresses are taken over; its routes are not, because the router has a route to every address of the capture.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { addressBytes } from '../../src/topology/addresses.ts';
import { type HostFileKind, isEmptyOutput, kindByContent, kindByName } from '../../src/topology/host-files.ts';
import { parseInterfaces } from '../../src/topology/interfaces.ts';
import { JsonFile } from '../../src/topology/json.ts';
import { SYSCTLS } from '../../src/topology/sysctl.ts';
import { addressText } from './frames.ts';
import type { LocalAddress } from './host.ts';
import type { Question } from './kernel.ts';

export interface HostDirectory extends Pick<Question, 'rules4' | 'rules6' | 'sysctls'> {
  sets: string[];
  locals: LocalAddress[];
  /** The host's two interfaces; undefined where its files name none. */
  interfaces: readonly [string, string] | undefined;
  /** What of the host the kernel is not told. */
  notes: string[];
}

/** Sysctls that a network namespace shows and cannot set. */
const OF_THE_MACHINE = /nf_conntrack_(max|buckets|expect_max)$/;

/** Reads a host's directory, or one file. Throws Error about what the comparison cannot ask the kernel. */
export function readHostDirectory(path: string): HostDirectory {
  const host: HostDirectory = {
    rules4: [],
    rules6: [],
    sets: [],
    sysctls: {},
    locals: [],
    interfaces: undefined,
    notes: [],
  };
  const files = statSync(path).isDirectory()
    ? readdirSync(path)
        .sort()
        .map((name) => join(path, name))
    : [path];
  for (const file of files) {
    if (!statSync(file).isFile()) continue;
    const text = readFileSync(file, 'utf8');
    const kind = kindByName(file.split('/').at(-1)!) ?? (file === path ? kindByContent(text) : undefined);
    if (kind) take(host, kind, file, text);
    else host.notes.push(`${file}: not a host file`);
  }
  return host;
}

function take(host: HostDirectory, kind: HostFileKind, file: string, text: string): void {
  switch (kind) {
    case 'rules4':
      host.rules4.push(text);
      return;
    case 'rules6':
      host.rules6.push(text);
      return;
    case 'sysctl':
      takeSysctls(host, text);
      return;
    case 'addr':
      takeAddresses(host, new JsonFile(file, text));
      return;
    case 'ipset':
      host.sets.push(text);
      return;
    case 'nft':
      if (isEmptyOutput(kind, text)) return;
      throw new Error(`${file}: the kernel is not asked about ${kind} yet`);
    case 'conntrack':
      throw new Error(`${file}: the kernel cannot be given a table to start from`);
    case 'link':
    case 'maddr':
    case 'route':
    case 'rule':
      host.notes.push(`${file}: not used, the router of the comparison has its own`);
  }
}

function takeSysctls(host: HostDirectory, text: string): void {
  const known = new Set(SYSCTLS.map(({ name }) => name));
  for (const line of text.split('\n')) {
    const [, key = '', value = ''] = /^-?\s*([\w./*-]+?)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    const name = key.replaceAll('/', '.');
    if (!known.has(name)) continue;
    if (OF_THE_MACHINE.test(name)) host.notes.push(`${name} is the machine's: not set`);
    else host.sysctls[name] = value;
  }
}

function takeAddresses(host: HostDirectory, json: JsonFile): void {
  const links = parseInterfaces(json).filter(({ loopback, up, addresses }) => !loopback && up && addresses.length > 0);
  if (links.length > 2) {
    const names = links.map(({ name }) => name).join(', ');
    throw new Error(`${json.file}: the router of the comparison has two interfaces, not ${links.length} (${names})`);
  }
  const [first, second] = links.map(({ name }) => name);
  if (first !== undefined) host.interfaces = [first, second ?? (first === 'wan' ? 'lan' : 'wan')];
  for (const [side, { addresses }] of links.entries()) {
    for (const { family, value, length } of addresses) {
      const address = addressText(Buffer.from(addressBytes({ family, value })));
      host.locals.push({ address, length, side: side === 0 ? 0 : 1 });
    }
  }
}
