// A rule asked who sent a packet of the host's own, and nobody said: which packet, and which rule?

import { RECORD, WORLD } from './engine/layout.ts';
import type { WorldImage } from './engine/world.ts';
import { HostError } from './errors.ts';
import { ruleName } from './ruleset/index.ts';

/**
 * Looks for such a packet in a batch that all lanes have tracked: the first one, whatever lane it was in.
 * @param records address of RECORD[count]
 * @throws HostError `owner-unknown`
 */
export function refuseUnowned(
  view: DataView,
  image: WorldImage,
  records: number,
  count: number,
  files: readonly { readonly path: string }[],
): void {
  let first: { number: bigint; rule: number } | undefined;
  for (const world of image.lanes) {
    const number = view.getBigUint64(world + WORLD.unowned, true) - 1n;
    if (number < 0n || (first && first.number <= number)) continue;
    first = { number, rule: view.getUint32(world + WORLD.unowned_rule, true) };
  }
  if (first === undefined) return;
  for (let at = records; at < records + count * RECORD.size; at += RECORD.size) {
    if (view.getBigUint64(at + RECORD.number, true) !== first.number) continue;
    const place = `${files[view.getUint16(at + RECORD.file, true) - 1]!.path}:${view.getUint32(at + RECORD.n, true)}`;
    const rule = image.plan.rules.rules[first.rule]!;
    throw new HostError(
      'owner-unknown',
      `${place}: rule ${ruleName(rule)} (${rule.file}:${rule.line}) asks who sent this packet of the host's own, ` +
        'which no capture shows: give --owner UID:GID',
    );
  }
}
