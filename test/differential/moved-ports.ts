// Which port or id did NAT give to a flow, where the kernel begins to look for one at random? Such a number is compared
// by its range alone: in lines of events and of the table it becomes `~`. So does the id of a PPTP call that nobody chose.

/** Ranges that rules name, as iptables-save and nft print them. */
export function namedRanges(rules: readonly string[]): [number, number][] {
  const found: [number, number][] = [];
  for (const text of rules) {
    for (const [, low, high] of text.matchAll(/(?:--to-ports |--to-source \S*:| to \S*:)(\d+)-(\d+)/g)) {
      found.push([Number(low), Number(high)]);
    }
  }
  return found;
}

/** Ports that stay together (nf_nat_l4proto_unique_tuple()). */
const CLASSES: [number, number][] = [
  [1, 511],
  [600, 1023],
  [1024, 65535],
];

/** May NAT have given a flow this port instead of its own? */
export function mayMove(from: number, to: number, named: readonly [number, number][]): boolean {
  const holds = ([low, high]: [number, number]): boolean => to >= low && to <= high;
  const own = CLASSES[from < 512 ? 0 : from < 1024 ? 1 : 2]!;
  return holds(own) || named.some(holds);
}

const PORTS = /^(.*? sport=)(\d+)( dport=\d+ .*?src=\S+ dst=\S+ sport=\d+ dport=)(\d+)(.*)$/;
const IDS = /^(.*? type=\d+ code=\d+ id=)(\d+)( .*?src=\S+ dst=\S+ type=\d+ code=\d+ id=)(\d+)(.*)$/;

const KEYS = /^(.*? srckey=)(0x[0-9a-f]+)( dstkey=\S+ .*?src=\S+ dst=\S+ srckey=\S+ dstkey=)(0x[0-9a-f]+)(.*)$/;

/**
 * The line with a source port or id that was moved into an allowed range as `~`; the same line otherwise.
 *
 * @param calls ids of PPTP calls that the traffic names, as far as they are known
 */
export function withoutMovedPort(
  line: string,
  named: readonly [number, number][],
  calls?: ReadonlySet<number>,
): string {
  const keys = calls && KEYS.exec(line);
  if (keys) {
    const [, head, from, middle, to, tail] = keys;
    return from === to || calls.has(Number(to)) ? line : `${head}${from}${middle}~${tail}`;
  }
  const ports = PORTS.exec(line);
  if (ports) {
    const [, head, from, middle, to, tail] = ports;
    return from !== to && mayMove(Number(from), Number(to), named) ? `${head}${from}${middle}~${tail}` : line;
  }
  const [, head, from, middle, to, tail] = IDS.exec(line) ?? [];
  return head === undefined || from === to ? line : `${head}${from}${middle}~${tail}`;
}
