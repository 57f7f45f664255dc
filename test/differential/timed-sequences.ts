// Which hand-made packets show what time does to an entry? Each kind of entry lives through each of its timeouts in a few
// seconds: sysctls are short, and everything of one file of timeouts happens at the same time, a port per case.

import { ends, icmp, ip, udp } from './craft.ts';
import { association, WAYS } from './protocol-sequences.ts';
import { connection, type Sequence, STATES } from './sequences.ts';

export interface TimedSequence extends Sequence {
  /** Entries whose time is up before the sequence ends: at least so many moments of death are compared. */
  deaths: number;
}

/** Packets with the time they are due at, ms after the first. */
type Due = [at: number, packet: Buffer];

/** Packets in order of time, with the pauses between them; the last one, of a flow of its own, comes at `end`. */
function timeline(end: number, ...due: Due[]): (Buffer | number)[] {
  const sorted = [...due, [end, udp({ sport: 1, dport: 9 })] as Due].sort(([one], [other]) => one - other);
  let now = 0;
  return sorted.flatMap(([at, packet]) => {
    const wait = at - now;
    now = at;
    return wait ? [wait, packet] : [packet];
  });
}

/** Several packets at once. */
const at = (moment: number, ...packets: Buffer[]): Due[] => packets.map((packet): Due => [moment, packet]);

const CT = 'net.netfilter.nf_conntrack_';
const seconds = (timeouts: Record<string, number>): Record<string, string> =>
  Object.fromEntries(Object.entries(timeouts).map(([name, value]) => [`${CT}${name}`, String(value)]));

/** Moments around one, a jiffy or less apart: wherever the jiffies fall, some are before it, one is in it, some behind. */
const around = (moment: number): number[] => Array.from({ length: 13 }, (_, index) => moment + (index - 6) * 4);

const FAMILIES = [4, 6] as const;

/** UDP: what a packet does at each age of an exchange, and when each kind of entry dies. */
function udpTimes(): TimedSequence {
  const due: Due[] = [];
  for (const family of FAMILIES) {
    const ask = (sport: number): Buffer => udp({ family, sport });
    const answer = (sport: number): Buffer => udp({ family, sport, back: true });
    // Nobody answers; answered at once; answered when half the time is over; asked again; the answer is too late.
    due.push(...at(0, ask(1001), ask(1002), answer(1002), ask(1003), ask(1004), ask(1005)));
    due.push(...at(500, answer(1003), ask(1004)), ...at(1300, answer(1005)));
    // An exchange that is kept alive past two seconds: a packet of either side at every age around that.
    around(2000).forEach((age, index) => {
      const port = 2000 + index;
      due.push(...at(0, ask(port), answer(port)), ...at(700, ask(port)), ...at(1400, answer(port)));
      due.push(...at(age, index % 2 ? ask(port) : answer(port)));
    });
    // Kept alive by questions alone: the first answer, three seconds old, is no stream, the packet after it is.
    due.push(...[0, 700, 1400, 2100, 2800].flatMap((moment) => at(moment, ask(1006))));
    due.push(...at(3000, answer(1006)), ...at(3100, ask(1006)));
    // At the very moment that it dies, an entry is no more.
    around(1000).forEach((age, index) => {
      due.push(...at(0, ask(3000 + index)), ...at(age, ask(3000 + index)));
    });
  }
  const sysctls = seconds({ udp_timeout: 1, udp_timeout_stream: 2 });
  return { name: 'UDP: streams, and the end of each', steps: timeline(5300, ...due), sysctls, deaths: 2 * 32 };
}

