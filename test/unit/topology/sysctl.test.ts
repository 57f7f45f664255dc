// Are sysctls read as the kernel prints them, and refused as the kernel would refuse them?
import { expect, test } from 'vitest';
import { Sysctl } from '../../../assembly/vocabulary.ts';
import { defaultSysctls, SYSCTLS, Sysctls } from '../../../src/topology/sysctl.ts';
import { sharedFile } from '../../support/host.ts';

/** `sysctl -a` in a fresh network namespace of Linux 6.18. */
const FRESH = `net.ipv4.ip_forward = 0
net.ipv6.conf.all.forwarding = 0
net.netfilter.nf_conntrack_acct = 0
net.netfilter.nf_conntrack_buckets = 262144
net.netfilter.nf_conntrack_checksum = 1
net.netfilter.nf_conntrack_expect_max = 4096
net.netfilter.nf_conntrack_generic_timeout = 600
net.netfilter.nf_conntrack_gre_timeout = 30
net.netfilter.nf_conntrack_gre_timeout_stream = 180
net.netfilter.nf_conntrack_icmp_timeout = 30
net.netfilter.nf_conntrack_icmpv6_timeout = 30
net.netfilter.nf_conntrack_max = 262144
net.netfilter.nf_conntrack_sctp_timeout_closed = 10
net.netfilter.nf_conntrack_sctp_timeout_cookie_echoed = 3
net.netfilter.nf_conntrack_sctp_timeout_cookie_wait = 3
net.netfilter.nf_conntrack_sctp_timeout_established = 210
net.netfilter.nf_conntrack_sctp_timeout_heartbeat_sent = 30
net.netfilter.nf_conntrack_sctp_timeout_shutdown_ack_sent = 3
net.netfilter.nf_conntrack_sctp_timeout_shutdown_recd = 3
net.netfilter.nf_conntrack_sctp_timeout_shutdown_sent = 3
net.netfilter.nf_conntrack_tcp_be_liberal = 0
net.netfilter.nf_conntrack_tcp_ignore_invalid_rst = 0
net.netfilter.nf_conntrack_tcp_loose = 1
net.netfilter.nf_conntrack_tcp_max_retrans = 3
net.netfilter.nf_conntrack_tcp_timeout_close = 10
net.netfilter.nf_conntrack_tcp_timeout_close_wait = 60
net.netfilter.nf_conntrack_tcp_timeout_established = 432000
net.netfilter.nf_conntrack_tcp_timeout_fin_wait = 120
net.netfilter.nf_conntrack_tcp_timeout_last_ack = 30
net.netfilter.nf_conntrack_tcp_timeout_max_retrans = 300
net.netfilter.nf_conntrack_tcp_timeout_syn_recv = 60
net.netfilter.nf_conntrack_tcp_timeout_syn_sent = 120
net.netfilter.nf_conntrack_tcp_timeout_time_wait = 120
net.netfilter.nf_conntrack_tcp_timeout_unacknowledged = 300
net.netfilter.nf_conntrack_timestamp = 0
net.netfilter.nf_conntrack_udp_timeout = 30
net.netfilter.nf_conntrack_udp_timeout_stream = 120
net.ipv4.ipfrag_time = 30
net.ipv4.ipfrag_high_thresh = 4194304
net.ipv4.ipfrag_max_dist = 64
net.netfilter.nf_conntrack_frag6_timeout = 60
net.netfilter.nf_conntrack_frag6_high_thresh = 4194304
`;

test('defaults are those of a fresh namespace, but for forwarding and the limit on entries', () => {
  const sysctls = new Sysctls();
  sysctls.read('sysctl', FRESH);
  expect(sysctls.ignored).toEqual([]);
  const expected = Uint32Array.from(sysctls.values);
  expect(expected[Sysctl.IP_FORWARD]).toBe(0);
  expected[Sysctl.IP_FORWARD] = 1;
  expected[Sysctl.IPV6_FORWARDING] = 1;
  expect(expected[Sysctl.MAX]).toBe(262_144);
  expected[Sysctl.MAX] = 0;
  expect(defaultSysctls()).toEqual(expected);
  // Every value of the record is set by some line, but for those that no sysctl names.
  const named = new Set(SYSCTLS.map((entry) => entry.index));
  for (let index = 0; index < Sysctl.COUNT; index++) {
    // The kernel of today has no nf_conntrack_helper any more.
    expect(sysctls.states(index), Sysctl[index]).toBe(named.has(index) && index !== Sysctl.HELPER);
    if (!named.has(index))
      expect([Sysctl.TCP_TIMEOUT_NONE, Sysctl.SCTP_TIMEOUT_NONE, Sysctl.TCP_TIMEOUT_SYN_SENT2]).toContain(index);
  }
  // nf_conntrack_proto_tcp.c, tcp_timeouts[]: two minutes.
  expect(expected[Sysctl.TCP_TIMEOUT_SYN_SENT2]).toBe(120);
});

