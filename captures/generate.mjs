// Writes the captures of this folder that no recording gives: link types, pcapng with several interfaces, and TCP
// sequences that real stacks show too rarely. Deterministic: the same bytes each time.
//
//   node captures/generate.mjs           writes them here
//   node captures/generate.mjs --check   exit 1 if a file is not what would be written
//
// The packet builder is the tests' own (test/support/packets.ts), stripped of its types on the way in.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { gunzipSync, gzipSync } from 'node:zlib';
import typescript from 'typescript';

const source = readFileSync(new URL('../test/support/packets.ts', import.meta.url), 'utf8');
const { outputText } = typescript.transpileModule(source, {
  compilerOptions: { module: typescript.ModuleKind.ESNext, target: typescript.ScriptTarget.ES2023 },
});
const build = await import(`data:text/javascript;base64,${Buffer.from(outputText).toString('base64')}`);
const { concat, ethernet, icmp, icmp6, ip, quote, tcp, udp, writePcap } = build;

const CLIENT = '192.168.10.20';
const SERVER = '203.0.113.5';
const DNS = '203.0.113.6';
const CLIENT6 = '2001:db8:10::20';
const SERVER6 = '2001:db8:2::5';

/**
 * Packets with times: 5 ms each unless told otherwise. Each capture has an hour of 2024-01-01 (UTC) and ports of its own,
 * so that several can be replayed together.
 */
