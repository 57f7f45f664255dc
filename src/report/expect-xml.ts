// How does conntrack 1.4.7 print an expectation with `-o xml`?

import { EventKind } from '../../assembly/vocabulary.ts';
import { EVENT, TUPLE } from '../engine/layout.ts';
import { addressText } from './address.ts';
import { portsXml, whenXml } from './conntrack-xml.ts';
import { expectRecord, type TuplePlace } from './expect-record.ts';
import { conntrackProtocol, familyName } from './names.ts';
import { secondsAt } from './time.ts';

/** What stands before the first and after the last expectation. */
export const EXPECT_XML_HEADER = '<?xml version="1.0" encoding="utf-8"?>\n<expect>\n';
export const EXPECT_XML_FOOTER = '</expect>\n';

const FLOW_TAGS: Record<number, string> = {
  [EventKind.EXPECT_NEW]: '<flow type="new">',
  [EventKind.EXPECT_DESTROY]: '<flow type="destroy">',
};

/**
 * The `<flow>` element of the EVENT record at `at`, without its newline.
 *
 * @param timestamp `-o xml,timestamp`: with the moment, in UTC
 */
export function expectXml(view: DataView, bytes: Uint8Array, at: number, timestamp: boolean): string {
  const e = expectRecord(view, bytes, at);
  const tuples = [
    ['expected', e.expected],
    ['mask', e.mask],
    ['master', e.master],
  ] as const;
  const each = (part: (tuple: TuplePlace) => string): string =>
    tuples.map(([name, tuple]) => `<${name}>${part(tuple)}</${name}>`).join('');
  const addresses = ({ bytes: from, at: place }: TuplePlace): string =>
    `<src>${addressText(from, place + TUPLE.src_lo, e.l3num)}</src>` +
    `<dst>${addressText(from, place + TUPLE.dst_lo, e.l3num)}</dst>`;
  const ports = ({ bytes: from, at: place }: TuplePlace): string =>
    portsXml(from, place, from[place + TUPLE.protonum]!);
  return (
    (FLOW_TAGS[bytes[at + EVENT.kind]!] ?? '<flow>') +
    `<layer3 protonum="${e.l3num}" protoname="${familyName(e.l3num)}">${each(addresses)}</layer3>` +
    `<layer4 protonum="${e.protonum}" protoname="${conntrackProtocol(e.protonum)}">${each(ports)}</layer4>` +
    `<meta><helper-name>${e.helper}</helper-name><timeout>${e.timeout}</timeout><class>${e.klass}</class>` +
    (timestamp ? whenXml(secondsAt(view, at + EVENT.time)) : '') +
    e.flags.map((flag) => `<${flag.toLowerCase()}/>`).join('') +
    '</meta></flow>'
  );
}
