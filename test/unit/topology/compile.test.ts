// Do the compiled intervals say the same as a lookup that tries every route, one by one?
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { AddrType } from '../../../assembly/vocabulary.ts';
import { ROUTE4, ROUTE6 } from '../../../src/engine/layout.ts';
import {
  type Address,
  addressBits,
  contains,
  type Family,
  hostMask,
  IPV4,
  IPV6,
  lastAddress,
} from '../../../src/topology/addresses.ts';
import { compileTopology } from '../../../src/topology/compile.ts';
import { type Route, type TableName, THROW } from '../../../src/topology/routes.ts';
import { defaultSysctls } from '../../../src/topology/sysctl.ts';
import { Names, RouteEngine } from '../../support/host.ts';

const TABLES: TableName[] = ['local', 'main', 'default'];

/**
 * fib_rules_lookup() and fib_table_lookup() in words: table after table; in each the longest prefix, of equal ones the
 * smallest metric, of equal ones the first; a throw goes on with the next table.
 */
function naiveLookup(routes: Route[], address: Address): { type: AddrType; device: string | undefined } {
  for (const table of TABLES) {
    let best: Route | undefined;
    for (const route of routes) {
      if (route.table !== table || !contains(route.prefix, address)) continue;
      const longer = best === undefined || route.prefix.length > best.prefix.length;
      const same = best !== undefined && route.prefix.length === best.prefix.length;
      if (longer || (same && route.metric < best!.metric)) best = route;
    }
    if (best === undefined || best.type === THROW) continue;
    const nowhere = best.type >= AddrType.BLACKHOLE;
    return { type: best.type, device: nowhere ? undefined : best.device };
  }
  return { type: AddrType.UNSPEC, device: undefined };
}

/** Routes crowd into few bits, so that they nest, touch and meet the ends of the address space. */
function routesOf(family: Family): fc.Arbitrary<Route[]> {
  const bits = addressBits(family);
  const value = fc.oneof(
    fc.bigInt({ min: 0n, max: 15n }).map((high) => high << BigInt(bits - 4)),
    fc.bigInt({ min: 0n, max: 255n }),
    fc.bigInt({ min: 0n, max: (1n << BigInt(bits)) - 1n }),
    fc.constantFrom(0n, (1n << BigInt(bits)) - 1n),
  );
  const length = fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: bits - 8, max: bits }));
  const type = fc.constantFrom(
    AddrType.UNICAST,
    AddrType.UNICAST,
    AddrType.LOCAL,
    AddrType.BLACKHOLE,
    AddrType.PROHIBIT,
    THROW,
  );
  const route = fc.record({
    prefix: fc.tuple(value, length).map(([address, bitsKept]) => ({
      family,
      length: bitsKept,
      first: address & ~hostMask(family, bitsKept),
    })),
    table: fc.constantFrom(...TABLES),
    type: type as fc.Arbitrary<Route['type']>,
    device: fc.constantFrom('a', 'b', 'c', undefined),
    metric: fc.integer({ min: 0, max: 2 }),
  });
  return fc.array(route, { maxLength: 24 });
}

/** Both ends of every route and their outer neighbours: an error in flattening shows there. */
function corners(routes: Route[], family: Family): Address[] {
  const top = (1n << BigInt(addressBits(family))) - 1n;
  const values = routes.flatMap(({ prefix }) => {
    const last = lastAddress(prefix);
    return [prefix.first, last, prefix.first === 0n ? 0n : prefix.first - 1n, last === top ? top : last + 1n];
  });
  return [0n, top, ...values].map((value) => ({ family, value }));
}

let engine: RouteEngine;
beforeAll(async () => {
  engine = await RouteEngine.open('release');
}, 60_000);

describe.each([
  ['IPv4', IPV4],
  ['IPv6', IPV6],
] as const)('%s', (_, family) => {
  test('every address is found as by trying all routes', () => {
    fc.assert(
      fc.property(
        routesOf(family),
        fc.array(fc.bigInt({ min: 0n, max: (1n << BigInt(addressBits(family))) - 1n }), { maxLength: 8 }),
        (routes, others) => {
          const names = new Names();
          const compiled = compileTopology({ routes }, names);
          engine.load(defaultSysctls(), compiled);
          for (const address of [...corners(routes, family), ...others.map((value) => ({ family, value }))]) {
            const expected = naiveLookup(routes, address);
            expect(engine.lookup(address)).toEqual({
              type: expected.type,
              oif: expected.device === undefined ? 0 : names.known.indexOf(expected.device) + 1,
            });
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test('intervals start at 0, ascend strictly, and neighbours differ', () => {
    fc.assert(
      fc.property(routesOf(family), (routes) => {
        const { routes4, routes6 } = compileTopology({ routes }, new Names());
        const bytes = family === IPV4 ? routes4 : routes6;
        const size = family === IPV4 ? ROUTE4.size : ROUTE6.size;
        const view = new DataView(bytes.buffer);
        const start = (at: number): bigint =>
          family === IPV4
            ? BigInt(view.getUint32(at + ROUTE4.start, true))
            : (view.getBigUint64(at + ROUTE6.start_hi, true) << 64n) | view.getBigUint64(at + ROUTE6.start_lo, true);
        const rest = (at: number): string => {
          const [type, oif] = family === IPV4 ? [ROUTE4.type, ROUTE4.oif] : [ROUTE6.type, ROUTE6.oif];
          return `${view.getUint8(at + type)} ${view.getUint16(at + oif, true)}`;
        };
        expect(start(0)).toBe(0n);
        for (let at = size; at < bytes.length; at += size) {
          expect(start(at)).toBeGreaterThan(start(at - size));
          expect(rest(at)).not.toBe(rest(at - size));
        }
      }),
      { numRuns: 200 },
    );
  });
});
