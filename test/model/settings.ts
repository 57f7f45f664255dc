// Under which sysctls is generated traffic tracked, and what are they called?

import type { Sysctl } from '../../assembly/vocabulary.ts';
import type { Random } from './random.ts';
import type { ModelSettings } from './tracker.ts';

/** Settings of a seed: most often the kernel's defaults, sometimes short, odd or equal timeouts. */
export function drawSettings(random: Random): ModelSettings {
  const odd = random.chance(0.4);
  const seconds = (standard: number): number =>
    odd && random.chance(0.5) ? random.pick([1, 2, 5, 77, 119, 120, 121, 300, 301, 600, 86400]) : standard;
  return {
    timeouts: {
      NONE: 0,
      SYN_SENT: seconds(120),
      SYN_RECV: seconds(60),
      ESTABLISHED: seconds(432000),
      FIN_WAIT: seconds(120),
      CLOSE_WAIT: seconds(60),
      LAST_ACK: seconds(30),
      TIME_WAIT: seconds(120),
      CLOSE: seconds(10),
      SYN_SENT2: 120,
      MAX_RETRANS: seconds(300),
      UNACKNOWLEDGED: seconds(300),
    },
    loose: !random.chance(0.2),
    liberal: random.chance(0.15),
    ignoreInvalidRst: random.chance(0.2),
    maxRetrans: random.chance(0.6) ? 3 : random.pick([0, 1, 2, 5, 255]),
    udp: seconds(30),
    udpStream: seconds(120),
    icmp: seconds(30),
    icmpv6: seconds(30),
    generic: seconds(600),
    sctp: {
      NONE: 0,
      CLOSED: seconds(10),
      COOKIE_WAIT: seconds(3),
      COOKIE_ECHOED: seconds(3),
      ESTABLISHED: seconds(210),
      SHUTDOWN_SENT: seconds(3),
      SHUTDOWN_RECD: seconds(3),
      SHUTDOWN_ACK_SENT: seconds(3),
      HEARTBEAT_SENT: seconds(30),
    },
  };
}

/** The same as the engine knows them. */
export function sysctlsOf(settings: ModelSettings): Partial<Record<keyof typeof Sysctl, number>> {
  const { timeouts, sctp } = settings;
  return {
    TCP_TIMEOUT_SYN_SENT: timeouts.SYN_SENT,
    TCP_TIMEOUT_SYN_RECV: timeouts.SYN_RECV,
    TCP_TIMEOUT_ESTABLISHED: timeouts.ESTABLISHED,
    TCP_TIMEOUT_FIN_WAIT: timeouts.FIN_WAIT,
    TCP_TIMEOUT_CLOSE_WAIT: timeouts.CLOSE_WAIT,
    TCP_TIMEOUT_LAST_ACK: timeouts.LAST_ACK,
    TCP_TIMEOUT_TIME_WAIT: timeouts.TIME_WAIT,
    TCP_TIMEOUT_CLOSE: timeouts.CLOSE,
    TCP_TIMEOUT_SYN_SENT2: timeouts.SYN_SENT2,
    TCP_TIMEOUT_MAX_RETRANS: timeouts.MAX_RETRANS,
    TCP_TIMEOUT_UNACKNOWLEDGED: timeouts.UNACKNOWLEDGED,
    UDP_TIMEOUT: settings.udp,
    UDP_TIMEOUT_STREAM: settings.udpStream,
    ICMP_TIMEOUT: settings.icmp,
    ICMPV6_TIMEOUT: settings.icmpv6,
    GENERIC_TIMEOUT: settings.generic,
    SCTP_TIMEOUT_CLOSED: sctp.CLOSED,
    SCTP_TIMEOUT_COOKIE_WAIT: sctp.COOKIE_WAIT,
    SCTP_TIMEOUT_COOKIE_ECHOED: sctp.COOKIE_ECHOED,
    SCTP_TIMEOUT_ESTABLISHED: sctp.ESTABLISHED,
    SCTP_TIMEOUT_SHUTDOWN_SENT: sctp.SHUTDOWN_SENT,
    SCTP_TIMEOUT_SHUTDOWN_RECD: sctp.SHUTDOWN_RECD,
    SCTP_TIMEOUT_SHUTDOWN_ACK_SENT: sctp.SHUTDOWN_ACK_SENT,
    SCTP_TIMEOUT_HEARTBEAT_SENT: sctp.HEARTBEAT_SENT,
    TCP_LOOSE: settings.loose ? 1 : 0,
    TCP_BE_LIBERAL: settings.liberal ? 1 : 0,
    TCP_IGNORE_INVALID_RST: settings.ignoreInvalidRst ? 1 : 0,
    TCP_MAX_RETRANS: settings.maxRetrans,
    ACCT: 1,
  };
}
