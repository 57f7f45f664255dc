// Can any frame upset the engine? Random bytes, real packets with changed bytes, and real packets with lying lengths, on
// every link type: no trap, no write outside its areas, no verdict that depends on bytes outside the frame, and for
// every packet a verdict or a reason.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { Checksums } from '../../assembly/vocabulary.ts';
import { Random } from '../model/random.ts';
import { drawSettings } from '../model/settings.ts';
import { ModelTracker } from '../model/tracker.ts';
import { Traffic } from '../model/traffic.ts';
import { BUILDS, type Frame, openEngine, type PacketView, SECOND, type TestEngine } from '../support/engine.ts';
import { concat, ethernet, icmp, icmp6, ip, quote, raw } from '../support/packets.ts';

const START = 1_700_000_000n * SECOND;
const LINKS = [0, 1, 12, 14, 101, 108, 113, 228, 229, 276, 9999];
const FRAMES = 1500;
/** More seeds from elsewhere: FUZZ_SEEDS=first-last. */
const range = process.env.FUZZ_SEEDS?.split('-').map(Number) ?? [1, 6];

/** IP packets of the bundled captures (classic pcap, Ethernet): what programs really send. */
function recorded(): Uint8Array[] {
  const folder = fileURLToPath(new URL('../../captures/', import.meta.url));
  const packets: Uint8Array[] = [];
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    const file = name.endsWith('.pcap') ? readFileSync(folder + name) : Buffer.alloc(0);
    if (file.length < 24 || file.readUInt32LE(20) !== 1) continue;
    for (let at = 24; at + 16 <= file.length && packets.length < 2000; ) {
      const size = file.readUInt32LE(at + 8);
      packets.push(Uint8Array.from(file.subarray(at + 16 + 14, at + 16 + size)));
      at += 16 + size;
    }
  }
  return packets;
}

/** Generated packets of all kinds, some of them with extension headers, options, or within errors. */
function generated(random: Random): Uint8Array[] {
  const model = new ModelTracker(drawSettings(random));
  const traffic = new Traffic(random, model);
  const packets: Uint8Array[] = [];
  for (let i = 0; i < 200; i++) {
    const { bytes, time } = traffic.draw();
    model.judge(bytes, time);
    packets.push(bytes);
    const six = bytes[0]! >> 4 === 6;
    const [from, to] = six ? ['2001:db8::1', '2001:db8::2'] : ['10.0.0.1', '10.0.0.2'];
    const transport = raw(bytes[six ? 6 : 9]!, bytes.slice(six ? 40 : 20));
    const spec = six
      ? { extensions: [{ protocol: random.pick([0, 43, 60]), bytes: [1, random.below(30), 0, 0, 0, 0] }] }
      : { options: Array.from({ length: 1 + random.below(40) }, () => random.below(8)) };
    packets.push(ip(from!, to!, transport, spec));
    const type = six ? random.pick([1, 2, 3, 4, 137]) : random.pick([3, 4, 5, 11, 12]);
    const payload = concat(
      type === 137 ? Uint8Array.from([...Array(32).fill(0), 4, 1, 0, 0, 0, 0, 0, 0]) : new Uint8Array(),
      quote(packets.at(-1)!),
    );
    packets.push(ip(type === 137 ? 'fe80::1' : to!, from!, (six ? icmp6 : icmp)({ type, payload }), { ttl: 255 }));
  }
  return packets;
}

/** The link header that leads to an IP packet. */
function framed(random: Random, packet: Uint8Array): { data: Uint8Array; link: number } {
  const six = (packet[0] ?? 0) >> 4 === 6;
  const [high, low] = six ? [0x86, 0xdd] : [0x08, 0x00];
  const link = random.pick([0, 1, 1, 1, 12, 101, 101, 108, 113, 228, 276]);
  const tags = Array.from({ length: random.below(3) }, () => ({ vid: 1, tpid: random.pick([0x8100, 0x88a8, 0x9100]) }));
  switch (link) {
    case 0:
    case 108:
      return { link, data: concat(Uint8Array.from(six ? [0, 0, 0, 30] : [2, 0, 0, 0]), packet) };
    case 1:
      return { link, data: ethernet(packet, { tags, ethertype: high! * 256 + low! }) };
    case 113:
      return { link, data: concat(Uint8Array.from([0, random.below(5), ...Array(12).fill(0), high!, low!]), packet) };
    case 276:
      return { link, data: concat(Uint8Array.from([high!, low!, ...Array(18).fill(0)]), packet) };
    default:
      return { link, data: packet };
  }
}

const INTERESTING = [0, 1, 2, 4, 5, 6, 7, 8, 15, 16, 20, 40, 44, 58, 59, 60, 64, 127, 128, 135, 137, 255];

/** One frame out of a packet: bytes, lengths or ends changed, or all of it. */
function mutated(random: Random, packet: Uint8Array, time: bigint): Frame {
  let { data, link } = framed(random, packet);
  data = data.slice();
  const headers = Math.min(data.length, 120);
  const many = random.chance(0.3) ? 1 + random.below(12) : 1;
  for (let i = 0; i < many && data.length > 0; i++) {
    const at = random.below(random.chance(0.9) ? headers : data.length);
    const kind = random.below(5);
    if (kind === 0) data[at] = random.below(256);
    if (kind === 1) data[at] = random.pick(INTERESTING);
    if (kind === 2) data[at]! ^= 1 << random.below(8);
    if (kind === 3) data = data.slice(0, random.below(data.length + 1));
    if (kind === 4) data = concat(data.slice(0, at), data.slice(at + 1 + random.below(4)));
  }
  const lies = [
    data.length,
    data.length,
    data.length + random.below(100),
    random.below(data.length + 1),
    0,
    65_535,
    0xffffffff,
  ];
  if (random.chance(0.05)) link = random.pick(LINKS);
  return { time, data, link, length: random.pick(lies), fcs: random.chance(0.1) ? random.pick([4, 8, 255]) : 0 };
}

