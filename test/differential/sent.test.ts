// Do packets leave the kernel as `--write --as-sent` writes them, byte by byte? What other comparisons do not bring about: links
// with a smaller MTU, fragments of all sizes behind NAT, damaged checksums, every kind of NAT. Needs what kernel.test.ts needs.

import { describe, expect, it } from 'vitest';
import { type FragmentSpec, fragment } from '../support/fragments.ts';
import * as build from '../support/packets.ts';
import { traffic } from './craft.ts';
import { compareTraffic } from './judge.ts';
import { missing, type Question } from './kernel.ts';
import { commandLine } from './ours.ts';

const AGAIN = { retry: 2, timeout: 120_000 };
const lacks = [...missing(), ...(commandLine() ? [] : ['a built ctreplay (npm run build)'])];
if (lacks.length) {
  console.warn(`packets as the kernel sends them SKIPPED; missing: ${lacks.join('; ')}`);
  if (process.env.CTREPLAY_REQUIRE_KERNEL === '1') {
    it('packets can be compared with those that the kernel sends', () => {
      throw new Error(lacks.join('; '));
    });
  }
}

type Family = 4 | 6;
const CLIENT = { 4: '10.0.0.2', 6: '2001:db8:1::2' } as const;
const SERVER = { 4: '192.0.2.80', 6: '2001:db8:2::80' } as const;
/** Where NAT rules send clients, and what they publish the server as. */
const OUTSIDE = { 4: '198.18.255.101', 6: '2001:2:0:ee::1:101' } as const;
const PUBLIC = { 4: '198.18.254.111', 6: '2001:2:0:ed::1' } as const;

const conntrack = '*filter\n-A FORWARD -m conntrack --ctstate INVALID\nCOMMIT\n';
const nat = (...rules: string[]): string => `*nat\n${rules.map((rule) => `-A ${rule}\n`).join('')}COMMIT\n`;
const ruled = (family: Family, ...texts: string[]): Partial<Question> =>
  family === 4 ? { rules4: texts } : { rules6: texts };

/** Compares; returns what became of each packet in the kernel, and how many left. */
async function agree(
  steps: (Uint8Array | number)[],
  extra: Partial<Question>,
): Promise<[verdicts: string, sent: number]> {
  const given = traffic(steps.map((step) => (typeof step === 'number' ? step : Buffer.from(step))));
  const asked: Question = { ...given, rules4: [], rules6: [], sysctls: {}, interfaces: ['lan', 'wan'], ...extra };
  const stories: string[] = [];
  const { comparison, kernel } = await compareTraffic(asked, {
    workers: 2,
    limit: 3,
    print: (text) => void stories.push(text),
  });
  if (comparison.differences.length) {
    throw new Error(`${comparison.differences.length} differences\n${stories.join('\n')}`);
  }
  return [kernel.packets.map(({ verdict }) => verdict[0]).join(''), comparison.sent];
}

const out = (family: Family, transport: build.Transport, spec: build.IpSpec = {}, target: string = SERVER[family]) =>
  build.ip(CLIENT[family], target, transport, spec);
const back = (family: Family, transport: build.Transport, spec: build.IpSpec = {}, target: string = CLIENT[family]) =>
  build.ip(SERVER[family], target, transport, spec);
const header = { 4: 20, 6: 40 } as const;
/** A datagram of so many bytes, IP header included. */
const datagram = (family: Family, length: number, spec: build.IpSpec = {}): Uint8Array =>
  out(family, build.udp({ sport: 4000, dport: 53, payload: length - header[family] - 8 }), spec);

/** Ports 4002 and 81, no tag, a checksum that is wrong; INIT with tag, window, streams, first TSN (RFC 9260 section 3.3.2). */
const SCTP_INIT = Uint8Array.of(
  ...[15, 162, 0, 81, 0, 0, 0, 0, 1, 2, 3, 4],
  ...[1, 0, 0, 20, 0, 0, 0, 9, 0, 0, 255, 255, 0, 1, 0, 1, 0, 0, 0, 5],
);

const MTUS = [9000, 1400] as const;

const NATS: [name: string, rules: (family: Family) => string][] = [
  ['without NAT', () => conntrack],
  ['behind NAT', (family) => nat(`POSTROUTING -o wan -j SNAT --to-source ${OUTSIDE[family]}`)],
];

