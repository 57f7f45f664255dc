// Does `-m rpfilter` hold for the same packets as in the kernel? A router with three links, and with routes of every kind,
// prints what `--host` reads; frames from all sorts of sources arrive by each link, and each source has rules of its own,
// whose counters must be alike. Needs root and the tools of `missing()`; without them it is skipped, or fails when
// CTREPLAY_REQUIRE_KERNEL=1 (CI).
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { ethernet, ip, udp, writePcap } from '../support/packets.ts';
import { missing } from './kernel.ts';

const PROGRAM = fileURLToPath(new URL('../../build/program/main.js', import.meta.url));
const lacks = missing();
if (lacks.length > 0) {
  if (process.env.CTREPLAY_REQUIRE_KERNEL === '1')
    throw new Error(`rpfilter against the kernel needs ${lacks.join(', ')}`);
  console.warn(`SKIPPED: rpfilter against the kernel (needs ${lacks.join(', ')})`);
}

const LINKS = ['lan', 'wan', 'dmz'] as const;
const MACS = { lan: '02:00:00:00:01:01', wan: '02:00:00:00:01:02', dmz: '02:00:00:00:01:03' };
const OPTIONS = ['', '--loose', '--accept-local', '--loose --accept-local', '--invert', '--loose --validmark --invert'];

const ROUTER = `
set -e
for name in all default; do
  sysctl -qw net.ipv4.conf.$name.rp_filter=0 net.ipv6.conf.$name.accept_dad=0 net.ipv6.conf.$name.router_solicitations=0
done
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
ip link set lo up
number=1
for dev in lan wan dmz; do
  ip link add $dev address 02:00:00:00:01:0$number type veth peer name out-$dev
  sysctl -qw net.ipv6.conf.out-$dev.disable_ipv6=1
  ip link set out-$dev up
  ip link set $dev up
  ip addr add 10.$number.0.1/24 brd + dev $dev
  ip addr add 2001:db8:$number::1/64 dev $dev nodad
  number=$((number + 1))
done
ip route add default via 10.2.0.9 dev wan
ip route add 10.6.0.0/24 nexthop via 10.1.0.9 dev lan nexthop via 10.3.0.9 dev dmz
ip route add 10.7.0.0/24 dev lan metric 10
ip route add 10.7.0.0/24 dev wan metric 5
ip route add blackhole 10.9.1.0/24
ip route add unreachable 10.9.2.0/24
ip route add prohibit 10.9.3.0/24
ip route add throw 10.9.4.0/24
ip route add 10.9.5.0/25 dev dmz
ip -6 route add default via 2001:db8:2::9 dev wan
ip -6 route add 2001:db8:6::/64 nexthop via 2001:db8:1::9 dev lan nexthop via 2001:db8:3::9 dev dmz
ip -6 route add 2001:db8:7::/64 dev lan metric 10
ip -6 route add 2001:db8:7::/64 dev wan metric 5
ip -6 route add blackhole 2001:db8:9:1::/64
ip -6 route add unreachable 2001:db8:9:2::/64
ip -6 route add prohibit 2001:db8:9:3::/64
ip -6 route add throw 2001:db8:9:4::/64
ip -6 route add 2001:db8:9:5::/65 dev dmz
iptables-legacy-restore <iptables-save
ip6tables-legacy-restore <ip6tables-save
ip -j addr >addr.json
ip -j route show table all >route4.json
ip -j -6 route show table all >route6.json
python3 send.py
sleep 0.2
iptables-legacy-save -c -t raw >counters4
ip6tables-legacy-save -c -t raw >counters6
`;

/** Sends each line of frames.txt, an interface and a frame in hexadecimal. */
const SEND = `
import socket
links = {}
for line in open("frames.txt"):
    link, frame = line.split()
    if link not in links:
        links[link] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        links[link].bind(("out-" + link, 0))
    links[link].send(bytes.fromhex(frame))
`;