function randomFrame(random: Random, time: bigint): Frame {
  const data = Uint8Array.from({ length: random.below(random.chance(0.5) ? 80 : 400) }, () =>
    random.chance(0.3) ? random.pick(INTERESTING) : random.below(256),
  );
  const link = random.pick(LINKS);
  // Random bytes hardly ever look like IP: help them along.
  const at = { 0: 4, 1: 14, 108: 4, 113: 16, 276: 20 }[link] ?? 0;
  if (random.chance(0.8) && data.length > at) data[at] = random.pick([0x45, 0x45, 0x46, 0x4f, 0x60]);
  if (random.chance(0.8) && link === 1 && data.length > 14) data.set(data[14]! >> 4 === 6 ? [0x86, 0xdd] : [8, 0], 12);
  return { time, data, link, length: random.pick([data.length, data.length + 50, random.below(data.length + 1)]) };
}

/** What holds for every packet, whatever it was. */
function fault(frame: Frame, p: PacketView): string | undefined {
  if (p.verdict === 'NONE') {
    if (p.reason === 'NONE') return 'neither verdict nor reason';
    if (p.ctState !== 'NONE' || p.flowId !== 0) return 'not judged, but tracked';
    return undefined;
  }
  // The time to live may have run out, IP options, fragments or a source of link scope may be refused; nothing else drops
  // without rules.
  const dropped = /^(TTL_EXCEEDED|IP_OPTIONS|SOURCE_ROUTE|BEYOND_SCOPE|MARTIAN|FRAGMENT_.*)$/.test(p.reason);
  if (p.verdict !== 'ACCEPT' && !dropped) return `${p.verdict} without a rule`;
  if (p.ctState === 'NONE' && !p.reason.startsWith('FRAGMENT_')) return 'judged, but never tracked';
  if (p.ctState === 'INVALID' && p.reason === 'NONE') return 'INVALID without a reason';
  if (p.ctState === 'INVALID' && p.flowId !== 0) return 'INVALID with an entry';
  if (p.l3At < 0 || p.l4Captured > p.l4Len || p.l4Len > p.ipLen) return 'lengths do not fit each other';
  if (p.l4At >= 0 && p.l4At + p.l4Captured > frame.data.length) return 'reaches behind the captured bytes';
  return undefined;
}

describe.each(BUILDS)('%s build', (build) => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await openEngine({ build });
  });

  /** Feeds the same frames to two worlds between different bytes; says what is wrong with any of them. */
  function judge(frames: Frame[], checksums: Checksums): string | undefined {
    engine.reset();
    const outcomes = [0x00, 0xff].map((filler) => {
      const world = engine.world({ checksums, filler, events: 16, sysctls: { ACCT: 1 } });
      const packets: PacketView[] = [];
      for (let i = 0; i < frames.length; i += 200) packets.push(...world.feed(frames.slice(i, i + 200)));
      world.sweep(frames.at(-1)!.time + 10_000_000n * SECOND);
      return { packets, events: world.takeEvents(), left: world.flowCount };
    });
    engine.checkCanaries();
    const [a, b] = outcomes;
    const show = (value: unknown) => JSON.stringify(value, (_, each) => (typeof each === 'bigint' ? `${each}` : each));
    for (const [i, frame] of frames.entries()) {
      const wrong = fault(frame, a!.packets[i]!);
      const place = `frame ${i + 1}, link ${frame.link}, length ${frame.length}: ${Buffer.from(frame.data).toString('hex')}`;
      if (wrong) return `${wrong}: ${show(a!.packets[i])} (${place})`;
      if (show(a!.packets[i]) !== show(b!.packets[i])) return `depends on what lies around it: ${place}`;
    }
    if (show(a!.events) !== show(b!.events)) return 'events depend on what lies around the frames';
    return a!.left === 0 ? undefined : `${a!.left} entries never expired`;
  }

  const seeds = Array.from({ length: range[1]! - range[0]! + 1 }, (_, i) => range[0]! + i);

  it.each(seeds)('random bytes (seed %i)', (seed) => {
    const random = new Random(seed);
    const frames = Array.from({ length: FRAMES }, (_, i) => randomFrame(random, START + BigInt(i) * 1_000_000n));
    expect(judge(frames, random.pick([Checksums.IGNORE, Checksums.VERIFY, Checksums.AUTO]))).toBeUndefined();
  });

  it.each(seeds)('changed packets (seed %i)', (seed) => {
    const random = new Random(seed + 1_000_000);
    const packets = [...recorded(), ...generated(random)];
    let time = START;
    const frames = Array.from({ length: FRAMES }, () => {
      time += BigInt(random.below(2 ** random.below(31)));
      const packet = random.pick(packets);
      return random.chance(0.3) ? { time, ...framed(random, packet) } : mutated(random, packet, time);
    });
    expect(judge(frames, random.pick([Checksums.IGNORE, Checksums.IGNORE, Checksums.AUTO]))).toBeUndefined();
  });
});