describe.skipIf(lacks.length > 0)('a link with a smaller MTU', AGAIN, () => {
  for (const family of [4, 6] as const) {
    for (const [name, rules] of NATS) {
      it(`IPv${family} ${name}: packets around it`, async () => {
        const steps = [1399, 1400, 1401, 1408, 3000].flatMap((length) => [
          datagram(family, length),
          datagram(family, length, { df: false, id: length }),
          out(family, build.tcp({ sport: 5000, dport: 80, flags: 'S', seq: 1, payload: length - header[family] - 20 })),
        ]);
        const [verdicts] = await agree(steps, { mtus: MTUS, ...ruled(family, rules(family)) });
        expect(verdicts).toBe(family === 4 ? 'AAAAAADADDADDAD' : 'AAAAAADDDDDDDDD');
      });

      it(`IPv${family} ${name}: fragments of all sizes`, async () => {
        const cuts: [length: number, ...fragments: number[]][] = [
          [2000, 1000],
          [2000, 1376],
          [2000, 1384],
          [2000, 1992],
          [3000, 1384, 8],
          [3000, 2000, 984],
          [3000, 8, 2000],
          [1300, 8],
          [1300, 16, 8, 8, 64],
          [1401, 1352],
          [100, 48, 8],
        ];
        const steps = [false, true].flatMap((df) =>
          cuts.flatMap(([length, ...sizes], id) => {
            const whole = out(family, build.udp({ sport: 4000 + id, dport: 53, payload: length - 8 }), { df: false });
            const specs: FragmentSpec[] = [];
            let offset = 0;
            for (const size of [...sizes, length - sizes.reduce((sum, part) => sum + part, 0)]) {
              specs.push({ offset, length: size, more: true, id: id + (df ? 100 : 50), df });
              offset += size;
            }
            specs.at(-1)!.more = false;
            const pieces = specs.map((spec) => fragment(whole, spec));
            return id % 2 ? pieces.reverse() : pieces;
          }),
        );
        await agree(steps, { mtus: MTUS, ...ruled(family, rules(family)) });
        await agree(steps, ruled(family, rules(family)));
      });
    }
  }

  it('fragments with options, of which later ones lose some', async () => {
    // Router alert is copied, an unknown option of the class of debugging is not (RFC 791 section 3.1).
    const options = [0x94, 4, 0, 0, 0x5e, 4, 1, 2, 1, 1, 1, 0];
    const whole = datagram(4, 3000 + 12, { df: false, options });
    const pieces = [
      fragment(whole, { offset: 0, length: 1496, more: true }),
      fragment(whole, { offset: 1496, length: 1496, more: false }),
    ];
    await agree([whole, ...pieces], { mtus: MTUS, rules4: [conntrack] });
    await agree(pieces, { rules4: [conntrack] });
  });

  it('a segment that a helper makes too long', async () => {
    const rules = [
      '*raw\n-A PREROUTING -p tcp -m tcp --dport 21 -j CT --helper ftp\nCOMMIT\n',
      nat(`POSTROUTING -o wan -j SNAT --to-source ${OUTSIDE[4]}`),
    ];
    const ends = { sport: 5000, dport: 21 };
    const answers = { sport: 21, dport: 5000 };
    const text = (words: string): Uint8Array => Buffer.from(words);
    for (const [length, df, verdict] of [
      [1394, true, 'A'],
      [1395, true, 'D'],
      [1395, false, 'A'],
      [1401, true, 'D'],
    ] as const) {
      const command = `PORT 10,0,0,2,156,64\r\n${'x'.repeat(length - 40 - 24)}\r\n`;
      const port = (seq: number) =>
        out(4, build.tcp({ ...ends, flags: 'PA', seq, ack: 508, payload: text(command) }), { df });
      const [verdicts] = await agree(
        [
          out(4, build.tcp({ ...ends, flags: 'S', seq: 100 })),
          back(4, build.tcp({ ...answers, flags: 'SA', seq: 500, ack: 101 }), {}, OUTSIDE[4]),
          out(4, build.tcp({ ...ends, flags: 'A', seq: 101, ack: 501 })),
          back(
            4,
            build.tcp({ ...answers, flags: 'PA', seq: 501, ack: 101, payload: text('220 a\r\n') }),
            {},
            OUTSIDE[4],
          ),
          out(4, build.tcp({ ...ends, flags: 'PA', seq: 101, ack: 508, payload: text('USER a\r\n') })),
          port(109),
          port(109),
          back(4, build.tcp({ ...answers, flags: 'A', seq: 508, ack: 109 }), {}, OUTSIDE[4]),
          out(4, build.tcp({ ...ends, flags: 'A', seq: 109 + command.length, ack: 508 })),
          back(
            4,
            build.tcp({
              ...answers,
              flags: 'A',
              seq: 508,
              ack: 109,
              sack: [[109 + command.length + 6, 109 + command.length + 10]],
            }),
            {},
            OUTSIDE[4],
          ),
        ],
        { mtus: MTUS, rules4: rules },
      );
      expect(verdicts[5]).toBe(verdict);
    }
  });
});

