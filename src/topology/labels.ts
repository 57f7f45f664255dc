// Which bits do the names of connection labels stand for? connlabel.conf, as libnetfilter_conntrack reads it for iptables
// and conntrack: a number and a name on each line, `#` begins a comment line.
import { refuseHost, textLines } from './place.ts';

/** NF_CT_LABELS_MAX_SIZE: 16 bytes of bits. */
const LABEL_MAX = 127;

/**
 * Bits by name.
 * @throws HostError `host-syntax` for a line of another form, `host-value` for a number that no connection has and for what
 * is given twice: the tools pass over such lines in silence
 */
export function parseLabelNames(file: string, text: string): ReadonlyMap<string, number> {
  const names = new Map<string, number>();
  const bits = new Set<number>();
  for (const [index, line] of textLines(text).entries()) {
    if (/^\s*(#|$)/.test(line)) continue;
    const [, number, name] = /^\s*(\d+|0[xX][0-9a-fA-F]+)\s+([\w -]*[\w-])\s*$/.exec(line) ?? [];
    if (number === undefined || name === undefined) {
      return refuseHost('host-syntax', 'expected "NUMBER NAME"', file, index + 1);
    }
    const bit = Number(number);
    if (bit > LABEL_MAX) refuseHost('host-value', `labels are numbered from 0 to ${LABEL_MAX}`, file, index + 1);
    if (bits.has(bit)) refuseHost('host-value', `label ${bit} has a name already`, file, index + 1);
    if (names.has(name)) refuseHost('host-value', `'${name}' is the name of another label`, file, index + 1);
    bits.add(bit);
    names.set(name, bit);
  }
  return names;
}
