// Where do fragments wait for the rest of their packet? Blocks of one size in a fixed region of linear memory.
//
// A queue and a peer take one block each, a fragment as many as its bytes need: its FragmentPiece and the first bytes in
// one, the others in blocks that start with the address of the next. What a fragment counts against the kernel's limit
// (DEFRAG_BLOCK more than its bytes at least) bounds the number of blocks, so the region is never exhausted.

import { DEFRAG_BLOCK, Defrag, FragmentPiece } from "./layout";

const LINK: usize = 4;
const IN_FIRST: usize = <usize>DEFRAG_BLOCK - offsetof<FragmentPiece>();

/** A block of zeros. The region holds all blocks that the limits allow (src/engine/defrag.ts). */
export function take_block(d: Defrag): usize {
  let block: usize = d.blocks_free;
  if (block) {
    d.blocks_free = load<u32>(block);
  } else {
    block = d.blocks_top;
    if (block + DEFRAG_BLOCK > <usize>d.blocks_end) unreachable();
    d.blocks_top += DEFRAG_BLOCK;
  }
  memory.fill(block, 0, DEFRAG_BLOCK);
  return block;
}

export function free_block(d: Defrag, block: usize): void {
  store<u32>(block, d.blocks_free);
  d.blocks_free = <u32>block;
}

/** Gives back a fragment and all of its bytes. */
export function free_piece(d: Defrag, piece: FragmentPiece): void {
  let block = changetype<usize>(piece);
  while (block) {
    const next: usize = load<u32>(block);
    free_block(d, block);
    block = next;
  }
}

/** Where the next byte of the fragment in work goes. */
let write_block: usize = 0;
let write_at: usize = 0;
let write_left: usize = 0;

/** Begins to fill a fragment. */
export function begin_bytes(piece: FragmentPiece): void {
  write_block = changetype<usize>(piece);
  write_at = write_block + offsetof<FragmentPiece>();
  write_left = IN_FIRST;
}

/** Appends bytes to the fragment that begin_bytes() began. */
export function add_bytes(d: Defrag, source: usize, length: usize): void {
  while (length) {
    if (write_left == 0) {
      const block = take_block(d);
      store<u32>(write_block, <u32>block);
      write_block = block;
      write_at = block + LINK;
      write_left = DEFRAG_BLOCK - LINK;
    }
    const part = min(length, write_left);
    memory.copy(write_at, source, part);
    write_at += part;
    write_left -= part;
    source += part;
    length -= part;
  }
}

/** Copies the first `length` bytes of a fragment to `target`. */
export function copy_bytes(piece: FragmentPiece, target: usize, length: usize): void {
  let block = changetype<usize>(piece);
  let at = block + offsetof<FragmentPiece>();
  let here = IN_FIRST;
  while (length) {
    const part = min(length, here);
    memory.copy(target, at, part);
    target += part;
    length -= part;
    block = load<u32>(block);
    at = block + LINK;
    here = DEFRAG_BLOCK - LINK;
  }
}