describe.skipIf(lacks.length > 0)('each kind of NAT', AGAIN, () => {
  const rulesets: [name: string, rules: (family: Family) => string[]][] = [
    ['SNAT with ports', (f) => [`POSTROUTING -o wan -p udp -j SNAT --to-source ${bracket(OUTSIDE[f])}:2000`]],
    ['SNAT', (f) => [`POSTROUTING -o wan -j SNAT --to-source ${OUTSIDE[f]}`]],
    ['MASQUERADE', () => ['POSTROUTING -o wan -j MASQUERADE']],
    ['DNAT', (f) => [`PREROUTING -i lan -d ${PUBLIC[f]} -j DNAT --to-destination ${SERVER[f]}`]],
    [
      'DNAT with ports, and SNAT',
      (f) => [
        `PREROUTING -i lan -p udp -d ${PUBLIC[f]} -j DNAT --to-destination ${bracket(SERVER[f])}:5353`,
        `PREROUTING -i lan -d ${PUBLIC[f]} -j DNAT --to-destination ${SERVER[f]}`,
        `POSTROUTING -o wan -j SNAT --to-source ${OUTSIDE[f]}`,
      ],
    ],
    [
      'NETMAP',
      (f) => [
        f === 4
          ? 'POSTROUTING -o wan -j NETMAP --to 198.18.64.0/18'
          : 'POSTROUTING -o wan -j NETMAP --to 2001:2:0:77::/64',
      ],
    ],
  ];
  function bracket(address: string): string {
    return address.includes(':') ? `[${address}]` : address;
  }

  for (const family of [4, 6] as const) {
    it.each(rulesets)(`IPv${family}: %s`, async (name, rules) => {
      const target = name.includes('DNAT') ? PUBLIC[family] : SERVER[family];
      const icmp = (type: number) =>
        family === 4
          ? build.icmp({ type: type ? 0 : 8, code: 0, id: 9, seq: 1, payload: 9 })
          : build.icmp6({ type: type ? 129 : 128, code: 0, id: 9, seq: 1, payload: 9 });
      const damaged = { badChecksum: true };
      const there = (transport: build.Transport, spec: build.IpSpec = {}) => out(family, transport, spec, target);
      const steps = [
        there(build.udp({ sport: 4000, dport: 53, payload: 33 })),
        there(build.udp({ sport: 4000, dport: 53, payload: 0, noChecksum: family === 4 })),
        there(
          build.tcp({ sport: 4001, dport: 80, flags: 'S', seq: 7, mss: 1460, sackOK: true, ts: [1, 0], wscale: 7 }),
        ),
        there(build.tcp({ sport: 4001, dport: 80, flags: 'S', seq: 7 }), { ttl: 2, tos: 0xb8 }),
        there(build.raw(132, SCTP_INIT)),
        there({ ...build.udp({ sport: 4003, dport: 54, payload: 20 }), protocol: 136 }),
        there(icmp(0)),
        there({ protocol: 47, bytes: Uint8Array.of(0, 0, 8, 0, 1, 2, 3, 4) }),
        there({ protocol: 50, bytes: new Uint8Array(24).fill(7) }),
        there({ protocol: 89, bytes: new Uint8Array(3).fill(7) }),
        // Damaged on the way: only where nobody looks at checksums are they let through.
        there(build.udp({ sport: 4004, dport: 55, payload: 12, ...damaged })),
        there(build.tcp({ sport: 4005, dport: 80, flags: 'S', seq: 1, ...damaged })),
      ];
      const checks = { 'net.netfilter.nf_conntrack_checksum': '0' };
      for (const sysctls of [{}, checks]) {
        const [verdicts, sent] = await agree(steps, {
          ...ruled(family, nat(...rules(family))),
          sysctls,
          masquerades: true,
        });
        expect(verdicts).toBe('A'.repeat(steps.length));
        expect(sent).toBe(steps.length);
      }
    });
  }
});

