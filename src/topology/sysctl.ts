// Which sysctls does the engine read, what are their kernel names, defaults and ranges, and what does a host set them to?
//
// Names and ranges: net/netfilter/nf_conntrack_standalone.c; defaults: nf_conntrack_proto_*.c, nf_conntrack_core.c,
// as `sysctl` prints them in a fresh network namespace.
import { Sysctl } from '../../assembly/vocabulary.ts';
import { UsageError } from '../errors.ts';
import { refuseHost, textLines } from './place.ts';

export interface SysctlEntry {
  /** Name as `sysctl -a` prints it. */
  name: string;
  index: Sysctl;
  /** Value without a host. It is the kernel's but for forwarding and nf_conntrack_max, see below. */
  standard: number;
  minimum: number;
  maximum: number;
}

const INT_MAX = 0x7fffffff;

/** Buckets of the kernel's hash table that memory is kept for. */
const BUCKETS_MAX = 1 << 26;

/** Each expectation that there may be has its record from the start: more would be out of proportion. */
const EXPECT_MAX = 1 << 20;

/** proc_dointvec_jiffies() takes up to INT_MAX ticks; HZ is 100 at least. */
const TIMEOUT_MAX = Math.floor(INT_MAX / 100);

function timeout(name: string, index: Sysctl, standard: number): SysctlEntry {
  return { name: `net.netfilter.nf_conntrack_${name}`, index, standard, minimum: 0, maximum: TIMEOUT_MAX };
}

function setting(name: string, index: Sysctl, standard: number, maximum: number): SysctlEntry {
  return { name: `net.netfilter.nf_conntrack_${name}`, index, standard, minimum: 0, maximum };
}

/**
 * Kernel defaults of the forwarding switches are 0. Here they are 1, because without a word about them a capture is
 * replayed as a router would see it.
 */
