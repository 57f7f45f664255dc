import { BATCH_PACKETS, BATCH_BYTES, LANES_MAX, WORLDS_MAX, INTERFACES_MAX, STEPS_MAX, Flow, Record, Packet, World, Event, Step, Route4, Route6, Counter, LogRecord, Slot, Account, Peer, Tuple } from "./layout";
export function t(): u32 {return BATCH_PACKETS+LANES_MAX; }
