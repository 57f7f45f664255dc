// Which rules ask for what no capture shows, and is that said with rule and packet?
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type HostOptions, loadHost, replay } from '../../src/index.ts';
import { ethernet, ip, tcp, udp, writePcap } from '../support/packets.ts';

const folder = mkdtempSync(join(tmpdir(), 'ctreplay-matches-'));
afterAll(() => rmSync(folder, { recursive: true }));

function put(name: string, data: Uint8Array | string): string {
  writeFileSync(join(folder, name), data);
  return join(folder, name);
}

const OWN = '192.0.2.1';
const FORWARDED = ip('10.0.0.1', '10.0.0.2', udp({ sport: 5000, dport: 53 }));
const SENT = ip(OWN, '10.0.0.2', udp({ sport: 5000, dport: 53 }));
const PONG = ip(OWN, '10.0.0.2', { protocol: 1, bytes: Uint8Array.from([0, 0, 0xff, 0xff, 0, 0, 0, 0]) });
const START = 1_700_000_000_000_000_000n;

/** Rules that decided, packet by packet; or the error, without the folder's name. */
async function decided(rules: string, packets: Uint8Array[], host: HostOptions = {}, workers = 1): Promise<unknown[]> {
  const times = packets.map((data, index) => ({ time: START + BigInt(index) * 1_000_000n, data: ethernet(data) }));
  const options = { captures: [put('capture', writePcap(times))], workers };
  const found: unknown[] = [];
  try {
    const loaded = loadHost({ rules: [put('rules', rules)], locals: [OWN], ...host });
    for await (const batch of replay({ ...options, host: loaded })) {
      for (const { rule } of batch.packets) found.push(rule);
    }
  } catch (error) {
    found.push((error as Error).message.replaceAll(`${folder}/`, ''));
  }
  return found;
}

describe('-m owner', () => {
  const RULES =
    '*filter\n-A OUTPUT -m owner --uid-owner 7 -j DROP\n-A OUTPUT -m owner ! --gid-owner 5 -j ACCEPT\nCOMMIT\n';
  const UNKNOWN =
    "capture:3: rule filter/OUTPUT/1 (rules:2) asks who sent this packet of the host's own, which no capture shows: " +
    'give --owner UID:GID';

  it('is answered for what is forwarded, and for what the kernel sends', async () => {
    expect(await decided(RULES, [FORWARDED, PONG])).toEqual(['filter/FORWARD/policy', 'filter/OUTPUT/2']);
  });

  for (const workers of [1, 2]) {
    it(`is refused at the first packet of the host's own, with ${workers} workers`, async () => {
      expect(await decided(RULES, [FORWARDED, PONG, SENT, SENT], {}, workers)).toEqual([UNKNOWN]);
    });
  }

  it('is answered where --owner tells', async () => {
    expect(await decided(RULES, [SENT], { owner: '7:5' })).toEqual(['filter/OUTPUT/1']);
    expect(await decided(RULES, [SENT], { owner: '8:4' })).toEqual(['filter/OUTPUT/2']);
    expect(await decided(RULES, [SENT], { owner: '8:5' })).toEqual(['filter/OUTPUT/policy']);
    expect(await decided(RULES, [SENT], { owner: 'root' })).toEqual(['--owner root: expected UID:GID, two numbers']);
  });

  it('asks nothing where the rule is not reached', async () => {
    const rules = '*filter\n-A OUTPUT -p tcp -m owner --uid-owner 7 -j DROP\nCOMMIT\n';
    expect(await decided(rules, [SENT])).toEqual(['filter/OUTPUT/policy']);
    const syn = ip(OWN, '10.0.0.2', tcp({ sport: 1, dport: 2, flags: 'S' }));
    expect(await decided(rules, [SENT, syn])).toEqual([expect.stringContaining('capture:2: rule filter/OUTPUT/1')]);
  });
});

describe('-m rpfilter', () => {
  const RULES = '*raw\n-A PREROUTING -m rpfilter --invert -j DROP\nCOMMIT\n';
  const REFUSED =
    'rules:2: -m rpfilter asks for the routes of the host, and none are known: give route.json, or --iface with all networks';

  it('is refused where routes are not known', async () => {
    expect(await decided(RULES, [FORWARDED], { locals: [] })).toEqual([REFUSED]);
    expect(await decided(RULES, [FORWARDED])).toEqual([REFUSED]);
  });

  it('is answered by the networks behind interfaces', async () => {
    const interfaces = ['lan=10.0.0.0/30', 'wan=0.0.0.0/0'];
    expect(await decided(RULES, [FORWARDED], { interfaces })).toEqual(['raw/PREROUTING/policy']);
  });
});