export const SYSCTLS: readonly SysctlEntry[] = [
  timeout('tcp_timeout_syn_sent', Sysctl.TCP_TIMEOUT_SYN_SENT, 120),
  timeout('tcp_timeout_syn_recv', Sysctl.TCP_TIMEOUT_SYN_RECV, 60),
  timeout('tcp_timeout_established', Sysctl.TCP_TIMEOUT_ESTABLISHED, 432_000),
  timeout('tcp_timeout_fin_wait', Sysctl.TCP_TIMEOUT_FIN_WAIT, 120),
  timeout('tcp_timeout_close_wait', Sysctl.TCP_TIMEOUT_CLOSE_WAIT, 60),
  timeout('tcp_timeout_last_ack', Sysctl.TCP_TIMEOUT_LAST_ACK, 30),
  timeout('tcp_timeout_time_wait', Sysctl.TCP_TIMEOUT_TIME_WAIT, 120),
  timeout('tcp_timeout_close', Sysctl.TCP_TIMEOUT_CLOSE, 10),
  timeout('tcp_timeout_max_retrans', Sysctl.TCP_TIMEOUT_MAX_RETRANS, 300),
  timeout('tcp_timeout_unacknowledged', Sysctl.TCP_TIMEOUT_UNACKNOWLEDGED, 300),
  timeout('udp_timeout', Sysctl.UDP_TIMEOUT, 30),
  timeout('udp_timeout_stream', Sysctl.UDP_TIMEOUT_STREAM, 120),
  timeout('icmp_timeout', Sysctl.ICMP_TIMEOUT, 30),
  timeout('icmpv6_timeout', Sysctl.ICMPV6_TIMEOUT, 30),
  timeout('generic_timeout', Sysctl.GENERIC_TIMEOUT, 600),
  timeout('sctp_timeout_closed', Sysctl.SCTP_TIMEOUT_CLOSED, 10),
  timeout('sctp_timeout_cookie_wait', Sysctl.SCTP_TIMEOUT_COOKIE_WAIT, 3),
  timeout('sctp_timeout_cookie_echoed', Sysctl.SCTP_TIMEOUT_COOKIE_ECHOED, 3),
  timeout('sctp_timeout_established', Sysctl.SCTP_TIMEOUT_ESTABLISHED, 210),
  timeout('sctp_timeout_shutdown_sent', Sysctl.SCTP_TIMEOUT_SHUTDOWN_SENT, 3),
  timeout('sctp_timeout_shutdown_recd', Sysctl.SCTP_TIMEOUT_SHUTDOWN_RECD, 3),
  timeout('sctp_timeout_shutdown_ack_sent', Sysctl.SCTP_TIMEOUT_SHUTDOWN_ACK_SENT, 3),
  timeout('sctp_timeout_heartbeat_sent', Sysctl.SCTP_TIMEOUT_HEARTBEAT_SENT, 30),
  timeout('gre_timeout', Sysctl.GRE_TIMEOUT, 30),
  timeout('gre_timeout_stream', Sysctl.GRE_TIMEOUT_STREAM, 180),
  setting('tcp_loose', Sysctl.TCP_LOOSE, 1, 1),
  setting('tcp_be_liberal', Sysctl.TCP_BE_LIBERAL, 0, 1),
  setting('tcp_ignore_invalid_rst', Sysctl.TCP_IGNORE_INVALID_RST, 0, 1),
  setting('tcp_max_retrans', Sysctl.TCP_MAX_RETRANS, 3, 255),
  setting('checksum', Sysctl.CHECKSUM, 1, 1),
  setting('acct', Sysctl.ACCT, 0, 1),
  setting('timestamp', Sysctl.TIMESTAMP, 0, 1),
  // 0 is no limit. The kernel's own default depends on the machine, so that only a limit that is stated holds.
  setting('max', Sysctl.MAX, 0, INT_MAX),
  // What the kernel takes with the number of buckets below (nf_conntrack_expect_init()).
  { ...setting('expect_max', Sysctl.EXPECT_MAX, 4096, EXPECT_MAX), minimum: 0 },
  // Kernels before 6.0 only.
  setting('helper', Sysctl.HELPER, 0, 1),
  // What the kernel takes on machines with more than 4 GiB (nf_conntrack_init_start()).
  { ...setting('buckets', Sysctl.BUCKETS, 262_144, BUCKETS_MAX), minimum: 1 },
  // net/ipv4/ip_fragment.c, net/ipv6/netfilter/nf_conntrack_reasm.c; sizes in bytes.
  { name: 'net.ipv4.ipfrag_time', index: Sysctl.IPFRAG_TIME, standard: 30, minimum: 0, maximum: TIMEOUT_MAX },
  {
    name: 'net.ipv4.ipfrag_high_thresh',
    index: Sysctl.IPFRAG_HIGH_THRESH,
    standard: 4 << 20,
    minimum: 0,
    maximum: 0xffffffff,
  },
  { name: 'net.ipv4.ipfrag_max_dist', index: Sysctl.IPFRAG_MAX_DIST, standard: 64, minimum: 0, maximum: INT_MAX },
  timeout('frag6_timeout', Sysctl.FRAG6_TIMEOUT, 60),
  setting('frag6_high_thresh', Sysctl.FRAG6_HIGH_THRESH, 4 << 20, 0xffffffff),
  { name: 'net.ipv4.ip_forward', index: Sysctl.IP_FORWARD, standard: 1, minimum: 0, maximum: INT_MAX },
  { name: 'net.ipv6.conf.all.forwarding', index: Sysctl.IPV6_FORWARDING, standard: 1, minimum: 0, maximum: INT_MAX },
];

/** Other names under which the kernel shows the same value. */
const ALIASES: Record<string, string> = {
  'net.nf_conntrack_max': 'net.netfilter.nf_conntrack_max',
  'net.ipv4.conf.all.forwarding': 'net.ipv4.ip_forward',
};

/** No sysctl sets the timeout of SYN_SENT2 (simultaneous open): tcp_timeouts[] in nf_conntrack_proto_tcp.c, seconds. */
const SYN_SENT2_TIMEOUT = 120;

const BY_NAME = new Map(SYSCTLS.map((entry) => [entry.name, entry]));

/**
 * Settings that change what happens to packets and that ctreplay does not apply: a host that has them set to anything
 * but these values gets a note.
 */
const NOT_APPLIED: { name: RegExp; harmless: string }[] = [
  {
    name: /^net\.ipv4\.conf\.[^.]+\.(rp_filter|route_localnet|accept_local|bc_forwarding|mc_forwarding)$/,
    harmless: '0',
  },
  { name: /^net\.ipv4\.conf\.[^.]+\.accept_source_route$/, harmless: '0' },
  { name: /^net\.bridge\.bridge-nf-call-ip6?tables$/, harmless: '0' },
];

