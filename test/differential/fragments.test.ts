// Does the kernel put fragments together where ctreplay does, and into the same packets? Captures, hand-made cases and
// generated storms of fragments. Needs what kernel.test.ts needs.

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type FragmentSpec, fragment, fragmentStorm } from '../support/fragments.ts';
import * as build from '../support/packets.ts';
import { traffic } from './craft.ts';
import { framesOf } from './frames.ts';
import { compareTraffic } from './judge.ts';
import { missing, type Question } from './kernel.ts';
import { commandLine } from './ours.ts';
import { readCapture } from './read-capture.ts';
import { ruleset } from './sequences.ts';

/** On a busy machine a second may pass between a packet and the kernel's clock: such a comparison is made again. */
const AGAIN = { retry: 2, timeout: 120_000 };

const shared = fileURLToPath(new URL('../../../shared/captures/', import.meta.url));
const lacks = [...missing(), ...(commandLine() ? [] : ['a built ctreplay (npm run build)'])];
if (lacks.length) console.warn(`fragments with the kernel SKIPPED; missing: ${lacks.join('; ')}`);
const noCaptures = !existsSync(shared);
if (noCaptures) console.warn(`captures SKIPPED: ${shared} is not there`);
if (lacks.length && process.env.CTREPLAY_REQUIRE_KERNEL === '1') {
  it('fragments can be compared with the kernel', () => {
    throw new Error(`missing: ${lacks.join('; ')}`);
  });
}

const SETTINGS: Record<string, Partial<Question>> = {
  'a conntrack rule': {
    rules4: [ruleset('conntrack.iptables-save')],
    rules6: [ruleset('conntrack.ip6tables-save')],
  },
  'a gateway': { rules4: [ruleset('gateway.iptables-save')], rules6: [ruleset('gateway.ip6tables-save')] },
};

/** Compares and returns how many packets the kernel put together. */
async function agree(asked: Question): Promise<number> {
  const stories: string[] = [];
  const options = { workers: 2, limit: 3, print: (text: string) => void stories.push(text) };
  const { comparison, kernel } = await compareTraffic(asked, options);
  expect(comparison.packets).toBe(asked.frames.length);
  if (comparison.differences.length) {
    throw new Error(`${comparison.differences.length} differences in ${comparison.packets}\n${stories.join('\n')}`);
  }
  return kernel.packets.filter(({ ct }) => ct).length;
}

function asking(steps: (Buffer | number)[], extra: Partial<Question> = {}): Question {
  const given = { ...traffic(steps), ...SETTINGS['a conntrack rule'], sysctls: {}, ...extra };
  return { rules4: [], rules6: [], interfaces: ['lan', 'wan'], ...given } as Question;
}

const CAPTURES = [
  'v4-frag-large-ping.pcap',
  'v4-frag-tcp-syn.pcap',
  'v4-frag-teardrop.pcap',
  'v6-atomic-fragment-tcp.pcap',
  'v6-fragmented-dns.pcap',
  'v6-overlapping-fragments.pcap',
];

describe.skipIf(lacks.length > 0 || noCaptures)('captures with fragments: the kernel and ctreplay agree', AGAIN, () => {
  for (const [setting, extra] of Object.entries(SETTINGS)) {
    it.each(CAPTURES)(`%s with ${setting}`, async (name) => {
      const given = framesOf(readCapture(shared + name));
      await agree({ ...given, rules4: [], rules6: [], sysctls: {}, interfaces: ['lan', 'wan'], ...extra });
    });
  }
});

type Family = 4 | 6;
const ENDS = { 4: ['10.0.0.2', '192.0.2.80'], 6: ['2001:db8:1::2', '2001:db8:2::80'] } as const;

function whole(family: Family, transport: build.Transport, spec: build.IpSpec = {}): Uint8Array {
  return build.ip(ENDS[family][0], ENDS[family][1], transport, { df: false, ...spec });
}

const datagram = (family: Family, payload = 72): Uint8Array =>
  whole(family, build.udp({ sport: 4000, dport: 53, payload }));

/** Fragments [offset, length, more?, further] of one datagram of 80 bytes of data; a number is a pause. */
type Cut = [offset: number, length: number, more?: boolean, extra?: Partial<FragmentSpec>] | number;

