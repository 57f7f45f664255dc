// In which format do expectations leave: conntrack's text and XML, the kernel's /proc/net/nf_conntrack_expect, or JSON?

import { EventKind, L3 } from '../../assembly/vocabulary.ts';
import { EVENT, EXPECTATION_IDS, TUPLE } from '../engine/layout.ts';
import { addressText } from './address.ts';
import { portsJson } from './conntrack-json.ts';
import { lineFormat, type OutputMode, type RecordFormat } from './events.ts';
import { type ExpectRecord, expectRecord, type TuplePlace } from './expect-record.ts';
import { expectText } from './expect-text.ts';
import { EXPECT_XML_FOOTER, EXPECT_XML_HEADER, expectXml } from './expect-xml.ts';
import { conntrackProtocol, familyName } from './names.ts';
import { tupleProc } from './proc-text.ts';
import { idAt, stampAt } from './time.ts';

/** Names of classes, of the helpers whose classes have some (struct nf_conntrack_expect_policy). */
const CLASSES: Record<string, readonly string[]> = { sip: ['signalling', 'audio', 'video', 'image'] };

/** A line of /proc/net/nf_conntrack_expect (exp_seq_show()). */
function expectProc(view: DataView, bytes: Uint8Array, at: number): string {
  const { timeout, l3num, protonum, expected, flags, helper, klass } = expectRecord(view, bytes, at);
  const name = CLASSES[helper]?.[klass];
  return (
    `${timeout} l3proto = ${l3num} proto=${protonum} ${tupleProc(expected.bytes, expected.at, l3num === L3.IPV4)}` +
    `${flags.join(',')}${flags.length > 0 ? ' ' : ''}${helper}${name === undefined ? '' : `/${name}`}`
  );
}

function tupleJson({ bytes, at }: TuplePlace, { l3num, protonum }: ExpectRecord): string {
  const [source, target] = [addressText(bytes, at + TUPLE.src_lo, l3num), addressText(bytes, at + TUPLE.dst_lo, l3num)];
  return `{"src":"${source}","dst":"${target}"${portsJson(bytes, at, protonum)}}`;
}

const EVENT_NAMES: Record<number, string> = {
  [EventKind.EXPECT_NEW]: 'NEW',
  [EventKind.EXPECT_DESTROY]: 'DESTROY',
};

/** Number of the packet that announced it, and which of that packet's it is, from 1. */
function announced(id: number): string {
  return `${Math.floor(id / EXPECTATION_IDS)}.${(id % EXPECTATION_IDS) + 1}`;
}

/** `{"ts":"1700000000.000123456","event":"NEW","id":"7.1","family":"ipv4","proto":"tcp","protonum":6,"timeout":300,"expected":{...},...}` */
function expectJson(view: DataView, bytes: Uint8Array, at: number): string {
  const e = expectRecord(view, bytes, at);
  const event = EVENT_NAMES[bytes[at + EVENT.kind]!];
  const master = { ...e, protonum: e.master.bytes[e.master.at + TUPLE.protonum]! };
  return (
    `{"ts":"${stampAt(view, at + EVENT.time)}"` +
    (event === undefined ? '' : `,"event":"${event}"`) +
    `,"id":"${announced(idAt(view, at + EVENT.id))}","family":"${familyName(e.l3num)}"` +
    `,"proto":"${conntrackProtocol(e.protonum)}","protonum":${e.protonum},"timeout":${e.timeout}` +
    `,"expected":${tupleJson(e.expected, e)},"mask":${tupleJson(e.mask, e)},"master":${tupleJson(e.master, master)}` +
    (e.zone ? `,"zone":${e.zone}` : '') +
    `,"flags":[${e.flags.map((flag) => `"${flag}"`).join(',')}],"class":${e.klass},"helper":"${e.helper}"}`
  );
}

/** The format of `conntrack -E expect -o MODES` or `conntrack -L expect -o MODES`; the tool ignores the other modes. */
export function expectationFormat(modes: ReadonlySet<OutputMode>): RecordFormat {
  const timestamp = modes.has('timestamp');
  if (modes.has('json')) return lineFormat(expectJson);
  if (modes.has('proc')) return lineFormat(expectProc);
  if (!modes.has('xml')) return lineFormat((view, bytes, at) => expectText(view, bytes, at, timestamp));
  const xml = (view: DataView, bytes: Uint8Array, at: number) => expectXml(view, bytes, at, timestamp);
  return lineFormat(xml, EXPECT_XML_HEADER, EXPECT_XML_FOOTER);
}