/** Sysctls of a host: the engine's values, and what else the host's files said. */
export class Sysctls {
  /** u32[Sysctl.COUNT], as World.sysctls. Timeouts in seconds. */
  readonly values = defaultSysctls();
  /** Names that were given and are not known here, in order of appearance. */
  readonly ignored: string[] = [];
  /** What was given, is known, and is not applied: `name = value`. */
  readonly notApplied: string[] = [];
  private readonly given = new Set<Sysctl>();

  /** True if some file or option has set it. */
  states(index: Sysctl): boolean {
    return this.given.has(index);
  }

  /**
   * Applies the lines of `sysctl -a` or of a sysctl.conf: `name = value`, `name=value` or `net/netfilter/name = value`
   * (sysctl.conf(5)). Comments (`#`, `;`) and empty lines are skipped; a later line overrides an earlier one.
   * @throws HostError `host-syntax` for a line of another form, `host-value` for a value that the kernel would refuse
   */
  read(file: string, text: string): void {
    textLines(text).forEach((line, index) => {
      const trimmed = line.trim();
      // `sysctl -a` complains among its lines about keys that may not be read.
      if (trimmed === '' || /^[#;]/.test(trimmed) || /^sysctl: /.test(trimmed)) return;
      const assignment = splitAssignment(trimmed);
      if (assignment === undefined) refuseHost('host-syntax', 'expected "name = value"', file, index + 1);
      const problem = this.assign(assignment.name, assignment.value);
      if (problem !== undefined) refuseHost('host-value', problem, file, index + 1);
    });
  }

  /**
   * Applies one `name=value` of the command line.
   * @throws UsageError `unknown-sysctl` or `sysctl-value`: a name typed by hand is meant to have an effect
   */
  set(text: string): void {
    const assignment = splitAssignment(text.trim());
    if (assignment === undefined) throw new UsageError('sysctl-value', `--sysctl ${text}: expected NAME=VALUE`);
    if (entryOf(assignment.name) === undefined) {
      throw new UsageError('unknown-sysctl', `--sysctl ${text}: ${assignment.name} has no effect on a replay`);
    }
    const problem = this.assign(assignment.name, assignment.value);
    if (problem !== undefined) throw new UsageError('sysctl-value', `--sysctl ${text}: ${problem}`);
  }

  private assign(name: string, value: string): string | undefined {
    const entry = entryOf(name);
    if (entry === undefined) {
      this.ignored.push(name);
      const watched = NOT_APPLIED.find((candidate) => candidate.name.test(name));
      if (watched !== undefined && value !== watched.harmless) this.notApplied.push(`${name} = ${value}`);
      return undefined;
    }
    const number = Number(value);
    if (!/^\d+$/.test(value) || number < entry.minimum || number > entry.maximum) {
      return `${entry.name} = ${value}: expected a number from ${entry.minimum} to ${entry.maximum}`;
    }
    this.values[entry.index] = number;
    this.given.add(entry.index);
    return undefined;
  }
}

/** The values of a host that says nothing. */
export function defaultSysctls(): Uint32Array {
  const values = new Uint32Array(Sysctl.COUNT);
  for (const entry of SYSCTLS) values[entry.index] = entry.standard;
  values[Sysctl.TCP_TIMEOUT_SYN_SENT2] = SYN_SENT2_TIMEOUT;
  return values;
}

function entryOf(name: string): SysctlEntry | undefined {
  return BY_NAME.get(ALIASES[name] ?? name);
}

/** A leading `-` of sysctl.conf says that an error does not matter; the first separator says which kind the name uses. */
function splitAssignment(line: string): { name: string; value: string } | undefined {
  const match = /^-?\s*([^\s=]+)\s*=\s*(.*)$/.exec(line);
  const [, written, value] = match ?? [];
  if (written === undefined || value === undefined) return undefined;
  const slashed = /^[^./]*\//.test(written);
  const name = slashed ? written.replace(/[./]/g, (separator) => (separator === '/' ? '.' : '/')) : written;
  return { name, value: value.trim() };
}
