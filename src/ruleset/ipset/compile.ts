// How is a set laid out for the engine (assembly/layout/ip-set.ts)? A hash table of masked keys, and the masks in the order
// in which the kernel tries them: by the length of the first network, the longest first, then of the second.
import { IpSetPart } from '../../../assembly/vocabulary.ts';
import { IP_SET, IP_SET_NOMATCH, IP_SET_SLOT, IP_SET_USED } from '../../engine/layout.ts';
import type { Family } from '../source.ts';
import type { Element, ElementSet, Part } from './ipset.ts';
import { prefixMask, toWords } from './parse.ts';

const IPV6: Family = 10;
const WORD = 4;
const FULL = 0xffff_ffff;

const PARTS: Readonly<Record<Part, IpSetPart>> = {
  ip: IpSetPart.ADDRESS,
  net: IpSetPart.ADDRESS,
  port: IpSetPart.PORT,
  mac: IpSetPart.MAC,
  mark: IpSetPart.MARK,
};

/** The set's bytes, to be put at `base` (from World.dispatch), where they begin with an IpSet record. */
export function compileIpSet(set: ElementSet, base: number): Uint8Array {
  const shapes = shapesOf(set.elements);
  const words = keyWords(set);
  const slotBytes = IP_SET_SLOT.size + words * WORD;
  const slots = 2 ** Math.ceil(Math.log2(Math.max(1, set.elements.length) * 2));
  const shapesAt = IP_SET.size;
  const slotsAt = shapesAt + shapes.length * words * WORD;
  const bytes = new Uint8Array(slotsAt + slots * slotBytes);
  const view = new DataView(bytes.buffer);
  const put = (at: number, value: number) => view.setUint32(at, value, true);
  bytes[IP_SET.family] = set.family ?? 0;
  bytes[IP_SET.bare_ports] = set.barePorts ? 1 : 0;
  for (const [index, part] of set.parts.entries()) bytes[IP_SET.part_0 + index] = PARTS[part];
  put(IP_SET.words, words);
  put(IP_SET.shapes, base + shapesAt);
  put(IP_SET.shape_count, shapes.length);
  put(IP_SET.slots, base + slotsAt);
  put(IP_SET.slot_mask, slots - 1);
  for (const [index, lengths] of shapes.entries()) {
    for (const [word, mask] of masksOf(set, lengths).entries()) put(shapesAt + (index * words + word) * WORD, mask);
  }
  const numbers = new Map(shapes.map((lengths, index) => [lengths.join(), index]));
  for (const element of set.elements) {
    const shape = numbers.get(element.lengths.join())!;
    const at = freeSlot(element, shape);
    put(at + IP_SET_SLOT.value, (IP_SET_USED | (element.nomatch ? IP_SET_NOMATCH : 0) | (element.left ?? 0)) >>> 0);
    put(at + IP_SET_SLOT.shape, shape);
    for (const [word, value] of element.words.entries()) put(at + IP_SET_SLOT.size + word * WORD, value);
  }
  return bytes;

  /** Where the element belongs. An element that is given twice counts once, as it was given last. */
  function freeSlot(element: Element, shape: number): number {
    let place = element.words.reduce(mix, mix(0, shape)) & (slots - 1);
    for (; ; place = (place + 1) & (slots - 1)) {
      const at = slotsAt + place * slotBytes;
      const taken = view.getUint32(at + IP_SET_SLOT.value, true) !== 0;
      const same = element.words.every(
        (value, word) => view.getUint32(at + IP_SET_SLOT.size + word * WORD, true) === value,
      );
      if (!taken || (same && view.getUint32(at + IP_SET_SLOT.shape, true) === shape)) return at;
    }
  }
}

/** As ip_set_mix() of the engine. */
function mix(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x9e3779b1);
  return mixed ^ (mixed >>> 15);
}

/** Lengths of the prefixes that elements have, in the order in which they are tried. */
function shapesOf(elements: readonly Element[]): number[][] {
  const found = new Map(elements.map(({ lengths }) => [lengths.join(), lengths]));
  return [...found.values()].sort(([a = 0, b = 0], [c = 0, d = 0]) => c - a || d - b);
}

function addressWords(set: ElementSet): number {
  return set.family === IPV6 ? 4 : 1;
}

function keyWords(set: ElementSet): number {
  const sizes: Record<Part, number> = { ip: addressWords(set), net: addressWords(set), port: 1, mac: 2, mark: 1 };
  return set.parts.reduce((sum, part) => sum + sizes[part], 0);
}

/** The bits of each word of a key that count. */
function masksOf(set: ElementSet, lengths: readonly number[]): number[] {
  const bits = addressWords(set) * 32;
  const address = set.mask ? toWords(set.mask) : new Array<number>(addressWords(set)).fill(FULL);
  let nets = 0;
  return set.parts.flatMap((part) => {
    if (part === 'ip') return address;
    if (part === 'net')
      return toWords(prefixMask(bits, lengths[nets++] ?? bits)).map((word, i) => (word & address[i]!) >>> 0);
    return part === 'mac' ? [FULL, FULL] : [FULL];
  });
}