function cuts(family: Family, list: readonly Cut[], packet = datagram(family)): (Buffer | number)[] {
  return list.map((cut) => {
    if (typeof cut === 'number') return cut;
    const [offset, length, more = true, extra] = cut;
    return Buffer.from(fragment(packet, { offset, length, more, ...extra }));
  });
}

const CASES: [name: string, list: Cut[]][] = [
  [
    'in order',
    [
      [0, 32],
      [32, 32],
      [64, 16, false],
    ],
  ],
  [
    'backwards',
    [
      [64, 16, false],
      [32, 32],
      [0, 32],
    ],
  ],
  [
    'the first one last',
    [
      [32, 32],
      [64, 16, false],
      [0, 32],
    ],
  ],
  [
    'an exact duplicate',
    [
      [0, 32],
      [0, 32],
      [32, 48, false],
    ],
  ],
  [
    'a duplicate within a run',
    [
      [0, 32],
      [32, 32],
      [8, 40],
      [64, 16, false],
    ],
  ],
  [
    'a repetition of two runs that touch',
    [
      [0, 8],
      [16, 8],
      [8, 8],
      [0, 24],
      [24, 56, false],
    ],
  ],
  [
    'an overlap at the end',
    [
      [0, 32],
      [24, 32],
      [64, 16, false],
      [0, 32],
      [32, 32],
    ],
  ],
  [
    'an overlap at the front',
    [
      [32, 32],
      [0, 40],
      [64, 16, false],
      [0, 32],
      [32, 32],
    ],
  ],
  [
    'one that covers another',
    [
      [8, 16],
      [0, 40],
      [40, 40, false],
      [0, 40],
    ],
  ],
  [
    'two last ones',
    [
      [64, 16, false],
      [48, 16, false],
      [0, 64],
      [64, 16, false],
    ],
  ],
  [
    'a last one that moves back',
    [
      [0, 64],
      [32, 16, false],
      [64, 16, false],
      [0, 64],
    ],
  ],
  [
    'data behind the last one',
    [
      [32, 16, false],
      [64, 16],
      [0, 32],
      [0, 32],
      [32, 48, false],
    ],
  ],
  [
    'an empty one in the middle',
    [
      [0, 32],
      [32, 0],
      [32, 48, false],
      [0, 32],
    ],
  ],
  [
    'an empty last one',
    [
      [0, 80],
      [80, 0, false],
      [80, 0, false],
      [0, 80],
    ],
  ],
  [
    'a last one that repeats the end',
    [
      [0, 32],
      [32, 48],
      [32, 48, false],
      [72, 8, false],
      [0, 80, false],
    ],
  ],
  [
    'a length that is no multiple of 8',
    [
      [0, 30],
      [32, 48, false],
      [24, 8],
      [0, 24],
    ],
  ],
  [
    'a first one shorter than 8',
    [
      [0, 4],
      [0, 80, false],
    ],
  ],
  [
    'a first one without transport header',
    [
      [0, 8],
      [8, 72, false],
    ],
  ],
  [
    'too large',
    [
      [0, 80],
      [65528, 80],
      [65520, 16, false],
      [65512, 24, false],
    ],
  ],
  [
    'another identification',
    [
      [0, 40],
      [40, 40, false, { id: 2 }],
      [0, 40, true, { id: 2 }],
      [40, 40, false],
    ],
  ],
  [
    'congestion experienced',
    [
      [0, 40, true, { tos: 2 }],
      [40, 40, false, { tos: 3 }],
    ],
  ],
  [
    'congestion that contradicts',
    [
      [0, 40, true, { tos: 0 }],
      [40, 40, false, { tos: 3 }],
      [0, 40],
      [40, 40, false],
    ],
  ],
  [
    'capable and not capable',
    [
      [0, 40, true, { tos: 1 }],
      [40, 40, false, { tos: 0 }],
    ],
  ],
  [
    "don't fragment",
    [
      [0, 40, true, { df: true }],
      [40, 40, false, { df: true }],
    ],
  ],
  ['atomic', [[0, 80, false]]],
  [
    'atomic, while others of the same name wait',
    [
      [0, 40],
      [0, 80, false],
      [40, 40, false],
    ],
  ],
  [
    'again after it was complete',
    [
      [0, 40],
      [40, 40, false],
      [0, 40],
      [40, 40, false],
    ],
  ],
];

