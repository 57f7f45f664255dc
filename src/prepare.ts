// What has to be ready before the first packet: captures open, rules compiled, and everything laid out in linear memory.

import { availableParallelism } from 'node:os';
import { Checksums, Sysctl } from '../assembly/vocabulary.ts';
import { CaptureFeed } from './capture/feed.ts';
import { InterfaceNames } from './capture/interfaces.ts';
import { captureAreaBytes, type Walker } from './capture/walker.ts';
import { defragNotes, layOutDefrag } from './engine/defrag.ts';
import {
  compileEngine,
  type EngineExports,
  instantiateEngine,
  SCRATCH_BYTES,
  SHARD_TABLE_BYTES,
  SHARDS,
} from './engine/engine.ts';
import { EVENT, LANES_MAX } from './engine/layout.ts';
import { Allocator, createMemory } from './engine/memory.ts';
import { layOutSights } from './engine/sights.ts';
import { INTERFACE_TABLE_BYTES, WorldImage } from './engine/world.ts';
import { LaneLimits, planShards } from './plan/shard.ts';
import { hostLimits, sharedState } from './plan/shared-state.ts';
import type { LanePlan } from './pool/lane.ts';
import { layOutRing, placesFor } from './pool/ring.ts';
import { type CompiledRuleset, compileRuleset, parseRulesets } from './ruleset/index.ts';
import type { RunOptions } from './run.ts';

/** A run that can begin. `feed` is open: whoever prepared it closes it. */
export interface Prepared {
  feed: CaptureFeed;
  /** The main thread's instance, for what is no lane's work: walking, the table at the begin and at the end. */
  engine: EngineExports;
  plan: LanePlan;
  /** One per host. */
  images: readonly WorldImage[];
  names: InterfaceNames;
  /** Address of an EVENT record to describe entries in. */
  event: number;
  /** What users should know of this run. */
  notes: readonly string[];
  limits: LaneLimits;
}

/** Captures below this size are not worth a second thread, unless asked for. */
const BYTES_PER_THREAD = 4 << 20;

/**
 * Prepares a run; `oneLane`: in one lane, whatever the rules say.
 * @throws CaptureError if a capture cannot be opened; RulesetError, HostError for what cannot be executed; EngineError
 */
