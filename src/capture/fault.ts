// What is wrong with the record or block that a capture ends with?
import type { CaptureFormat } from './format.ts';
import { BlockType } from './pcapng.ts';
import { BLOCK_MAX, CAPLEN_MAX, STOP } from './walker.ts';

/** The record or block at the front of a capture's window. */
export interface Front {
  format: CaptureFormat | undefined;
  view: DataView;
  /** Address of its first byte, and how many bytes are in memory from there. */
  position: number;
  unread: number;
  bigEndian: boolean;
  /** Classic: bytes of a record header, and whether the length on the wire stands before the captured length. */
  header: number;
  lenFirst: boolean;
}

/** A stable code and what to tell the user. */
export interface Fault {
  code: string;
  message: string;
}

function word(front: Front, index: number): number {
  return front.view.getUint32(front.position + index * 4, !front.bigEndian);
}

/** Captured length and length on the wire as the header says them; of a Simple Packet Block the latter, twice. */
function lengths(front: Front): { caplen: number; len: number } {
  if (front.format === 'pcap') {
    const [caplen, len] = front.lenFirst ? [word(front, 3), word(front, 2)] : [word(front, 2), word(front, 3)];
    return { caplen, len };
  }
  if (word(front, 0) === BlockType.SIMPLE_PACKET) return { caplen: word(front, 2), len: word(front, 2) };
  return { caplen: word(front, 5), len: word(front, 6) };
}

/** Why the walker refused the record: `stop` is one of STOP.BAD_*, the record's header is in memory. */
export function recordFault(stop: number, front: Front): Fault {
  if (stop === STOP.BAD_BLOCK_LENGTH || stop === STOP.BAD_BLOCK_SIZE || stop === STOP.BAD_TRAILER) {
    return blockFault(stop, front);
  }
  if (stop === STOP.BAD_INTERFACE) {
    return { code: 'capture-interface', message: 'the packet names an interface that its section does not describe' };
  }
  const { caplen, len } = lengths(front);
  const code = 'capture-length';
  if (stop === STOP.BAD_LENGTHS) {
    return { code, message: `the record claims ${caplen} captured bytes of a packet of ${len}` };
  }
  if (caplen > CAPLEN_MAX)
    return { code, message: `the record claims ${caplen} captured bytes, more than ${CAPLEN_MAX}` };
  return { code, message: `the record claims ${caplen} captured bytes, which do not fit into its block` };
}

function blockFault(stop: number, front: Front): Fault {
  const length = word(front, 1);
  const block = `a block of type 0x${word(front, 0).toString(16).padStart(8, '0')}`;
  if (stop === STOP.BAD_BLOCK_LENGTH)
    return { code: 'capture-block', message: `${block} cannot be ${length} bytes long` };
  if (stop === STOP.BAD_BLOCK_SIZE) {
    return {
      code: 'capture-length',
      message: `${block} claims ${length} bytes, a packet block has at most ${BLOCK_MAX}`,
    };
  }
  return { code: 'capture-block', message: trailerMessage(length, word(front, length / 4 - 1)) };
}

/** The lengths at the start and at the end of a block differ. */
export function trailerMessage(length: number, trailer: number): string {
  return `the block's length is ${length} at its start and ${trailer} at its end`;
}

/** What the capture ends in the middle of. */
export function cutMessage(front: Front): string {
  const { format, unread, header } = front;
  if (format === 'pcap') {
    if (unread < header)
      return `the capture is cut short: ${unread} of the ${header} bytes of a record header are there`;
    return `the capture is cut short: ${unread - header} of ${lengths(front).caplen} captured bytes are there`;
  }
  if (unread < 12) return `the capture is cut short: ${unread} bytes of a block header are there`;
  return `the capture is cut short: ${unread} of the ${word(front, 1)} bytes of a block are there`;
}
