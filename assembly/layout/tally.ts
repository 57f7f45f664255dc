// Tally: counts of the packets that a lane tracked, all u64 (tally.ts); offsets of its histograms
/** By Verdict * 8 + CtState: packets, and entries that they made. */
export const TALLY_PACKETS: u32 = 0;
export const TALLY_FLOWS: u32 = 512;
/** IP bytes by Verdict; packets by Path. */
export const TALLY_BYTES: u32 = 1024;
export const TALLY_PATHS: u32 = 1088;
/** Packets with PacketFlag.OFFLOADED; packets with PacketFlag.STRANGER. */
export const TALLY_OFFLOADED: u32 = 1120;
export const TALLY_STRANGERS: u32 = 1128;
/** Packets by Reason * 8 + CtState. */
export const TALLY_REASONS: u32 = 1152;
/** By L3 * 256 + protocol number: packets, and entries that they made. */
export const TALLY_PROTOCOL_PACKETS: u32 = 17536;
export const TALLY_PROTOCOL_FLOWS: u32 = 50304;
/** Packets by state before * 32 + state after (Packet.tcp_before, Packet.tcp_state). */
export const TALLY_TRANSITIONS: u32 = 83072;
/** Packets by the rule that decided: as many as the world has rules. */
export const TALLY_DECIDED: u32 = 91264;
