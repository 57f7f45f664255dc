// Which packets does the comparison take for the host's own, and what does it make of a host's files? Needs no kernel.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ip } from './craft.ts';
import { busiestAddresses, isAsSent, isForMany, type LocalAddress, needsInterface, placedAround } from './host.ts';
import { readHostDirectory } from './host-directory.ts';

const HOST: LocalAddress = { address: '192.0.2.1', length: 24, side: 1 };

function udp(source: string, target: string): Buffer {
  const bytes = (text: string): Buffer =>
    text.includes(':')
      ? Buffer.from(
          text
            .split(':')
            .map((word) => word.padStart(4, '0'))
            .join(''),
          'hex',
        )
      : Buffer.from(text.split('.').map(Number));
  return ip({ source: bytes(source), target: bytes(target) }, 17, Buffer.from([0, 9, 0, 9, 0, 8, 0, 0]), 6);
}

const placed = (...packets: Buffer[]) =>
  placedAround(
    packets.map((packet, index) => ({ origin: index + 1, packet, wait: 0 })),
    [HOST],
  );

describe('packets around a host', () => {
  it('are received, sent, looped back or forwarded by their addresses', () => {
    const { frames } = placed(
      udp('10.0.0.2', '192.0.2.1'),
      udp('192.0.2.1', '10.0.0.2'),
      udp('192.0.2.1', '192.0.2.1'),
      udp('127.0.0.1', '127.0.0.1'),
      udp('10.0.0.2', '192.0.2.7'),
    );
    expect(frames.map(({ own, side }) => [own, side])).toEqual([
      [undefined, 0],
      ['link', 0],
      ['loopback', 1],
      ['loopback', 0],
      [undefined, 0],
    ]);
  });

  it('live on the link whose network they are in, and only those elsewhere have routes', () => {
    const { sides } = placed(
      udp('192.0.2.8', '192.0.2.1'),
      udp('10.0.0.2', '192.0.2.255'),
      udp('0.0.0.0', '224.0.0.1'),
    );
    expect([...sides]).toEqual([
      ['192.0.2.8', 1],
      ['10.0.0.2', 0],
    ]);
  });

  it('get the Ethernet address of their group', () => {
    const { frames } = placed(
      udp('10.0.0.2', '224.1.2.3'),
      udp('10.0.0.2', '255.255.255.255'),
      udp('fe80:0:0:0:0:0:0:9', 'ff02:0:0:0:0:0:0:fb'),
    );
    expect(frames.map(({ group }) => group?.toString('hex'))).toEqual(['01005e010203', 'ffffffffffff', '3333000000fb']);
  });

  it('that no raw socket sends as they are, are named', () => {
    const fragment = udp('192.0.2.1', '10.0.0.2');
    fragment.writeUInt16BE(0x2000, 6);
    const wrong = udp('192.0.2.1', '10.0.0.2');
    wrong.writeUInt16BE(0xdead, 10);
    const { frames, skipped, changed } = placed(udp('192.0.2.1', '0.0.0.0'), fragment, wrong);
    expect(skipped.map(({ origin, why }) => `${origin} ${why}`)).toEqual([
      '1 not sent by the host: no destination',
      '2 not sent by the host: fragment with the identification 0',
    ]);
    expect(changed).toEqual([{ origin: 3, why: 'IPv4 header checksum' }]);
    expect(frames.map(({ n, origin }) => [n, origin])).toEqual([[1, 3]]);
    expect(frames[0]!.packet.equals(udp('192.0.2.1', '10.0.0.2'))).toBe(true);
  });

  it('are known again in OUTPUT but for an identification that the kernel filled in', () => {
    const packet = udp('192.0.2.1', '10.0.0.2');
    const shown = Buffer.from(packet);
    shown.writeUInt16BE(77, 4);
    shown.writeUInt16BE(1, 10);
    expect(isAsSent(packet, shown)).toBe(true);
    shown.writeUInt8(3, 19);
    expect(isAsSent(packet, shown)).toBe(false);
    packet.writeUInt16BE(78, 4);
    expect(isAsSent(packet, shown)).toBe(false);
  });

  it.each([
    ['192.0.2.255', true, false],
    ['255.255.255.255', true, true],
    ['224.0.0.1', true, true],
    ['240.0.0.1', false, false],
    ['192.0.2.9', false, false],
  ])('to %s: for many %s, interface named %s', (target, many, named) => {
    const [frame] = placed(udp('192.0.2.1', target)).frames;
    expect([isForMany(frame!, [HOST]), needsInterface(frame!.packet)]).toEqual([many, named]);
  });
});

