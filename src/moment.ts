// Which moment of the replay does the user mean?

import type { Moment } from './run.ts';

/** `12.5` -> 12500000000n; digits beyond nanoseconds are cut. */
function nanoseconds(seconds: string, fraction: string | undefined): bigint {
  return BigInt(seconds) * 1_000_000_000n + BigInt((fraction ?? '').slice(0, 9).padEnd(9, '0'));
}

const ISO = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::(\d{2})(?:[.,](\d+))?)?)?\s*(Z|UTC|[+-]\d{2}:?\d{2})?$/i;

/**
 * Reads a time: seconds since 1970 with an optional fraction, `+SECONDS` after the first packet, or ISO 8601 (UTC unless it
 * names a zone); undefined if it is none.
 */
export function parseMoment(text: string): Moment | undefined {
  const relative = /^\+(\d+)(?:\.(\d+))?$/.exec(text);
  if (relative) return { afterFirst: nanoseconds(relative[1]!, relative[2]) };
  const absolute = /^(\d+)(?:\.(\d+))?$/.exec(text);
  if (absolute) return { at: nanoseconds(absolute[1]!, absolute[2]) };
  const iso = ISO.exec(text);
  if (iso) {
    const [, day, minutes = '00:00', seconds = '00', fraction, zone = 'Z'] = iso;
    const offset = /^(Z|UTC)$/i.test(zone) ? 'Z' : zone.replace(/^([+-]\d{2}):?(\d{2})$/, '$1:$2');
    const ms = Date.parse(`${day}T${minutes}:${seconds}${offset}`);
    if (!Number.isNaN(ms) && ms >= 0) return { at: nanoseconds(String(ms / 1000), fraction) };
  }
  return undefined;
}
