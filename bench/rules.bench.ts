// What do rules cost a packet that passes all of them until the last, by number and form?

import { COMMON, type Traffic } from './generate.ts';
import { Lab, Stream, tableBytes } from './lab.ts';
import { type Effort, type Measure, measure } from './measure.ts';
import { trackTask } from './tcp.bench.ts';

const COUNTS = [0, 10, 100, 1000];
const FLOWS = 1000;
const BATCHES = 16;

/** Rules that no generated packet matches, one form each. */
const FORMS: readonly { name: string; rule: (n: number) => string }[] = [
  { name: 'by source', rule: (n) => `-s 172.16.${n >> 8}.${n & 255}/32 -j DROP` },
  { name: 'by port', rule: (n) => `-p tcp -m tcp --dport ${50_000 + n} -s 172.16.0.0/12 -j DROP` },
  { name: 'mixed', rule: mixedRule },
];

/** iptables-save text of a filter table whose last of `count` rules accepts what comes to it. */
export function ruleset(count: number, rule: (n: number) => string): string {
  const rules = Array.from({ length: Math.max(0, count - 1) }, (_, n) => `-A FORWARD ${rule(n)}`);
  if (count > 0) rules.push('-A FORWARD -j ACCEPT');
  return ['*filter', ':INPUT ACCEPT [0:0]', ':FORWARD DROP [0:0]', ':OUTPUT ACCEPT [0:0]', ...rules, 'COMMIT', ''].join(
    '\n',
  );
}

function mixedRule(n: number): string {
  switch (n % 5) {
    case 0:
      return `-s 172.16.${n >> 8}.${n & 255}/32 -j DROP`;
    case 1:
      return `-d 192.0.2.${n & 255}/32 -p tcp -m tcp --dport 443 -j ACCEPT`;
    case 2:
      return `-p udp -m udp --dport ${1024 + n} -j ACCEPT`;
    case 3:
      return `-i eth${n & 63} -p tcp -m multiport --dports 25,110,143 -j REJECT --reject-with tcp-reset`;
    default:
      return `-s 192.168.${n & 255}.0/24 -m conntrack --ctstate INVALID -j DROP`;
  }
}

export async function benchRules(effort: Effort): Promise<Measure[]> {
  const results: Measure[] = [];
  for (const form of FORMS) {
    for (const count of COUNTS) {
      if (count === 0 && form !== FORMS[0]) continue;
      const lab = await Lab.open();
      const world = lab.world(tableBytes(FLOWS), count === 0 ? '' : ruleset(count, form.rule));
      const traffic: Traffic = { ...COMMON, packets: 2 ** 31, flows: FLOWS, frameBytes: 97, handshakesFirst: true };
      const stream = new Stream(traffic);
      lab.play(world, stream, FLOWS * 3);
      const batches = lab.keep(stream, BATCHES);
      const name = count === 0 ? 'rules / none' : `rules / ${count} ${form.name}`;
      results.push(...measure([trackTask(lab, world, batches, name)], effort));
    }
  }
  return results;
}