class Story {
  packets = [];
  #time;
  constructor(hour) {
    this.#time = 1_704_067_200_000_000_000n + BigInt(hour) * 3_600_000_000_000n;
  }
  /** Lets time pass, seconds. */
  wait(seconds) {
    this.#time += BigInt(Math.round(seconds * 1e9));
    return this;
  }
  /** `out`: from the client's side, which decides interface and MAC addresses. */
  add(packet, out) {
    this.packets.push({ time: this.#time, packet, out });
    return this.wait(0.005);
  }
}

/** One side of a TCP connection sends; fields of `tcp` by name. */
const segment = (story, from, to, sport, dport, out, fields) =>
  story.add(ip(from, to, tcp({ sport, dport, win: 502, ...fields })), out);

/** Handshake, request, answer, close: ten segments. */
function talk(story, client, server, sport, dport = 80) {
  const c = (fields) => segment(story, client, server, sport, dport, true, fields);
  const s = (fields) => segment(story, server, client, dport, sport, false, fields);
  c({ flags: 'S', seq: 1000, win: 64240, mss: 1460, sackOK: true, wscale: 7 });
  s({ flags: 'SA', seq: 5000, ack: 1001, win: 65160, mss: 1460, sackOK: true, wscale: 7 });
  c({ flags: 'A', seq: 1001, ack: 5001 });
  c({ flags: 'PA', seq: 1001, ack: 5001, payload: 80 });
  s({ flags: 'A', seq: 5001, ack: 1081 });
  s({ flags: 'PA', seq: 5001, ack: 1081, payload: 400 });
  c({ flags: 'A', seq: 1081, ack: 5401 });
  c({ flags: 'FA', seq: 1081, ack: 5401 });
  s({ flags: 'FA', seq: 5401, ack: 1082 });
  c({ flags: 'A', seq: 1082, ack: 5402 });
}

function ask(story, client, server, sport) {
  story.add(ip(client, server, udp({ sport, dport: 53, payload: 30 })), true);
  story.add(ip(server, client, udp({ sport: 53, dport: sport, payload: 60 })), false);
}

function ping(story, client, server, id) {
  const message = client.includes(':') ? icmp6 : icmp;
  const [request, reply] = client.includes(':') ? [128, 129] : [8, 0];
  story.add(ip(client, server, message({ type: request, id, seq: 1, payload: 56 })), true);
  story.add(ip(server, client, message({ type: reply, id, seq: 1, payload: 56 })), false);
}

/** A bit of everything: TCP, UDP and ICMP, over IPv4 and IPv6, and a port unreachable. */
function mixture(hour) {
  const story = new Story(hour);
  const port = 40000 + 10 * hour;
  talk(story, CLIENT, SERVER, port + 1);
  ask(story, CLIENT, DNS, port + 2);
  ping(story, CLIENT, SERVER, port);
  const probe = ip(CLIENT, SERVER, udp({ sport: port + 3, dport: 33434, payload: 32 }));
  story.add(probe, true);
  story.add(ip(SERVER, CLIENT, icmp({ type: 3, code: 3, rest: 0, payload: quote(probe) })), false);
  talk(story, CLIENT6, SERVER6, port + 1);
  ask(story, CLIENT6, SERVER6, port + 2);
  ping(story, CLIENT6, SERVER6, port);
  return story.packets;
}

const u16 = (value) => [value >> 8, value & 255];
const u32 = (value) => [(value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
const isSix = (packet) => packet[0] >> 4 === 6;
const ethertype = (packet) => (isSix(packet) ? 0x86dd : 0x0800);
const macs = (out) =>
  out
    ? { source: '02:00:00:00:10:20', target: '02:00:00:00:10:01' }
    : { source: '02:00:00:00:10:01', target: '02:00:00:00:10:20' };

const links = {
  /** Ethernet with the given tags. */
  tagged: (tags) => (packet, out) => ethernet(packet, { ...macs(out), tags }),
  /** PPPoE session (RFC 2516) and PPP protocol field. */
  pppoe: (packet, out) =>
    ethernet(
      concat(
        Uint8Array.from([0x11, 0, ...u16(0x1234), ...u16(packet.length + 2), ...u16(isSix(packet) ? 0x57 : 0x21)]),
        packet,
      ),
      { ...macs(out), ethertype: 0x8864 },
    ),
  /** LINKTYPE_LINUX_SLL: packet type (0 to us, 4 from us), ARPHRD_ETHER, address, protocol. */
  sll: (packet, out) =>
    concat(
      Uint8Array.from([...u16(out ? 0 : 4), 0, 1, 0, 6, 2, 0, 0, 0, 16, 32, 0, 0, ...u16(ethertype(packet))]),
      packet,
    ),
  /** LINKTYPE_LINUX_SLL2: protocol, reserved, interface index, ARPHRD_ETHER, packet type, address. */
  sll2: (packet, out) =>
    concat(
      Uint8Array.from([...u16(ethertype(packet)), 0, 0, ...u32(3), 0, 1, out ? 0 : 4, 6, 2, 0, 0, 0, 16, 32, 0, 0]),
      packet,
    ),
  /** LINKTYPE_NULL: address family in the byte order of the machine that captured; here a little-endian macOS. */
  null: (packet) => concat(Uint8Array.from([isSix(packet) ? 30 : 2, 0, 0, 0]), packet),
  raw: (packet) => packet,
};

const pcap = (packets, frame, spec) =>
  writePcap(
    packets.map(({ time, packet, out }) => ({ time, data: frame(packet, out) })),
    spec,
  );

/** pcapng (draft-ietf-opsawg-pcapng), little-endian: one section, interfaces with names, enhanced packet blocks. */
function pcapng(interfaces, packets) {
  const pad = (bytes) => concat(bytes, new Uint8Array((4 - (bytes.length % 4)) % 4));
  const le = (size, value) =>
    Uint8Array.from({ length: size }, (_, i) => Number((BigInt(value) >> BigInt(8 * i)) & 255n));
  const option = (code, bytes) => concat(le(2, code), le(2, bytes.length), pad(bytes));
  const text = (string) => new TextEncoder().encode(string);
  const end = le(4, 0);
  const block = (type, body) => concat(le(4, type), le(4, body.length + 12), body, le(4, body.length + 12));
  const blocks = [
    block(
      0x0a0d0d0a,
      concat(le(4, 0x1a2b3c4d), le(2, 1), le(2, 0), new Uint8Array(8).fill(255), option(4, text('ctreplay')), end),
    ),
  ];
  for (const { name, link = 1, tsresol } of interfaces) {
    const options = concat(option(2, text(name)), tsresol === undefined ? le(0, 0) : option(9, le(1, tsresol)), end);
    blocks.push(block(1, concat(le(2, link), le(2, 0), le(4, 262144), options)));
  }
  for (const { time, data, iface } of packets) {
    const stamp = interfaces[iface].tsresol === 9 ? time : time / 1000n;
    // epb_flags: inbound.
    const body = [
      le(4, iface),
      le(4, stamp >> 32n),
      le(4, stamp & 0xffffffffn),
      le(4, data.length),
      le(4, data.length),
    ];
    blocks.push(block(6, concat(...body, pad(data), option(2, le(4, 1)), end)));
  }
  return concat(...blocks);
}

/** Each packet as it came in: from the client at eth1 (lan), from the servers at eth2 (dmz), a stranger at eth0 (internet). */
function threeInterfaces() {
  const story = new Story(0);
  talk(story, CLIENT, SERVER, 40001);
  ask(story, CLIENT, DNS, 40002);
  talk(story, CLIENT6, SERVER6, 40001);
  const inside = story.packets.map(({ time, packet, out }) => ({
    time,
    data: ethernet(packet, macs(out)),
    iface: out ? 0 : 1,
  }));
  const stranger = new Story(0);
  stranger.wait(0.0025);
  talk(stranger, '198.51.100.7', SERVER, 50001);
  const outside = stranger.packets.map(({ time, packet, out }) => ({
    time,
    data: ethernet(packet),
    iface: out ? 2 : 1,
  }));
  const all = [...inside, ...outside].sort((one, other) => Number(one.time - other.time));
  return pcapng([{ name: 'eth1', tsresol: 9 }, { name: 'eth2' }, { name: 'eth0', tsresol: 9 }], all);
}

/** One connection per oddity, on ports of its own; between them the time that the state needs to be told apart. */
function oddTcp() {
  const story = new Story(1);
  let port = 41000;
  const pair = () => {
    port += 1;
    const sport = port;
    return [
      (fields) => segment(story, CLIENT, SERVER, sport, 80, true, fields),
      (fields) => segment(story, SERVER, CLIENT, 80, sport, false, fields),
    ];
  };
  const open = (options = {}) => {
    const [c, s] = pair();
    c({ flags: 'S', seq: 1000, win: 64240, ...options });
    s({ flags: 'SA', seq: 5000, ack: 1001, win: 65160, ...options });
    c({ flags: 'A', seq: 1001, ack: 5001, win: 64240 });
    return [c, s];
  };

  // Simultaneous open (RFC 9293 figure 7), then data and an orderly close.
  let [c, s] = pair();
  c({ flags: 'S', seq: 1000, win: 64240 });
  s({ flags: 'S', seq: 5000, win: 65160 });
  c({ flags: 'SA', seq: 1000, ack: 5001, win: 64240 });
  s({ flags: 'SA', seq: 5000, ack: 1001, win: 65160 });
  c({ flags: 'PA', seq: 1001, ack: 5001, win: 64240, payload: 20 });
  s({ flags: 'A', seq: 5001, ack: 1021, win: 65160 });
  c({ flags: 'FA', seq: 1021, ack: 5001, win: 64240 });
  s({ flags: 'FA', seq: 5001, ack: 1022, win: 65160 });
  c({ flags: 'A', seq: 1022, ack: 5002, win: 64240 });

  // RSTs that must not kill: below what was acknowledged, far ahead; then one that does.
  [c, s] = open();
  s({ flags: 'PA', seq: 5001, ack: 1001, win: 65160, payload: 1000 });
  c({ flags: 'A', seq: 1001, ack: 6001, win: 64240 });
  s({ flags: 'R', seq: 5500, win: 0 });
  s({ flags: 'R', seq: 500_000, win: 0 });
  c({ flags: 'PA', seq: 1001, ack: 6001, win: 64240, payload: 10 });
  s({ flags: 'R', seq: 6001, win: 0 });

  // TIME_WAIT, and the same ports again a second later with a sequence number below the old one.
  [c, s] = open();
  c({ flags: 'FA', seq: 1001, ack: 5001, win: 64240 });
  s({ flags: 'FA', seq: 5001, ack: 1002, win: 65160 });
  c({ flags: 'A', seq: 1002, ack: 5002, win: 64240 });
  story.wait(1);
  c({ flags: 'S', seq: 77, win: 64240 });
  s({ flags: 'SA', seq: 9000, ack: 78, win: 65160 });
  c({ flags: 'A', seq: 78, ack: 9001, win: 64240 });

  // Zero window, probes, and the window opens again.
  [c, s] = open();
  s({ flags: 'PA', seq: 5001, ack: 1001, win: 65160, payload: 1000 });
  c({ flags: 'A', seq: 1001, ack: 6001, win: 0 });
  for (let probe = 0; probe < 3; probe += 1) {
    story.wait(0.4 * 2 ** probe);
    s({ flags: 'A', seq: 6000, ack: 1001, win: 65160 });
    c({ flags: 'A', seq: 1001, ack: 6001, win: 0 });
  }
  c({ flags: 'A', seq: 1001, ack: 6001, win: 64240 });
  s({ flags: 'PA', seq: 6001, ack: 1001, win: 65160, payload: 1000 });
  c({ flags: 'A', seq: 1001, ack: 7001, win: 64240 });

  // A lost segment that SACK reports and a retransmission repairs.
  [c, s] = open({ mss: 1460, sackOK: true, wscale: 7 });
  s({ flags: 'A', seq: 5001, ack: 1001, payload: 1000 });
  s({ flags: 'A', seq: 7001, ack: 1001, payload: 1000 });
  c({ flags: 'A', seq: 1001, ack: 6001, sack: [[7001, 8001]] });
  s({ flags: 'A', seq: 8001, ack: 1001, payload: 1000 });
  c({ flags: 'A', seq: 1001, ack: 6001, sack: [[7001, 9001]] });
  s({ flags: 'A', seq: 6001, ack: 1001, payload: 1000 });
  c({ flags: 'A', seq: 1001, ack: 9001 });

  // Half of a host crashes: SYN on an established connection, challenge ACK, RST, SYN again.
  [c, s] = open();
  c({ flags: 'S', seq: 900_000, win: 64240 });
  s({ flags: 'A', seq: 5001, ack: 1001, win: 65160 });
  c({ flags: 'R', seq: 1001, win: 0 });
  story.wait(1);
  c({ flags: 'S', seq: 900_000, win: 64240 });
  s({ flags: 'SA', seq: 70_000, ack: 900_001, win: 65160 });
  c({ flags: 'A', seq: 900_001, ack: 70_001, win: 64240 });

  // Sequence numbers that wrap around in the middle of an answer.
  [c, s] = pair();
  c({ flags: 'S', seq: 4_294_967_290, win: 64240 });
  s({ flags: 'SA', seq: 4_294_967_000, ack: 4_294_967_291, win: 65160 });
  c({ flags: 'A', seq: 4_294_967_291, ack: 4_294_967_001, win: 64240 });
  c({ flags: 'PA', seq: 4_294_967_291, ack: 4_294_967_001, win: 64240, payload: 100 });
  s({ flags: 'PA', seq: 4_294_967_001, ack: 95, win: 65160, payload: 1000 });
  c({ flags: 'A', seq: 95, ack: 705, win: 64240 });
  return story.packets;
}

const files = {
  'interfaces.pcapng': threeInterfaces(),
  'vlan.pcap': pcap(mixture(2), links.tagged([{ vid: 100 }])),
  'qinq.pcap': pcap(mixture(3), links.tagged([{ vid: 200, tpid: 0x88a8 }, { vid: 300 }])),
  'pppoe.pcap': pcap(mixture(4), links.pppoe, { micro: true }),
  'sll.pcap': pcap(mixture(5), links.sll, { link: 113 }),
  'sll2.pcap': pcap(mixture(6), links.sll2, { link: 276 }),
  'null.pcap': pcap(mixture(7), links.null, { link: 0, micro: true }),
  'raw.pcap.gz': gzipSync(pcap(mixture(8), links.raw, { link: 101, bigEndian: true })),
  'tcp-odd.pcap': pcap(oddTcp(), links.tagged([])),
};

/** Compressors differ; what they compressed does not. */
const content = (name, data) => (name.endsWith('.gz') ? gunzipSync(data) : Buffer.from(data));

let stale = 0;
for (const [name, data] of Object.entries(files)) {
  const path = new URL(name, import.meta.url);
  if (!process.argv.includes('--check')) {
    writeFileSync(path, data);
    console.log(`${name}: ${data.length} bytes`);
  } else if (!existsSync(path) || !content(name, readFileSync(path)).equals(content(name, data))) {
    console.error(`captures/${name} is not what captures/generate.mjs writes`);
    stale += 1;
  }
}
process.exitCode = stale === 0 ? 0 : 1;