describe.skipIf(lacks.length > 0)('hand-made fragments: the kernel and ctreplay agree', AGAIN, () => {
  for (const family of [4, 6] as const) {
    it.each(CASES)(`IPv${family}: %s`, async (_name, list) => {
      await agree(asking(cuts(family, list)));
    });

    it(`IPv${family}: a queue times out`, async () => {
      const sysctls = { 'net.ipv4.ipfrag_time': '1', 'net.netfilter.nf_conntrack_frag6_timeout': '1' };
      const list: Cut[] = [[0, 40], 1500, [40, 40, false], [0, 40]];
      expect(await agree(asking(cuts(family, list), { sysctls }))).toBe(1);
    });

    it(`IPv${family}: no room`, async () => {
      // What one fragment of 40 bytes and its queue count: seen in /proc/net/sockstat for IPv4.
      const held = family === 4 ? 968 : 952;
      for (const [limit, whole] of [
        [held - 1, 0],
        [held, 1],
      ] as const) {
        const sysctls = {
          'net.ipv4.ipfrag_low_thresh': '0',
          'net.ipv4.ipfrag_high_thresh': String(limit),
          'net.netfilter.nf_conntrack_frag6_low_thresh': '0',
          'net.netfilter.nf_conntrack_frag6_high_thresh': String(limit),
        };
        const list: Cut[] = [
          [0, 40],
          [40, 40, false],
        ];
        expect(await agree(asking(cuts(family, list), { sysctls }))).toBe(whole);
      }
    });

    it(`IPv${family}: errors about fragments`, async () => {
      const first = cuts(family, [
        [0, 40],
        [40, 40, false],
      ]) as Buffer[];
      const error = (quoted: Uint8Array): Buffer => {
        const payload = build.quote(quoted, 100);
        const message =
          family === 4 ? build.icmp({ type: 11, code: 0, payload }) : build.icmp6({ type: 3, code: 0, payload });
        return Buffer.from(build.ip(ENDS[family][1], ENDS[family][0], message, {}));
      };
      await agree(asking([...first, error(first[0]!), error(first[1]!)]));
    });
  }

  it('IPv4: a source that sends many others meanwhile', async () => {
    const others = Array.from({ length: 70 }, (_, i): Cut => [0, 40, true, { id: 100 + i }]);
    expect(await agree(asking(cuts(4, [[0, 40], ...others, [40, 40, false], [0, 40]])))).toBe(1);
    expect(await agree(asking(cuts(4, [[0, 40], ...others.slice(0, 63), [40, 40, false]])))).toBe(1);
    expect(await agree(asking(cuts(4, [[0, 40], ...others.slice(0, 64), [40, 40, false]])))).toBe(0);
  });

  it('IPv4: options; TCP; ICMP in pieces', async () => {
    const packets = [
      whole(4, build.udp({ sport: 1, dport: 2, payload: 100 }), { options: [1, 1, 1, 0] }),
      whole(4, build.tcp({ sport: 5, dport: 6, flags: 'S', seq: 1, payload: 40 })),
      whole(4, build.icmp({ type: 8, code: 0, id: 7, seq: 1, payload: 100 })),
    ];
    const steps = packets.flatMap((packet, id) =>
      cuts(
        4,
        [
          [8, 200, false, { id }],
          [0, 8, true, { id }],
        ],
        packet,
      ),
    );
    await agree(asking(steps));
  });

  it.each(Array.from({ length: Number(process.env.CTREPLAY_FRAGMENT_SEEDS ?? 6) }, (_, i) => i + 1))(
    'storm %i',
    async (seed) => {
      const steps = fragmentStorm(seed, 120, (n, pick) => {
        const family = pick(2) ? 4 : 6;
        return whole(family, build.udp({ sport: 1000 + (n % 7), dport: 53, payload: pick(200) }));
      });
      const sysctls = { 'net.ipv4.ipfrag_max_dist': String(seed % 2 ? 64 : 6) };
      await agree(
        asking(
          steps.map((bytes) => Buffer.from(bytes)),
          { sysctls },
        ),
      );
    },
  );
});
