// Does a link-layer header count the bytes of the packet that follows it?

const ETHERNET = 1;
const LINUX_SLL = 113;
const LINUX_SLL2 = 276;
const SLL2_HEADER = 20;
const PPPOE_SESSION = 0x8864;
/** Version and type, code, session, length, then the PPP protocol (RFC 2516). */
const PPPOE_HEADER = 8;

/** Offset of the PPPoE length in a header that ends where the IP packet begins; undefined if it has none. */
export function lengthPlace(link: number, header: Uint8Array): number | undefined {
  const at = header.length - PPPOE_HEADER;
  const cooked = link === LINUX_SLL2 && at === SLL2_HEADER;
  if (at < 2 || (link !== ETHERNET && link !== LINUX_SLL && link !== LINUX_SLL2)) return undefined;
  const type = cooked ? 0 : at - 2;
  return ((header[type]! << 8) | header[type + 1]!) === PPPOE_SESSION ? at + 4 : undefined;
}