describe.skipIf(lacks.length > 0)('errors about translated packets', AGAIN, () => {
  for (const family of [4, 6] as const) {
    const error = (quoted: Uint8Array, bytes: number, more: { bad?: boolean } = {}): build.Transport => {
      const payload = build.quote(quoted, bytes);
      const badChecksum = more.bad ?? false;
      return family === 4
        ? build.icmp({ type: 3, code: 1, payload, badChecksum })
        : build.icmp6({ type: 1, code: 3, payload, badChecksum });
    };

    it(`IPv${family}: about what left by SNAT, quoting more or less`, async () => {
      const outside = OUTSIDE[family];
      const udp = (from: string) =>
        build.ip(from, SERVER[family], build.udp({ sport: 4000, dport: 53, payload: 64 }), {});
      const tcp = (from: string) =>
        build.ip(from, SERVER[family], build.tcp({ sport: 4001, dport: 80, flags: 'S', seq: 7, mss: 1460 }), {});
      const ping = (from: string) =>
        build.ip(
          from,
          SERVER[family],
          family === 4
            ? build.icmp({ type: 8, code: 0, id: 9, seq: 1, payload: 9 })
            : build.icmp6({ type: 128, code: 0, id: 9, seq: 1, payload: 9 }),
          {},
        );
      const sizes = [8, 9, 16, 20, 40].map((size) => size + header[family]);
      const steps = [udp, tcp, ping].flatMap((packet) => [
        packet(CLIENT[family]),
        ...sizes.map((size) => back(family, error(packet(outside), size), {}, outside)),
      ]);
      const [verdicts, sent] = await agree(
        steps,
        ruled(family, nat(`POSTROUTING -o wan -j SNAT --to-source ${outside}`)),
      );
      expect(verdicts).toBe('A'.repeat(steps.length));
      expect(sent).toBe(steps.length);
    });

    it(`IPv${family}: about answers of a published server, and from inside`, async () => {
      const answer = (to: string, from: string) =>
        build.ip(from, to, build.udp({ sport: 5353, dport: 4000, payload: 64 }), {});
      const rules = nat(
        `PREROUTING -i lan -p udp -d ${PUBLIC[family]} -j DNAT --to-destination ${family === 4 ? SERVER[4] : `[${SERVER[6]}]`}:5353`,
        `POSTROUTING -o wan -j SNAT --to-source ${OUTSIDE[family]}`,
      );
      const steps = [
        out(family, build.udp({ sport: 4000, dport: 53, payload: 9 }), {}, PUBLIC[family]),
        answer(OUTSIDE[family], SERVER[family]),
        // The client cannot take the answer, as it saw it.
        out(
          family,
          error(build.ip(PUBLIC[family], CLIENT[family], build.udp({ sport: 53, dport: 4000, payload: 64 }), {}), 90),
          {},
          PUBLIC[family],
        ),
        // A router in front of the server could not deliver the request.
        back(
          family,
          error(build.ip(OUTSIDE[family], SERVER[family], build.udp({ sport: 4000, dport: 5353, payload: 9 }), {}), 90),
          {},
          OUTSIDE[family],
        ),
      ];
      const [verdicts, sent] = await agree(steps, ruled(family, rules));
      expect([verdicts, sent]).toEqual(['AAAA', 4]);
    });
  }
});

describe.skipIf(lacks.length > 0)('TCPMSS', AGAIN, () => {
  for (const family of [4, 6] as const) {
    it(`IPv${family}: lowered, stated, and left alone`, async () => {
      const syn = (sport: number, options: build.TcpOptions, payload = 0) =>
        build.tcp({ sport, dport: 80, flags: 'S', seq: 7, payload, ...options });
      const rules = (value: string): string =>
        `*mangle\n-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS ${value}\n` +
        '-A POSTROUTING -o wan -p tcp -m tcp --dport 81 --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 400\nCOMMIT\n';
      const steps = [
        syn(1, { mss: 1460, sackOK: true, ts: [1, 0], wscale: 7 }),
        syn(2, { mss: 500 }),
        syn(3, {}),
        syn(4, { wscale: 7 }),
        syn(5, {}, 9),
        syn(6, { raw: [1, 1, 1, 8, 0, 3, 3, 7] }),
        { ...syn(7, { mss: 1460 }), checksumError: 5 },
        build.tcp({ sport: 8, dport: 81, flags: 'S', seq: 7, mss: 1000 }),
      ].map((segment) => out(family, segment));
      const source = nat(`POSTROUTING -o wan -j SNAT --to-source ${OUTSIDE[family]}`);
      for (const value of ['--set-mss 1200', '--clamp-mss-to-pmtu', '--set-mss 536']) {
        const [, sent] = await agree(steps, { mtus: [1300, 1400], ...ruled(family, rules(value), source) });
        expect(sent).toBe(steps.length);
      }
    });
  }
});
