// What is kept of a packet that leaves otherwise than its record and its translation tell?

// Sent: one such thing (24 bytes, then its bytes; records follow each other, each a multiple of 8 bytes long)
@unmanaged export class Sent {
  /** Packet that it is about. */
  packet: u32; // 0
  /** Bytes of the record, those that follow it included. */
  length: u32;
  /** SentKind. */
  kind: u8; // 8
  /**
   * REWRITTEN: 1 if bytes of the payload were replaced. QUOTED: Manip, which end of the quoted packet changes. MSS: 1 if the
   * packet became four bytes longer.
   */
  how: u8;
  /** REWRITTEN: bytes from the IP header to the transport header. */
  l4: u16;
  /** REWRITTEN: bytes that follow, and bytes of the packet on the wire. */
  captured: u32;
  ip_len: u32; // 16
  /** MSS. */
  value: u32;
}
if (offsetof<Sent>() != 24) ERROR("Sent is 24 bytes");
