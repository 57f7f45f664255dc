// Which packets of a capture does the machine get, and when? Those that any router can be given (frames.ts), at the times
// of the capture. Packets whose payload the capture cut off are filled with zeros and given the checksum that goes with
// them: connection tracking looks at headers and lengths only, and old captures are made of such packets. One packet of
// our own, long after the last, ends the replay: both sides live until then and tell what expired.

import { udp } from '../differential/craft.ts';
import { framesOf, placed, type Traffic } from '../differential/frames.ts';
import { parse, pseudoHeader, wordSum } from '../differential/packet.ts';
import { type CapturedFrame, ipPacket, readCapture } from '../differential/read-capture.ts';

export interface TimedTraffic extends Traffic {
  /** From the first packet to the closing one, ms. */
  span: number;
  /** Packets that had to be filled up. */
  filled: number;
  /** Packets stamped earlier than one before them, which are replayed at that one's time. */
  late: number;
}

/**
 * Reads a capture; each frame's `wait` is the time since the frame before, the times rounded to milliseconds.
 *
 * @param after how long after the last packet the closing one comes, ms
 */
export function timedTraffic(path: string, after: number): TimedTraffic {
  let filled = 0;
  const capture = readCapture(path).map((frame) => {
    const whole = fillUp(frame);
    if (whole !== frame) filled++;
    return whole;
  });
  const traffic = framesOf(capture);
  const first = capture[(traffic.frames[0]?.origin ?? 1) - 1]?.ts ?? 0n;
  let now = 0;
  let late = 0;
  const packets = traffic.frames.map(({ origin, packet }) => {
    const at = Math.round(Number(capture[origin - 1]!.ts - first) / 1e6);
    if (at < now) late++;
    const wait = Math.max(0, at - now);
    if (wait > WAIT_MAX) throw new Error(`${path}: nothing for more than 49 days before packet ${origin}`);
    now += wait;
    return { origin, packet, wait };
  });
  packets.push({ origin: capture.length + 1, packet: udp({}), wait: after });
  return { ...placed(packets), skipped: traffic.skipped, span: now + after, filled, late };
}

/** Longest pause that the file of frames can say, ms. */
const WAIT_MAX = 0xffffffff;

const LINKTYPE_RAW = 101;
const TCP = 6;
const UDP = 17;

/** The frame with what the capture cut off its payload made up for; the frame itself if nothing is missing or too much. */
function fillUp(frame: CapturedFrame): CapturedFrame {
  const bytes = ipPacket(frame);
  if (typeof bytes === 'string' || bytes.length < 20 || bytes.readUInt8(0) >> 4 !== 4) return frame;
  const length = bytes.readUInt16BE(2);
  const isFragment = (bytes.readUInt16BE(6) & 0x3fff) !== 0;
  const parsed = parse(bytes);
  if (!parsed || bytes.length >= length || isFragment) return frame;
  const { protocol, transport } = parsed;
  const header = protocol === TCP ? ((transport[12] ?? 0xf0) >> 4) * 4 : protocol === UDP ? 8 : Number.MAX_SAFE_INTEGER;
  if (header < 8 || transport.length < header) return frame;
  const packet = Buffer.alloc(length);
  bytes.copy(packet);
  const whole = packet.subarray(bytes.length - transport.length);
  const place = protocol === TCP ? 16 : 6;
  whole.writeUInt16BE(0, place);
  whole.writeUInt16BE(~wordSum(...pseudoHeader(parsed, whole.length), whole) & 0xffff || 0xffff, place);
  return { ...frame, linkType: LINKTYPE_RAW, length, bytes: packet };
}