describe('the address chosen from a capture', () => {
  const capture = (...packets: Buffer[]) =>
    packets.map((bytes, index) => ({ n: index + 1, ts: 0n, linkType: 101, length: bytes.length, bytes }));

  it('is one that sends and receives, and leaves something to forward', () => {
    const busy = [udp('10.0.0.1', '10.0.0.2'), udp('10.0.0.2', '10.0.0.1'), udp('10.0.0.1', '10.0.0.3')];
    // All packets are 10.0.0.1's: 10.0.0.2 is the busiest of those that leave one.
    expect(busiestAddresses(capture(...busy))).toEqual([{ address: '10.0.0.2', length: 24, side: 0 }]);
  });

  it('is any of two hosts that only talk to each other, and none of groups', () => {
    expect(busiestAddresses(capture(udp('10.0.0.1', '10.0.0.2')))).toEqual([
      { address: '10.0.0.1', length: 24, side: 0 },
    ]);
    expect(busiestAddresses(capture(udp('10.0.0.1', '224.0.0.1'), udp('127.0.0.1', '127.0.0.1')))).toEqual([]);
  });
});

describe('a host directory', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ctreplay-host-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const link = (ifname: string, local: string) => ({
    ifname,
    flags: ['UP'],
    addr_info: [{ family: 'inet', local, prefixlen: 24 }],
  });
  const write = (name: string, content: unknown): void =>
    writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));

  it('gives rules, sysctls that a namespace has, and addresses by interface', () => {
    write('iptables-save', '*filter\nCOMMIT\n');
    write('nft', 'table inet t {\n}\n');
    write('ipset', 'create s hash:ip\n');
    write(
      'sysctl',
      'net.netfilter.nf_conntrack_tcp_loose = 0\nnet.netfilter.nf_conntrack_max = 9\nvm.swappiness = 1\n',
    );
    write('route.json', []);
    write('addr.json', [link('eth0', '192.0.2.1'), link('eth1', '198.51.100.1')]);
    expect(readHostDirectory(folder)).toEqual({
      rules4: ['*filter\nCOMMIT\n'],
      rules6: [],
      nft: ['table inet t {\n}\n'],
      sets: ['create s hash:ip\n'],
      sysctls: { 'net.netfilter.nf_conntrack_tcp_loose': '0' },
      locals: [
        { address: '192.0.2.1', length: 24, side: 0 },
        { address: '198.51.100.1', length: 24, side: 1 },
      ],
      interfaces: ['eth0', 'eth1'],
      notes: [
        `${join(folder, 'route.json')}: not used, the router of the comparison has its own`,
        "net.netfilter.nf_conntrack_max is the machine's: not set",
      ],
    });
  });

  it('is refused with more interfaces than the router has, and with a table to start from', () => {
    write('addr.json', [link('a', '10.0.0.1'), link('b', '10.0.1.1'), link('c', '10.0.2.1')]);
    expect(() => readHostDirectory(folder)).toThrow('has two interfaces, not 3 (a, b, c)');
    write('addr.json', []);
    write(
      'conntrack',
      'udp 17 29 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1\n',
    );
    expect(() => readHostDirectory(folder)).toThrow('cannot be given a table to start from');
  });
});
