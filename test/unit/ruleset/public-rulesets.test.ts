// Which public rulesets can be replayed, and what refuses the others? Dumps of real hosts (not part of this repository) are
// read as for `--rules`, and a capture is replayed through each; skipped loudly without them.
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadHost, RulesetError, replay } from '../../../src/index.ts';

const SHARED = fileURLToPath(new URL('../../../../shared/', import.meta.url));
const CAPTURES = ['icmp-echo-dns-mix.pcapng', 'tcp-zabbix-705-conns.pcapng', 'v6-fragmented-dns.pcap'];
/** What NAT, rpfilter and owner ask of a host. */
const HOST = {
  locals: ['192.0.2.1/24', '2001:db8:ffff::1/64'],
  interfaces: ['eth0=192.0.2.0/24,2001:db8:ffff::/64,0.0.0.0/0,::/0'],
  owner: '0:0',
};

const available = existsSync(`${SHARED}rulesets`) && existsSync(`${SHARED}captures`);
if (!available) console.warn(`SKIPPED: public rulesets (no ${SHARED}rulesets and captures)`);
const files = available ? readdirSync(`${SHARED}rulesets`).filter((name) => /save|rules$|\.v4$/.test(name)) : [];

describe.skipIf(!available)('public rulesets', () => {
  it('are replayed, or refused by name', { timeout: 120_000 }, async () => {
    const refused = new Map<string, string[]>();
    const judged = new Set<string>();
    for (const file of files) {
      try {
        const host = loadHost({ ...HOST, rules: [`${SHARED}rulesets/${file}`] });
        const captures = CAPTURES.map((name) => `${SHARED}captures/${name}`);
        let packets = 0;
        for await (const batch of replay({ captures, host, workers: 1 })) packets += batch.packets.length;
        expect(packets).toBeGreaterThan(1000);
        judged.add(file);
      } catch (error) {
        if (!(error instanceof RulesetError)) throw error;
        expect(error.code, error.message).toBe('RULESET_UNSUPPORTED');
        const what = /: (.*)/.exec(error.message)?.[1] ?? '';
        refused.set(what, [...(refused.get(what) ?? []), file]);
      }
    }
    for (const [what, names] of refused) console.info(`${what}: ${names.join(', ')}`);
    expect(judged.size).toBeGreaterThan(files.length / 2);
    expect([...refused.keys()]).toEqual(["rules with --hashlimit-name 'limit-icmp-src-' differ in their options"]);
  });
});