/** A TCP connection in each state, left alone until it dies. */
function tcpTimes(): TimedSequence {
  const due: Due[] = [];
  const reach = Object.values(STATES);
  FAMILIES.forEach((family) => {
    reach.forEach((way, index) => {
      due.push(...at(0, ...way(connection(family, 10_000 + index))));
      // Half a second later the last segment comes again, for better or worse.
      const again = way(connection(family, 11_000 + index));
      due.push(...at(0, ...again), ...at(500, again.at(-1)!));
    });
  });
  const sysctls = seconds({
    tcp_timeout_syn_sent: 1,
    tcp_timeout_syn_recv: 2,
    tcp_timeout_established: 3,
    tcp_timeout_fin_wait: 1,
    tcp_timeout_close_wait: 2,
    tcp_timeout_last_ack: 1,
    tcp_timeout_time_wait: 2,
    tcp_timeout_close: 1,
    tcp_timeout_unacknowledged: 2,
  });
  return {
    name: 'TCP: the end of an entry in each state',
    steps: timeline(4500, ...due),
    sysctls,
    // No sysctl shortens the 120 s of SYN_SENT2; one of its two entries has data to be acknowledged and goes all the same.
    deaths: 2 * (2 * reach.length - 1),
  };
}

/** What retransmissions do to a connection: each is compared, and the moment at which it is given up. */
function retransmissions(): TimedSequence {
  const due: Due[] = [];
  FAMILIES.forEach((family) => {
    const opened = (port: number) => {
      const c = connection(family, port);
      due.push(...at(0, ...STATES.ESTABLISHED!(c)));
      return {
        ...c,
        data: c.client({ flags: 'P.', seq: 1001, ack: 5001, length: 100 }),
        acknowledged: c.server({ flags: '.', seq: 5001, ack: 1101 }),
      };
    };
    // Sent again n times, 100 ms apart: from the third on, it is given up a second later.
    for (let times = 0; times <= 5; times++) {
      const c = opened(20_000 + times);
      for (let index = 0; index <= times; index++) due.push(...at(100 * (index + 1), c.data));
    }
    // Given up, but acknowledged in time, and too late.
    [400, 1300, 1700].forEach((moment, index) => {
      const c = opened(20_010 + index);
      due.push(...at(100, c.data, c.data, c.data, c.data), ...at(moment, c.acknowledged), ...at(1800, c.acknowledged));
    });
    // Sent once and acknowledged before and behind the end of tcp_timeout_unacknowledged.
    [1500, 1900, 2300].forEach((moment, index) => {
      const c = opened(20_020 + index);
      due.push(...at(100, c.data), ...at(moment, c.acknowledged));
    });
    // Other segments between the same ones; and a window that closes, opens, closes.
    const mixed = opened(20_030);
    const probe = mixed.client({ flags: '.', seq: 1000, ack: 5001 });
    due.push(...at(100, mixed.data, mixed.data, probe, mixed.data, mixed.data));
    const closed = opened(20_031);
    const window = (size: number): Buffer => closed.server({ flags: '.', seq: 5001, ack: 1001, window: size });
    due.push(...at(100, window(0)), ...at(600, window(1000)), ...at(1200, window(0)));
  });
  const sysctls = seconds({
    tcp_max_retrans: 3,
    tcp_timeout_max_retrans: 1,
    tcp_timeout_unacknowledged: 2,
    tcp_timeout_established: 3,
  });
  return {
    name: 'TCP: retransmissions and what nobody acknowledges',
    steps: timeline(5500, ...due),
    sysctls,
    deaths: 2 * 14,
  };
}

/** A SYN, of either side and with an old or a new number, to a closed connection of every age. */
function reuse(): TimedSequence {
  const due: Due[] = [];
  const ages = [...Array.from({ length: 12 }, (_, index) => 100 + index * 150), ...around(2000), 2200, 2600];
  let port = 30_000;
  for (const state of ['TIME_WAIT', 'CLOSE', 'LAST_ACK']) {
    for (const age of ages) {
      const syns = [
        (segment: ReturnType<typeof connection>) => segment.client({ flags: 'S', seq: 900 }),
        (segment: ReturnType<typeof connection>) => segment.client({ flags: 'S', seq: 900_000 }),
        (segment: ReturnType<typeof connection>) => segment.server({ flags: 'S', seq: 70_000 }),
      ];
      for (const syn of syns) {
        const c = connection(4, port++);
        due.push(...at(0, ...STATES[state]!(c)), ...at(age, syn(c)));
      }
    }
  }
  const sysctls = seconds({
    tcp_timeout_time_wait: 2,
    tcp_timeout_close: 2,
    tcp_timeout_last_ack: 2,
    tcp_timeout_syn_sent: 1,
  });
  return {
    name: 'TCP: a SYN to a closed connection of each age',
    steps: timeline(4800, ...due),
    sysctls,
    deaths: 3 * 3 * ages.length,
  };
}

