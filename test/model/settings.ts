// Under which sysctls is generated traffic tracked?

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
