// How does a moment of a capture read? Times are u64 nanoseconds since 1970 in linear memory; they are split here into
// exact seconds and nanoseconds without BigInt, for this runs once per packet of every report.

const BILLION = 1e9;
const THREE_DIGITS = Array.from({ length: 1000 }, (_, n) => String(n).padStart(3, '0'));

/** Whole seconds of the u64 nanoseconds at `at`: long division in 16-bit digits keeps every step below 2^46. */
export function secondsAt(view: DataView, at: number): number {
  const low = view.getUint32(at, true);
  const high = view.getUint32(at + 4, true);
  const first = (high % BILLION) * 65536 + (low >>> 16);
  const second = (first % BILLION) * 65536 + (low & 0xffff);
  return Math.floor(high / BILLION) * 4294967296 + Math.floor(first / BILLION) * 65536 + Math.floor(second / BILLION);
}

/** Nanoseconds within the second of the u64 nanoseconds at `at`. */
export function nanosAt(view: DataView, at: number): number {
  const low = view.getUint32(at, true);
  const first = (view.getUint32(at + 4, true) % BILLION) * 65536 + (low >>> 16);
  return ((first % BILLION) * 65536 + (low & 0xffff)) % BILLION;
}

/** Nine digits of nanoseconds. */
export function nanosText(nanos: number): string {
  const micros = Math.floor(nanos / 1000);
  return THREE_DIGITS[Math.floor(micros / 1000)]! + THREE_DIGITS[micros % 1000]! + THREE_DIGITS[nanos % 1000]!;
}

/** Six digits of microseconds: the nanoseconds cut, not rounded, as gettimeofday cuts them. */
export function microsText(nanos: number): string {
  const micros = Math.floor(nanos / 1000);
  return THREE_DIGITS[Math.floor(micros / 1000)]! + THREE_DIGITS[micros % 1000]!;
}

/** `seconds.nanoseconds` of the u64 nanoseconds at `at`. */
export function stampAt(view: DataView, at: number): string {
  return `${secondsAt(view, at)}.${nanosText(nanosAt(view, at))}`;
}

/** A u64 as a number; exact up to 2^53, which no counter of a replay exceeds. */
export function u64At(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 4294967296 + view.getUint32(at, true);
}

/** Flow.id as a number: entries that were there before the replay have negative ones. */
export function idAt(view: DataView, at: number): number {
  return view.getInt32(at + 4, true) * 4294967296 + view.getUint32(at, true);
}

/** `seconds.nanoseconds` of nanoseconds since 1970. */
export function stampText(ns: bigint): string {
  return `${ns / 1_000_000_000n}.${String(ns % 1_000_000_000n).padStart(9, '0')}`;
}

/** `2026-11-21 04:52:11.519092000 UTC` of nanoseconds since 1970: the same on every machine. */
export function utcText(ns: bigint): string {
  const seconds = ns / 1_000_000_000n;
  const date = new Date(Number(seconds) * 1000);
  const fraction = String(ns % 1_000_000_000n).padStart(9, '0');
  if (Number.isNaN(date.getTime())) return `${seconds}.${fraction}`;
  return `${date.toISOString().slice(0, -5).replace('T', ' ')}.${fraction} UTC`;
}

/** Nanoseconds since 1970 of `seconds.nanoseconds`. */
export function stampNs(stamp: string): bigint {
  return BigInt(stamp.replace('.', ''));
}

/** `1 d 02:03:04.500`, `12.345 s`: how long the captures last. */
export function spanText(ns: bigint): string {
  const seconds = Number(ns / 1_000_000n) / 1000;
  if (seconds < 60) return `${seconds.toFixed(3)} s`;
  const two = (n: number) => String(Math.floor(n)).padStart(2, '0');
  const days = Math.floor(seconds / 86400);
  const rest = (seconds % 60).toFixed(3).padStart(6, '0');
  return `${days > 0 ? `${days} d ` : ''}${two((seconds % 86400) / 3600)}:${two((seconds % 3600) / 60)}:${rest}`;
}