test.each([
  'net.netfilter.nf_conntrack_udp_timeout = 7',
  'net.netfilter.nf_conntrack_udp_timeout=7',
  'net/netfilter/nf_conntrack_udp_timeout = 7',
  '-net.netfilter.nf_conntrack_udp_timeout = 7',
  '# comment\n; comment\n\n  net.netfilter.nf_conntrack_udp_timeout\t=\t7  \r\n',
  'net.netfilter.nf_conntrack_udp_timeout = 9\nnet.netfilter.nf_conntrack_udp_timeout = 7',
])('forms of sysctl.conf(5): %j', (text) => {
  const sysctls = new Sysctls();
  sysctls.read('sysctl.conf', text);
  expect(sysctls.values[Sysctl.UDP_TIMEOUT]).toBe(7);
});

test('the same value under its other names', () => {
  const sysctls = new Sysctls();
  sysctls.read('s', 'net.nf_conntrack_max = 99\nnet.ipv4.conf.all.forwarding = 0');
  expect(sysctls.values[Sysctl.MAX]).toBe(99);
  expect(sysctls.values[Sysctl.IP_FORWARD]).toBe(0);
});

test('unknown names are listed and otherwise ignored, whatever their value', () => {
  const sysctls = new Sysctls();
  sysctls.read(
    's',
    'kernel.core_pattern = |/bin/x %p = 1\nnet.ipv4.tcp_rmem = 4096 131072 6291456\nkernel.domainname =',
  );
  expect(sysctls.ignored).toEqual(['kernel.core_pattern', 'net.ipv4.tcp_rmem', 'kernel.domainname']);
  expect(sysctls.values).toEqual(defaultSysctls());
});

test('what would change verdicts and is not applied is told', () => {
  const sysctls = new Sysctls();
  sysctls.read('s', 'net.ipv4.conf.eth0.rp_filter = 1\nnet.ipv4.conf.all.rp_filter = 0\nnet.ipv4.tcp_syncookies = 1');
  expect(sysctls.notApplied).toEqual(['net.ipv4.conf.eth0.rp_filter = 1']);
});

test.each([
  [
    'net.netfilter.nf_conntrack_tcp_loose = 2',
    'host-value',
    's:3: net.netfilter.nf_conntrack_tcp_loose = 2: expected a number from 0 to 1',
  ],
  ['net.netfilter.nf_conntrack_tcp_max_retrans = 256', 'host-value', 'from 0 to 255'],
  ['net.netfilter.nf_conntrack_udp_timeout = -1', 'host-value', 'from 0 to 21474836'],
  ['net.netfilter.nf_conntrack_udp_timeout = 1s', 'host-value', '= 1s'],
  ['net.netfilter.nf_conntrack_udp_timeout =', 'host-value', 'expected a number'],
  ['net.netfilter.nf_conntrack_max = 2147483648', 'host-value', 'from 0 to 2147483647'],
  ['what is this', 'host-syntax', 's:3: expected "name = value"'],
])('%s is refused with its line', (line, code, message) => {
  expect(() => new Sysctls().read('s', `# one\n\n${line}`)).toThrow(
    expect.objectContaining({ code, message: expect.stringContaining(message) }),
  );
});

test('on the command line an unknown name is an error, for it was meant', () => {
  const sysctls = new Sysctls();
  sysctls.set('net.netfilter.nf_conntrack_tcp_loose=0');
  expect(sysctls.values[Sysctl.TCP_LOOSE]).toBe(0);
  expect(() => sysctls.set('net.netfilter.nf_conntrack_tcp_lose=0')).toThrow(
    expect.objectContaining({ code: 'unknown-sysctl' }),
  );
  expect(() => sysctls.set('net.netfilter.nf_conntrack_tcp_loose=7')).toThrow(
    expect.objectContaining({ code: 'sysctl-value' }),
  );
});

test("a live router's and a Kubernetes node's sysctls are read", () => {
  const lab = sharedFile('formats/lab1/sysctl.txt');
  const node = sharedFile('rulesets/hosts/k8s-node/sysctl_net_netfilter.txt');
  if (lab === undefined || node === undefined) return;
  const router = new Sysctls();
  router.read('sysctl.txt', lab);
  expect(router.values[Sysctl.ACCT]).toBe(1);
  expect(router.values[Sysctl.TIMESTAMP]).toBe(1);
  expect(router.values[Sysctl.IP_FORWARD]).toBe(1);
  expect(router.notApplied).toEqual([
    'net.bridge.bridge-nf-call-ip6tables = 1',
    'net.bridge.bridge-nf-call-iptables = 1',
  ]);
  const kubernetes = new Sysctls();
  kubernetes.read('sysctl', node);
  expect(kubernetes.values[Sysctl.TCP_TIMEOUT_CLOSE_WAIT]).toBe(3600);
  expect(kubernetes.values[Sysctl.MAX]).toBe(131072);
  expect(kubernetes.ignored).toContain('net.netfilter.nf_conntrack_dccp_loose');
});
