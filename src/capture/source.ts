// Where do the bytes of a capture come from?
//
// A source gives bytes in order into memory that the caller names. Regular files are read at a position, so that they
// can be left and taken up again; pipes and terminals are read as they come.
import { close, constants, fstat, open, read, type Stats } from 'node:fs';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';

const openFile = promisify(open);
const closeFile = promisify(close);
const statFile = promisify(fstat);

/** A failure of a source or a format; the reader adds file, packet and offset. */
export class SourceFailure extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export abstract class ByteSource {
  /** Bytes of the file as it lies on disk, undefined when it has no end yet. */
  readonly size: number | undefined = undefined;
  /** Whether `seek` works. */
  readonly seekable: boolean = false;
  /** Whether opening the same path again gives the same bytes. */
  readonly rewindable: boolean = false;
  /** Bytes taken from the file so far, as they lie on disk. */
  bytesRead = 0;
  private pushed: Uint8Array | undefined;

  /**
   * Reads at least one byte and at most `target.length` into `target`; 0 is the end.
   * @throws SourceFailure
   */
  async read(target: Uint8Array): Promise<number> {
    const { pushed } = this;
    if (pushed === undefined) return this.pull(target);
    const count = Math.min(target.length, pushed.length);
    target.set(pushed.subarray(0, count));
    this.pushed = count < pushed.length ? pushed.subarray(count) : undefined;
    return count;
  }

  /** Gives bytes back: the next read returns them. */
  unread(bytes: Uint8Array): void {
    if (bytes.length > 0) this.pushed = bytes;
  }

  /** Reads on at `position`, bytes from the start; only if seekable. */
  seek(_position: number): void {
    this.pushed = undefined;
  }

  /** Ends a read that waits for bytes, where that is possible. */
  abort(): void {}

  protected abstract pull(target: Uint8Array): Promise<number>;
  abstract close(): Promise<void>;
}

/** Reads until `target` is full or the source ends. */
export async function readFully(source: ByteSource, target: Uint8Array): Promise<number> {
  let count = 0;
  while (count < target.length) {
    const more = await source.read(target.subarray(count));
    if (more === 0) break;
    count += more;
  }
  return count;
}

class FileSource extends ByteSource {
  override readonly size: number | undefined;
  override readonly seekable: boolean;
  override readonly rewindable: boolean;
  private position = 0;

  constructor(
    private readonly descriptor: number,
    stats: Stats,
    private readonly shared: boolean,
  ) {
    super();
    const regular = stats.isFile();
    this.size = regular ? stats.size : undefined;
    this.seekable = regular && !shared;
    this.rewindable = this.seekable;
  }

  override seek(position: number): void {
    super.seek(position);
    this.position = position;
  }

  protected override pull(target: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      const position = this.seekable ? this.position : null;
      read(this.descriptor, target, 0, target.length, position, (error, count) => {
        if (error) {
          reject(new SourceFailure('capture-read', `cannot be read: ${error.message}`));
          return;
        }
        this.position += count;
        this.bytesRead = this.position;
        resolve(count);
      });
    });
  }

  override async close(): Promise<void> {
    if (!this.shared) await closeFile(this.descriptor);
  }
}

/** A stream of bytes: standard input when it is a pipe, a socket or a terminal. */
class StreamSource extends ByteSource {
  private readonly stream: Readable;
  private chunk: Uint8Array = new Uint8Array(0);
  private ended = false;
  private failure: Error | undefined;
  private wake: (() => void) | undefined;

  constructor(stream: Readable) {
    super();
    this.stream = stream;
    stream.on('readable', this.notify);
    stream.on('end', this.onEnd);
    stream.on('close', this.onEnd);
    stream.on('error', this.onError);
  }

  private readonly notify = (): void => {
    this.wake?.();
    this.wake = undefined;
  };
  private readonly onEnd = (): void => {
    this.ended = true;
    this.notify();
  };
  private readonly onError = (error: Error): void => {
    this.failure = error;
    this.notify();
  };

  protected override async pull(target: Uint8Array): Promise<number> {
    let count = 0;
    while (count < target.length) {
      if (this.chunk.length === 0) {
        const chunk: Uint8Array | null = this.stream.read();
        if (chunk !== null) {
          this.chunk = chunk;
        } else if (this.failure !== undefined) {
          throw new SourceFailure('capture-read', `cannot be read: ${this.failure.message}`);
        } else if (this.ended || count > 0) {
          break;
        } else {
          await new Promise<void>((resolve) => {
            this.wake = resolve;
          });
          // What comes right behind the first bytes belongs to the same read.
          await new Promise((resolve) => setImmediate(resolve));
        }
        continue;
      }
      const part = this.chunk.subarray(0, target.length - count);
      target.set(part, count);
      count += part.length;
      this.chunk = this.chunk.subarray(part.length);
    }
    this.bytesRead += count;
    return count;
  }

  override abort(): void {
    this.onEnd();
  }

  override async close(): Promise<void> {
    this.stream.off('readable', this.notify);
    this.stream.off('end', this.onEnd);
    this.stream.off('close', this.onEnd);
    this.stream.destroy();
  }
}

/**
 * Opens a file, a named pipe, standard input (`-`), or the stream that stands for the path.
 * @throws SourceFailure `capture-open`
 */
export async function openSource(path: string, stream?: Readable): Promise<ByteSource> {
  if (stream !== undefined) return new StreamSource(stream);
  if (path === '-') return openStdin();
  let descriptor: number;
  try {
    descriptor = await openFile(path, constants.O_RDONLY);
  } catch (error) {
    throw new SourceFailure('capture-open', openMessage(error));
  }
  const stats = await statFile(descriptor);
  if (stats.isDirectory()) {
    await closeFile(descriptor);
    throw new SourceFailure('capture-open', 'is a directory, not a capture');
  }
  return new FileSource(descriptor, stats, false);
}

async function openStdin(): Promise<ByteSource> {
  let stats: Stats;
  try {
    stats = await statFile(0);
  } catch {
    throw new SourceFailure('capture-open', 'standard input is closed');
  }
  if (stats.isFile()) return new FileSource(0, stats, true);
  if (process.stdin.isTTY) throw new SourceFailure('capture-open', 'standard input is a terminal, not a capture');
  return new StreamSource(process.stdin);
}

function openMessage(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') return 'no such file';
  if (code === 'EACCES') return 'permission denied';
  return `cannot be opened: ${error instanceof Error ? error.message : String(error)}`;
}
