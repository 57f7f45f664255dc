// How is a gzip compressed capture read?
//
// Compressed bytes are fed in pieces of a fixed size, the next one when what the last one gave has been taken: at most
// what one piece can expand to (1,032 times its size, RFC 1951) is ever held. The fixed size also makes a damaged
// stream end at the same byte however it arrives; up to CHUNK_BYTES in front of the damage are lost. The stream is only
// told that it ends when all it gave has been taken, because an error makes it drop what it holds.
import { createGunzip, type Gunzip } from 'node:zlib';
import { ByteSource, readFully, SourceFailure } from './source.ts';

const PIECE_BYTES = 16 * 1024;
const CHUNK_BYTES = 64 * 1024;

/** Whether bytes begin a gzip member with the only method there is (RFC 1952, section 2.3.1). */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes.length >= 3 && bytes[0] === 0x1f && bytes[1] === 0x8b && bytes[2] === 8;
}

/** Decompresses another source: one member or several behind each other. */
export class GunzipSource extends ByteSource {
  override readonly size: number | undefined;
  override readonly rewindable: boolean;
  private readonly gunzip: Gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  private readonly piece = new Uint8Array(PIECE_BYTES);
  private readonly queue: Uint8Array[] = [];
  private state: 'open' | 'ended' | 'failed' = 'open';
  private failure: SourceFailure | undefined;
  private aborted = false;
  private wake: (() => void) | undefined;

  constructor(private readonly raw: ByteSource) {
    super();
    this.size = raw.size;
    this.rewindable = raw.rewindable;
    this.gunzip.on('data', (chunk: Uint8Array) => {
      this.queue.push(chunk);
    });
    this.gunzip.on('end', () => {
      this.state = 'ended';
      this.notify();
    });
    this.gunzip.on('error', (error: NodeJS.ErrnoException) => {
      this.state = 'failed';
      this.failure =
        error.code === 'Z_BUF_ERROR'
          ? new SourceFailure('capture-cut', 'the gzip stream is cut short')
          : new SourceFailure('capture-gzip', `the gzip stream is damaged: ${error.message}`);
      this.notify();
    });
  }

  private notify(): void {
    this.wake?.();
    this.wake = undefined;
  }

  protected override async pull(target: Uint8Array): Promise<number> {
    let count = 0;
    while (count < target.length) {
      const chunk = this.queue[0];
      if (chunk !== undefined) {
        const part = chunk.subarray(0, target.length - count);
        target.set(part, count);
        count += part.length;
        if (part.length === chunk.length) this.queue.shift();
        else this.queue[0] = chunk.subarray(part.length);
      } else if (this.state !== 'open' || this.aborted) {
        break;
      } else {
        await this.feed();
      }
    }
    if (count === 0 && this.failure !== undefined && !this.aborted) throw this.failure;
    return count;
  }

  /** Hands the next piece over and waits until it is decompressed, or the stream has ended. */
  private async feed(): Promise<void> {
    const count = await readFully(this.raw, this.piece);
    this.bytesRead = this.raw.bytesRead;
    if (this.aborted) return;
    await new Promise<void>((resolve) => {
      this.wake = resolve;
      if (count === 0) this.gunzip.end();
      else {
        // A failed write is followed by the error event.
        this.gunzip.write(this.piece.subarray(0, count), (error) => {
          if (!error) this.notify();
        });
      }
    });
  }

  override abort(): void {
    this.aborted = true;
    this.raw.abort();
    this.notify();
  }

  override async close(): Promise<void> {
    this.gunzip.destroy();
    await this.raw.close();
  }
}
