// Reassembly in linear memory: how large are its regions, and what are its limits?
//
// Everything is bounded by the kernel's own limits (ipfrag_high_thresh, nf_conntrack_frag6_high_thresh), which count more
// for a fragment than it takes here. One reassembly serves all lanes and both firewalls of a comparison.

import { Sysctl } from '../../assembly/vocabulary.ts';
import type { Host } from '../host.ts';
import { BATCH_BYTES, BATCH_PACKETS, DEFRAG, DEFRAG_BUCKETS, FRAGMENT_END } from './layout.ts';
import type { Allocator } from './memory.ts';

/** Most bytes of fragments that are held per family, whatever the sysctls allow. */
export const THRESHOLD_MAX = 256 << 20;
/** A queue and its peer take two blocks, 512 bytes, and count 184 at least: nothing takes more in proportion. */
const REGION_FACTOR = 3;
/** The limit is looked at before a fragment is taken in: room for the one that passes it, and for packets at the seam. */
const SLACK = 1 << 20;
/** What is written of a packet besides its captured bytes, for each of its fragments. */
const PIECE_BYTES = 64;
/** The smallest fragment counts this much. */
const FRAGMENT_MEMORY = 640;

const SETTINGS = [
  Sysctl.IPFRAG_TIME,
  Sysctl.IPFRAG_HIGH_THRESH,
  Sysctl.IPFRAG_MAX_DIST,
  Sysctl.FRAG6_TIMEOUT,
  Sysctl.FRAG6_HIGH_THRESH,
];

export interface DefragRegion {
  /** Address of the Defrag record. */
  address: number;
  /** Bytes for FragmentEnd records that a batch may need. */
  endsBytes: number;
}

/** Lays reassembly out for a ring of `places` batches. `sysctls`: u32[Sysctl.COUNT], as World.sysctls. */
export function layOutDefrag(
  memory: WebAssembly.Memory,
  allocator: Pick<Allocator, 'take'>,
  sysctls: Uint32Array,
  places: number,
): DefragRegion {
  const view = new DataView(memory.buffer);
  const address = allocator.take(DEFRAG.size);
  const set = (field: number, value: number) => view.setUint32(address + field, value, true);
  const limit = (sysctl: Sysctl) => Math.min(sysctls[sysctl]!, THRESHOLD_MAX);
  const [high4, high6] = [limit(Sysctl.IPFRAG_HIGH_THRESH), limit(Sysctl.FRAG6_HIGH_THRESH)];
  const held = high4 + high6;
  const blocksBytes = held * REGION_FACTOR + SLACK;
  const blocks = allocator.take(blocksBytes, 256);
  // Bytes of a captured packet end in one reassembled packet at most: held ones, or those of batches not reported yet.
  const ringBytes = held + places * (BATCH_BYTES + BATCH_PACKETS * PIECE_BYTES) + SLACK;
  const ring = allocator.take(ringBytes);
  set(DEFRAG.buckets, allocator.take(2 * DEFRAG_BUCKETS * 4));
  set(DEFRAG.blocks_top, blocks);
  set(DEFRAG.blocks_end, blocks + blocksBytes);
  set(DEFRAG.ring, ring);
  set(DEFRAG.ring_top, ring);
  set(DEFRAG.ring_end, ring + ringBytes);
  set(DEFRAG.high_4, high4);
  set(DEFRAG.high_6, high6);
  set(DEFRAG.timeout_4, sysctls[Sysctl.IPFRAG_TIME]!);
  set(DEFRAG.timeout_6, sysctls[Sysctl.FRAG6_TIMEOUT]!);
  set(DEFRAG.max_dist, sysctls[Sysctl.IPFRAG_MAX_DIST]!);
  return { address, endsBytes: (Math.ceil(held / FRAGMENT_MEMORY) + BATCH_PACKETS + 2) * FRAGMENT_END.size };
}

/** What the user has to be told about the limits. */
export function defragNotes(hosts: readonly Host[]): string[] {
  const notes: string[] = [];
  const [first, ...others] = hosts;
  if (others.some((host) => SETTINGS.some((sysctl) => host.sysctls[sysctl] !== first!.sysctls[sysctl]))) {
    notes.push('the hosts differ in sysctls of reassembly: fragments are put together once, by those of the old host');
  }
  const high = Math.max(first!.sysctls[Sysctl.IPFRAG_HIGH_THRESH]!, first!.sysctls[Sysctl.FRAG6_HIGH_THRESH]!);
  if (high > THRESHOLD_MAX)
    notes.push('at most 256 MiB of fragments are held per family, less than ipfrag_high_thresh allows');
  return notes;
}