const FAMILIES = {
  4: {
    tool: 'iptables-save',
    sources: [
      ...['10.1.0.77', '10.2.0.77', '10.3.0.77', '10.1.0.255', '10.1.0.0', '8.8.8.8', '10.6.0.5', '10.7.0.5'],
      ...['10.9.1.1', '10.9.2.1', '10.9.3.1', '10.9.4.1', '10.9.5.1', '10.9.5.200', '0.0.0.0', '0.0.0.1', '127.0.0.5'],
      ...['224.0.0.5', '239.1.1.1', '240.0.0.1', '255.255.255.255', '169.254.1.1'],
    ],
    targets: ['10.2.0.80', '10.3.0.1', '255.255.255.255', '224.0.0.9', '239.1.1.2'],
  },
  6: {
    tool: 'ip6tables-save',
    sources: [
      ...['2001:db8:1::77', '2001:db8:2::77', '2001:db8:3::77', '2001:db8:1::', '2001:db9::1', '2001:db8:6::5'],
      ...['2001:db8:7::5', '2001:db8:9:1::1', '2001:db8:9:2::1', '2001:db8:9:3::1', '2001:db8:9:4::1'],
      ...['2001:db8:9:5::1', '2001:db8:9:5:8000::1', '::', 'fe80::77', 'fd00::1'],
    ],
    targets: ['2001:db8:2::80', '2001:db8:3::1', 'ff02::1'],
  },
} as const;

/** A rule for every source, link and set of options; the policy drops, so that nothing is answered. */
function rules(family: 4 | 6): string {
  const { tool, sources } = FAMILIES[family];
  const lines = sources.flatMap((source) =>
    LINKS.flatMap((link) =>
      OPTIONS.map(
        (options) => `-A PREROUTING -s ${source}/${family === 4 ? 32 : 128} -i ${link} -m rpfilter ${options}`,
      ),
    ),
  );
  const text = [
    '*raw',
    ':PREROUTING DROP [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    ...lines.map((line) => line.trim()),
    'COMMIT',
  ];
  return `# Generated by ${tool} v1.8.9\n${text.join('\n')}\n`;
}

const folder = mkdtempSync(join(tmpdir(), 'ctreplay-rpfilter-'));
afterAll(() => rmSync(folder, { recursive: true }));

const counters = (text: string): string[] => text.split('\n').filter((line) => line.startsWith('['));

it.skipIf(lacks.length > 0)('holds for the packets for which it holds in the kernel', () => {
  const put = (name: string, data: string | Uint8Array) => writeFileSync(join(folder, name), data);
  const get = (name: string): string => readFileSync(join(folder, name), 'utf8');
  const captures = new Map(LINKS.map((link) => [link, [] as { time: bigint; data: Uint8Array }[]]));
  const frames: string[] = [];
  for (const family of [4, 6] as const) {
    for (const source of FAMILIES[family].sources) {
      for (const target of FAMILIES[family].targets) {
        for (const link of LINKS) {
          const packet = ip(source, target, udp({ sport: 7, dport: 9 }));
          const data = ethernet(packet, { target: MACS[link] });
          captures.get(link)?.push({ time: BigInt(frames.length) * 1_000_000n, data });
          frames.push(`${link} ${Buffer.from(data).toString('hex')}`);
        }
      }
    }
  }
  for (const [link, packets] of captures) put(`${link}.pcap`, writePcap(packets));
  put('frames.txt', `${frames.join('\n')}\n`);
  put('send.py', SEND);
  put('iptables-save', rules(4));
  put('ip6tables-save', rules(6));
  execFileSync('unshare', ['--net', 'sh', '-c', ROUTER], { cwd: folder });
  const [routes4, routes6] = [4, 6].map((family) => JSON.parse(get(`route${family}.json`)) as object[]);
  put('route.json', JSON.stringify([...(routes4 ?? []), ...(routes6 ?? [])]));
  const host = ['iptables-save', 'ip6tables-save', 'addr.json', 'route.json'];
  execFileSync('sh', ['-c', `mkdir host && mv ${host.join(' ')} host`], { cwd: folder });
  put('host/sysctl', 'net.ipv4.ip_forward = 1\nnet.ipv6.conf.all.forwarding = 1\n');
  const named = LINKS.map((link) => `${link}=${link}.pcap`);
  const options = ['replay', '--quiet', '--host', 'host', '--counters', 'counters', ...named];
  execFileSync(process.execPath, [PROGRAM, ...options], { cwd: folder });
  const kernel = [...counters(get('counters6')), ...counters(get('counters4'))];
  const used = kernel.filter((line) => !line.startsWith('[0:'));
  expect(used.length).toBeGreaterThan(kernel.length / 4);
  expect(counters(get('counters'))).toEqual(kernel);
});
