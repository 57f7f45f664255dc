// Does the short way of decoding (assembly/decode-usual.ts) say the same as the long one? A VLAN tag sends a frame the
// long way and changes nothing else, so each frame is decoded with and without one. Frames are TCP and UDP over IPv4, as
// sent, with wrong checksums or lengths, cut, padded, or with some of their bytes changed.

import { beforeAll, describe, expect, it } from 'vitest';
import { Checksums } from '../../assembly/vocabulary.ts';
import { PACKET } from '../../src/engine/layout.ts';
import { Random } from '../model/random.ts';
import { BUILDS, type Frame, openEngine, type TestEngine } from '../support/engine.ts';
import { ethernet, ip, tcp, udp } from '../support/packets.ts';

const SEEDS = 200;
const FRAMES = 64;
const LINK_ETHERNET = 1;
const TAG = [0x81, 0x00, 0x00, 0x05];
const TAG_AT = 12;

function address(random: Random): string {
  return `10.${random.below(256)}.${random.below(256)}.${1 + random.below(254)}`;
}

function packet(random: Random): Uint8Array {
  const ports = { sport: random.below(65536), dport: random.below(65536) };
  const payload = Uint8Array.from({ length: random.chance(0.1) ? 1400 : random.below(90) }, () => random.below(256));
  const badChecksum = random.chance(0.1);
  const transport = random.chance(0.6)
    ? tcp({ ...ports, flags: random.below(256), seq: random.below(2 ** 32), win: 1000, payload, badChecksum })
    : udp({ ...ports, payload, badChecksum, noChecksum: random.chance(0.1) });
  return ip(address(random), address(random), transport, {
    ttl: random.below(256),
    tos: random.below(256),
    badIpChecksum: random.chance(0.03),
    ...(random.chance(0.03) && { options: [1, 1, 1, 1] }),
    ...(random.chance(0.03) && { fragment: { offset: 8 * random.below(3), more: random.chance(0.5) } }),
  });
}

/** A frame, and the same with a VLAN tag. */
function pair(random: Random): [Frame, Frame] {
  const mac = Uint8Array.from({ length: 12 }, () => random.below(256));
  if (random.chance(0.9)) mac[0]! &= 0xfe;
  if (random.chance(0.05)) mac.fill(0xff, 0, 6);
  const bytes = ethernet(packet(random));
  bytes.set(mac);
  // Most changes are of headers.
  for (let changes = random.chance(0.5) ? 0 : random.below(4); changes > 0; changes--) {
    const reach = random.chance(0.8) ? Math.min(bytes.length, 54) : bytes.length;
    bytes[TAG_AT + random.below(reach - TAG_AT)] = random.below(256);
  }
  const padding = random.chance(0.2) ? random.below(30) : 0;
  const fcs = random.chance(0.2) ? 4 : 0;
  const length = bytes.length + padding + (random.chance(0.1) ? random.below(9) - 4 : fcs);
  const padded = new Uint8Array(Math.max(length, TAG_AT + 2));
  padded.set(bytes.subarray(0, padded.length));
  const captured = random.chance(0.2) ? TAG_AT + 2 + random.below(padded.length - TAG_AT - 1) : padded.length;
  const plain = padded.subarray(0, captured);
  const tagged = Uint8Array.from([...plain.subarray(0, TAG_AT), ...TAG, ...plain.subarray(TAG_AT)]);
  const frame = { time: BigInt(random.below(1e9)), link: LINK_ETHERNET, fcs };
  return [
    { ...frame, data: plain, length: padded.length },
    { ...frame, data: tagged, length: padded.length + TAG.length },
  ];
}

/** The Packet with addresses counted from the beginning of its frame, as if the tag were not there. */
function decoded(engine: TestEngine, at: number, start: number, tag: number): string {
  const bytes = engine.bytes.slice(at, at + PACKET.size);
  const view = new DataView(bytes.buffer);
  for (const [field, origin] of [
    [PACKET.l3, start + tag],
    [PACKET.l4, start + tag],
    [PACKET.mac, start],
  ] as const) {
    const address = view.getUint32(field, true);
    if (address !== 0) view.setUint32(field, address - origin, true);
  }
  return Buffer.from(bytes).toString('hex');
}

describe.each(BUILDS)('decoding TCP and UDP over IPv4 (%s)', (build) => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await openEngine({ build });
  });

  it.each([Checksums.IGNORE, Checksums.VERIFY, Checksums.AUTO])(
    'checksums %s: the same with a VLAN tag',
    (checksums) => {
      let judged = 0;
      for (let seed = 1; seed <= SEEDS; seed++) {
        const random = new Random(seed);
        const frames = Array.from({ length: FRAMES }, () => pair(random)).flatMap(([plain, tagged]) => [
          plain,
          { ...tagged, time: plain.time },
        ]);
        const batch = engine.decodeBatch(frames, { checksums, filler: random.below(256) });
        judged += batch.length;
        const queued = Array.from({ length: batch.length }, (_, i) => engine.view.getUint16(batch.queue + i * 2, true));
        for (let i = 0; i < frames.length; i += 2) {
          const at = batch.packets + i * PACKET.size;
          const [start, taggedStart] = [batch.starts[i]!, batch.starts[i + 1]!];
          const where = `seed ${seed}, frame ${i}: ${Buffer.from(frames[i]!.data).toString('hex')}`;
          expect(decoded(engine, at, start, 0), where).toBe(decoded(engine, at + PACKET.size, taggedStart, TAG.length));
          expect(queued.includes(i), where).toBe(queued.includes(i + 1));
        }
        engine.checkCanaries();
      }
      // Both ends are reached: packets that are judged, and packets that are not.
      expect(judged).toBeGreaterThan(SEEDS * FRAMES * 0.5);
      expect(judged).toBeLessThan(SEEDS * FRAMES * 2 * 0.98);
    },
  );
});
