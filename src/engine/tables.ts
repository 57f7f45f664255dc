// What stands in the lanes' tables: entries and expectations, as EVENT records.

import type { EventPlace } from '../report/order.ts';
import { idAt } from '../report/time.ts';
import { type EngineExports, unsigned } from './engine.ts';
import { EVENT, EXPECTATION, WORLD } from './layout.ts';

/** The tables of one firewall at a moment. */
export class Tables {
  private readonly view: DataView;
  private readonly bytes: Uint8Array;
  /** The moment, ns since 1970, as two words. */
  private readonly clock: readonly [number, number];

  /**
   * @param worlds addresses of the lanes' World records
   * @param event room for an EVENT record
   */
  constructor(
    memory: WebAssembly.Memory,
    private readonly engine: EngineExports,
    private readonly worlds: readonly number[],
    private readonly event: number,
    clock: bigint,
  ) {
    this.view = new DataView(memory.buffer);
    this.bytes = new Uint8Array(memory.buffer);
    this.clock = [Number(clock & 0xffffffffn), Number(clock >> 32n)];
  }

  /** Entries, oldest first: each valid until the next is asked for. */
  *entries(): Generator<EventPlace> {
    const { view, bytes, engine, event: at, clock } = this;
    const entries = this.worlds.flatMap((world) =>
      this.flows(world).map((flow) => {
        engine.describe_flow(world, flow, at, ...clock);
        return { world, flow, id: view.getBigInt64(at + EVENT.id, true) };
      }),
    );
    entries.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
    for (const { world, flow } of entries) {
      engine.describe_flow(world, flow, at, ...clock);
      yield { view, bytes, at };
    }
  }

  /** Expectations, oldest first: each valid until the next is asked for. */
  *expectations(): Generator<EventPlace> {
    const { view, bytes, engine, event: at, clock } = this;
    const id = (expectation: number) => idAt(view, expectation + EXPECTATION.id);
    const expected = this.worlds.flatMap((world) => this.expected(world)).sort((a, b) => id(a) - id(b));
    for (const expectation of expected) {
      engine.describe_expectation(expectation, at, ...clock);
      yield { view, bytes, at };
    }
  }

  /** Addresses of a lane's flows. */
  private flows(world: number): number[] {
    const found: number[] = [];
    const flowBytes = this.view.getUint32(world + WORLD.flow_bytes, true);
    let flow = unsigned(this.engine.next_flow(world, this.view.getUint32(world + WORLD.flows, true)));
    for (; flow; flow = unsigned(this.engine.next_flow(world, flow + flowBytes))) found.push(flow);
    return found;
  }

  /** Addresses of a lane's expectations. */
  private expected(world: number): number[] {
    const found: number[] = [];
    let at = unsigned(this.engine.next_expectation(world, 0));
    for (; at; at = unsigned(this.engine.next_expectation(world, at + EXPECTATION.size))) found.push(at);
    return found;
  }
}