export async function prepare(options: RunOptions, oneLane: boolean): Promise<Prepared> {
  // V8 compiles on threads of its own while rules are read; a mistake in these is what is told first.
  const compiling = compileEngine();
  compiling.catch(() => {});
  const rulesets = options.hosts.map((host) => parseRulesets(host.rulesets));
  const engineModule = await compiling;
  const memory = createMemory();
  const allocator = new Allocator();
  const seed = seedWords();
  const engine = instantiateEngine(engineModule, memory, allocator.take(SCRATCH_BYTES), seed);
  const names = new InterfaceNames();
  const area = {
    address: allocator.take(captureAreaBytes(options.captures.length)),
    bytes: captureAreaBytes(options.captures.length),
  };
  // Interfaces of the hosts come first, so that their numbers do not depend on the captures.
  let slotBase = engine.table.length;
  const compiled = rulesets.map((ruleset) => {
    const interfaceTable = allocator.take(INTERFACE_TABLE_BYTES);
    const rules = compileRuleset(ruleset, {
      trace: options.trace !== undefined,
      interfaceTable,
      tableBase: slotBase,
    });
    const base = slotBase;
    slotBase += rules.slots;
    return { rules, interfaceTable, base };
  });
  const feed = await CaptureFeed.open(options.captures, memory, engine as unknown as Walker, names, area);
  try {
    const key = planShards(compiled.map(({ rules }, index) => sharedState(rules, options.hosts[index]!)));
    const limits = new LaneLimits(compiled.map(({ rules }, index) => hostLimits(rules, options.hosts[index]!)));
    const alone = oneLane || key.key === 'one-lane' || (limits.stated && !feed.seekable);
    const threads = chooseThreads(options.workers, feed.bytesTotal);
    const lanes = alone ? 1 : threads;
    const images = compiled.map(
      ({ rules, interfaceTable }, index) =>
        new WorldImage(memory, { host: options.hosts[index]!, rules, interfaceTable }, names),
    );
    images.forEach((image, index) => {
      const trace = options.trace !== undefined;
      const limited = lanes === 1 && options.hosts[index]!.sysctls[Sysctl.MAX] !== 0;
      image.build(allocator, lanes, {
        slotBase: compiled[index]!.base,
        trace,
        limited,
        seed: options.seed,
        tally: options.wantSummary === true,
      });
    });
    const defrag = layOutDefrag(memory, allocator, options.hosts[0].sysctls, placesFor(threads));
    const { endsBytes } = defrag;
    const sights = layOutSights(memory, allocator, options.hosts, images[0]!.lanes[0]!, names);
    for (const image of images) image.tellSides(allocator, sights);
    const wants = {
      endsBytes,
      events: options.wantEvents,
      logs: images.some(({ helps, plan: { rules } }) => rules.logsPerPacket > 0 || helps),
      sent: options.wantSent === true,
      translations: compiled.map(({ rules }) => rules.chains.some(({ type }) => type === 'nat')),
    };
    const ring = layOutRing(allocator, { threads, lanes, worlds: images.length, ...wants });
    const shards = allocator.take(SHARD_TABLE_BYTES);
    const scratch = Array.from({ length: threads }, () => allocator.take(SCRATCH_BYTES));
    const event = allocator.take(EVENT.size);
    const bytesPerTable = Math.floor(allocator.left / (lanes * images.length)) - 4096;
    for (const image of images) image.buildTables(allocator, bytesPerTable);
    const table = new Uint8Array(memory.buffer, shards, SHARD_TABLE_BYTES);
    for (let shard = 0; shard < SHARDS; shard++) table[shard] = Math.floor((shard * lanes) / SHARDS);
    table[SHARDS] = key.key === 'pair' ? 1 : 0;
    const plan: LanePlan = {
      memory,
      engine: engineModule,
      rules: compiled.map(({ rules }) => new WebAssembly.Module(rules.wasm.slice())),
      ring,
      threads,
      lanes,
      seed,
      scratch,
      worlds: Array.from({ length: lanes }, (_, lane) => images.map((image) => image.lanes[lane]!)),
      shards,
      checksums: { ignore: Checksums.IGNORE, verify: Checksums.VERIFY, auto: Checksums.AUTO }[options.checksums],
      defrag,
      sights,
    };
    const told = [
      ...options.hosts.flatMap((host) => host.notes),
      ...trackingNotes(compiled),
      ...defragNotes(options.hosts),
    ];
    const notes = [...new Set(told)];
    return { feed, engine, plan, images, names, event, notes, limits };
  } catch (error) {
    await feed.close();
    throw error;
  }
}

/** Law 1 has one exception that is ours by intent: tracking goes on where the kernel would not have begun it. */
function trackingNotes(compiled: readonly { rules: CompiledRuleset }[]): string[] {
  const idle = compiled.some(({ rules }) => rules.rules.length > 0 && rules.usesConntrack.size === 0);
  return idle
    ? ['no rule uses connection tracking: a kernel tracks only if something else asks it to; here it is always on']
    : [];
}

/** The hash seed: nothing that comes out depends on it, and who writes captures cannot know it. `crypto` takes 2 ms to load. */
function seedWords(): [number, number] {
  const word = () => Math.floor(Math.random() * 2 ** 32);
  return [word(), word()];
}

/** What was asked for, or a thread per core as far as the captures are worth it. Output is the same for any number. */
function chooseThreads(workers: number | undefined, bytes: number | undefined): number {
  if (workers !== undefined) return Math.min(workers, LANES_MAX);
  const worth = bytes === undefined ? Number.POSITIVE_INFINITY : Math.ceil(bytes / BYTES_PER_THREAD);
  return Math.max(1, Math.min(availableParallelism(), worth, LANES_MAX));
}
