// Which packets does NAT find hard? The property tests' traffic, answers among which go to whom the flow seems to come from,
// through drawn rules for few ports. ICMP errors are left out: what NAT does to them depends on the bytes that they quote.

import { addressBytes } from '../support/packets.ts';
import { classify, inverseOf, keyOf, type ModelTuple, tupleOf } from './icmp.ts';
import type { NatRule } from './nat.ts';
import { readPacket } from './packet.ts';
import type { Random } from './random.ts';
import type { ModelTracker } from './tracker.ts';
import type { Traffic } from './traffic.ts';

const hex = (address: string): string => Buffer.from(addressBytes(address)).toString('hex');

const OUTSIDE = { 4: '198.18.255.1', 6: '2001:2:0:ee::1' } as const;
const INSIDE = { 4: '10.0.0.77', 6: '2001:db8::77' } as const;
const host = (family: 4 | 6, n: number): string => (family === 4 ? `10.0.0.${n}` : `2001:db8::${n}`);

/** The rules of both families, as the model and as iptables-save have them. */
export function drawNatRules(random: Random): { rules: NatRule[]; text: Record<4 | 6, string> } {
  const rules: NatRule[] = [];
  const lines: Record<4 | 6, string[]> = { 4: [], 6: [] };
  const add = (family: 4 | 6, rule: Omit<NatRule, 'family' | 'to'>, to: Omit<NatRule['to'], 'address'>) => {
    const [source, ports] = [rule.end === 'source', to.ports];
    const address = (source ? OUTSIDE : INSIDE)[family];
    rules.push({ ...rule, family, to: { ...to, address: hex(address) } });
    const from = rule.from ? ` -s ${rule.from}` : '';
    const protocol = rule.protocol ? ` -p ${rule.protocol === 6 ? 'tcp' : 'udp'}` : '';
    const asked = rule.dports ? ` --dport ${rule.dports.join(':')}` : '';
    const shown = ports && family === 6 ? `[${address}]` : address;
    const target = `${shown}${ports ? `:${ports[0]}${ports[1] === ports[0] ? '' : `-${ports[1]}`}` : ''}`;
    lines[family].push(
      `-A ${source ? 'POSTROUTING' : 'PREROUTING'}${from}${protocol}${asked}` +
        ` -j ${source ? 'SNAT --to-source' : 'DNAT --to-destination'} ${target}${to.random ? ' --random' : ''}`,
    );
  };
  for (const family of [4, 6] as const) {
    const transport = () => random.pick([6, 17]);
    const some = (count: number, rule: () => void) => Array.from({ length: random.below(count + 1) }, rule);
    some(2, () => {
      const port = random.pick([80, 8080]);
      const first = random.pick([0, 80, 1024]);
      const ports = random.pick([undefined, [port, port], [port, port + 1]] as const);
      const dports = [first, first + random.pick([0, 1023])] as const;
      add(family, { end: 'target', protocol: transport(), dports }, ports ? { ports } : {});
    });
    const few = [
      [2000, 2000],
      [2000, 2003],
      [1, 60],
      [40_000, 40_200],
    ] as const;
    some(4, () => {
      const ports = random.chance(0.6) ? { protocol: transport() } : {};
      const from = random.chance(0.8) ? { from: host(family, 1 + random.below(4)) } : {};
      const to = {
        ...('protocol' in ports && random.chance(0.6) ? { ports: random.pick(few) } : {}),
        ...(random.chance(0.2) ? { random: true } : {}),
      };
      add(family, { end: 'source', ...ports, ...from }, to);
    });
  }
  const text = (family: 4 | 6): string => ['*nat', ...lines[family], 'COMMIT', ''].join('\n');
  const named = rules.map(({ from, ...rule }) => ({ ...rule, ...(from && { from: hex(from) }) }));
  return { rules: named, text: { 4: text(4), 6: text(6) } };
}

/** The next packet that is no ICMP error nor from a link-local address; an answer most often to the flow as it was translated. */
export function drawTranslated(
  random: Random,
  traffic: Traffic,
  model: ModelTracker,
): { time: bigint; bytes: Uint8Array } {
  while (true) {
    const { time, bytes } = traffic.draw();
    const packet = readPacket(bytes);
    const icmp = packet.protocol === 1 || packet.protocol === 58;
    if (packet.source.startsWith('fe80')) continue;
    if (icmp && classify(packet, bytes[packet.family === 6 ? 7 : 8]!).kind === 'error') continue;
    const tuple = tupleOf(packet);
    const asked = tuple && inverseOf(tuple);
    const key = asked && keyOf(asked);
    const flow = key && model.table.find(({ original }) => keyOf(original) === key);
    return { time, bytes: flow && random.chance(0.9) ? readdressed(bytes, flow.reply) : bytes };
  }
}

/** The packet with another tuple; checksums are left wrong. */
function readdressed(packet: Uint8Array, tuple: ModelTuple): Uint8Array {
  const bytes = packet.slice();
  const six = tuple.family === 6;
  bytes.set(Buffer.from(tuple.source + tuple.target, 'hex'), six ? 8 : 12);
  const view = new DataView(bytes.buffer);
  const l4 = six ? 40 : 20;
  if ([6, 17, 132].includes(tuple.protocol)) {
    view.setUint16(l4, tuple.sport);
    view.setUint16(l4 + 2, tuple.dport);
  } else if (tuple.protocol === 1 || tuple.protocol === 58) view.setUint16(l4 + 4, tuple.sport);
  return bytes;
}
