// How large are the regions that everything shares?

/** Packets, and bytes of capture, of a batch. */
export const BATCH_PACKETS: u32 = 8192;
export const BATCH_BYTES: u32 = 0x300000; // 3 MiB of capture bytes

/** Most that a run has of each. */
export const LANES_MAX: u32 = 64;
export const WORLDS_MAX: u32 = 2;
export const INTERFACES_MAX: u32 = 1024;

/** Steps of a hook (Step), the one that ends it included. */
export const STEPS_MAX: u32 = 16;