/** ICMP, ICMPv6, GRE, UDP-Lite and a protocol that nobody knows. */
function otherTimes(): TimedSequence {
  const due: Due[] = [];
  for (const family of FAMILIES) {
    const echo = (back: boolean, id: number): Buffer =>
      icmp({ family, back, type: family === 4 ? (back ? 0 : 8) : back ? 129 : 128, rest: id * 65536 + 1 });
    const question = udp({ family, sport: 4001 });
    const error = icmp({ family, back: true, type: family === 4 ? 3 : 1, code: family === 4 ? 3 : 4, body: question });
    // Unanswered; answered; asked again; answered too late; and an error, which does not keep its flow alive.
    due.push(...at(0, echo(false, 1), echo(false, 2), echo(true, 2), echo(false, 3), echo(false, 4), question));
    due.push(...at(500, echo(true, 2), echo(false, 3), error), ...at(1300, echo(true, 4)));
    around(1000).forEach((age, index) => {
      due.push(...at(0, echo(false, 100 + index)), ...at(age, echo(true, 100 + index)));
    });
    const plain = (protocol: number, back: boolean): Buffer => ip(ends(family, back), protocol, Buffer.alloc(16), -1);
    due.push(...at(0, plain(253, false), plain(254, false), plain(254, true)));
    due.push(...at(500, plain(254, true)), ...at(1300, plain(253, true)));
    // GRE becomes a stream with the second packet after an answer.
    due.push(...at(0, plain(47, false)), ...at(300, plain(47, true)), ...at(600, plain(47, false)));
  }
  const sysctls = seconds({
    icmp_timeout: 1,
    icmpv6_timeout: 1,
    generic_timeout: 1,
    gre_timeout: 1,
    gre_timeout_stream: 2,
    udp_timeout: 1,
  });
  return {
    name: 'ICMP, GRE and unknown protocols: the end of each',
    steps: timeline(3600, ...due),
    sysctls,
    deaths: 2 * 18,
  };
}

/** An SCTP association in each state, left alone until it dies. */
function sctpTimes(): TimedSequence {
  const due: Due[] = [];
  const reach = Object.values(WAYS).filter((way) => way(association(4, 1)).length > 0);
  FAMILIES.forEach((family) => {
    reach.forEach((way, index) => {
      due.push(...at(0, ...way(association(family, 10_000 + index))));
      const send = association(family, 11_000 + index);
      // Data with the right tag half a second later renews what it may renew.
      due.push(...at(0, ...way(send)), ...at(500, send(false, 200, 'DATA'), send(true, 100, 'DATA')));
    });
  });
  const sysctls = seconds({
    sctp_timeout_closed: 1,
    sctp_timeout_cookie_wait: 2,
    sctp_timeout_cookie_echoed: 1,
    sctp_timeout_established: 3,
    sctp_timeout_shutdown_sent: 1,
    sctp_timeout_shutdown_recd: 2,
    sctp_timeout_shutdown_ack_sent: 1,
    sctp_timeout_heartbeat_sent: 2,
  });
  return {
    name: 'SCTP: the end of an entry in each state',
    steps: timeline(4500, ...due),
    sysctls,
    deaths: 2 * 2 * reach.length,
  };
}

export const TIMED_SEQUENCES: TimedSequence[] = [
  udpTimes(),
  tcpTimes(),
  retransmissions(),
  reuse(),
  otherTimes(),
  sctpTimes(),
];
