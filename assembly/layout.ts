// Every record in linear memory. `src/engine/layout.ts` is generated from layout/ at build (emit-layout.mjs).
//
// Addresses and ports are kept in wire order, as the bytes lie in the packet. Times are nanoseconds since 1970.
// Pointers are u32 addresses in the one shared memory; 0 is "none".

export * from "./layout/sizes";
export * from "./layout/packet";
export * from "./layout/flow";
export * from "./layout/event";
export * from "./layout/world";
export * from "./layout/route";
export * from "./layout/dispatch";
export * from "./layout/ip-set";
export * from "./layout/nat";
export * from "./layout/keyed";
export * from "./layout/help";
export * from "./layout/h323";
export * from "./layout/fragment";
export * from "./layout/sent";
export * from "./layout/sight";
export * from "./layout/tally";
export * from "./layout/trace";
export * from "./layout/format";
