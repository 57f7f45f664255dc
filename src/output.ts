// How does an output reach its place? A regular file appears whole or not at all; pipes, terminals and devices are
// written as they come; a reader that has gone away is not trouble.

import { constants, realpathSync, statSync, unlinkSync, write as writeFd } from 'node:fs';
import { type FileHandle, open, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CtreplayError } from './errors.ts';

/** Bytes gathered before they are written. */
const CHUNK = 1 << 20;
/** Text that is joined before it becomes bytes, in UTF-16 units. */
const TEXT_MAX = 1 << 15;
/** How long to wait when a non-blocking pipe is full, ms. */
const FULL_PIPE_MS = 2;

/** An output that could not be written: the disk is full, the folder is read-only ... */
export class OutputError extends CtreplayError {}

/** One place that text goes to. */
export interface Output {
  /** The path as the user gave it, `-` for standard output. */
  readonly path: string;
  /** True once the reader of a pipe has gone: what is written from then on is discarded. */
  readonly closed: boolean;
  /**
   * Appends text, or bytes, which are copied. A returned promise must be awaited before the next write: the chunk before
   * the last is still on its way out.
   *
   * @throws OutputError (rejects)
   */
  write(data: string | Uint8Array): Promise<void> | undefined;
  /** Writes the rest and makes the file appear under its name. @throws OutputError */
  finish(): Promise<void>;
  /** Gives up: a regular file leaves nothing behind. Never throws; harmless after finish(). */
  discard(): Promise<void>;
}

/** Temporary files that exist now, removed when the process ends for whatever reason. */
const unfinished = new Set<string>();
let watching = false;

function removeUnfinished(): void {
  for (const path of unfinished) {
    try {
      unlinkSync(path);
    } catch {
      // The process is ending: nobody could act on it.
    }
  }
  unfinished.clear();
}

function endBySignal(signal: NodeJS.Signals): void {
  removeUnfinished();
  for (const name of SIGNALS) process.removeListener(name, endBySignal);
  watching = false;
  // With our handler gone, other listeners or the default action decide what the signal does.
  if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
}

const SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** A file that is to be gone when the process ends for whatever reason, unless unwatch() is told that it is gone. */
export function watch(path: string): void {
  unfinished.add(path);
  if (watching) return;
  watching = true;
  process.on('exit', removeUnfinished);
  for (const signal of SIGNALS) process.on(signal, endBySignal);
}

export function unwatch(path: string): void {
  unfinished.delete(path);
  if (unfinished.size > 0 || !watching) return;
  watching = false;
  process.removeListener('exit', removeUnfinished);
  for (const signal of SIGNALS) process.removeListener(signal, endBySignal);
}

function trouble(path: string, error: unknown): OutputError {
  const { code, message } = error as NodeJS.ErrnoException;
  const reasons: Record<string, string> = {
    ENOSPC: 'no space left on the device',
    EDQUOT: 'the disk quota is used up',
    EFBIG: 'the file is too large',
    EACCES: 'permission denied',
    EPERM: 'operation not permitted',
    EROFS: 'the file system is read-only',
    ENOENT: 'the folder does not exist',
    ENOTDIR: 'a part of the path is not a folder',
    EISDIR: 'it is a folder',
    EIO: 'input/output error',
  };
  const place = path === '-' ? 'standard output' : path;
  const reason = (code !== undefined && reasons[code]) || message;
  return new OutputError('output-failed', `cannot write ${place}: ${reason}`, { cause: error });
}

function writeSome(fd: number, bytes: Buffer, offset: number): Promise<number> {
  return new Promise((resolve, reject) => {
    writeFd(fd, bytes, offset, bytes.length - offset, null, (error, written) => {
      if (error === null) resolve(written);
      else reject(error);
    });
  });
}

/**
 * Writes through a descriptor; subclasses say how it begins and ends. One chunk is filled while the other is on its way
 * out, so that writing takes no time from who formats.
 */
abstract class DescriptorOutput implements Output {
  readonly path: string;
  closed = false;
  /** Set by finish() and discard(). */
  protected over = false;
  #chunk: Buffer = Buffer.allocUnsafe(CHUNK);
  #spare: Buffer | undefined;
  #filled = 0;
  /** Text that is not in the chunk yet: short pieces are joined before they become bytes. */
  #text = '';
  #writing: Promise<void> | undefined;
  #error: unknown;

  constructor(path: string) {
    this.path = path;
  }

  protected abstract readonly fd: number;

  write(data: string | Uint8Array): Promise<void> | undefined {
    if (this.closed || this.over) return undefined;
    if (typeof data === 'string') {
      this.#text += data;
      if (this.#text.length < TEXT_MAX) return undefined;
      return this.#append(this.#textBytes());
    }
    if (this.#text === '') return this.#append(data);
    return this.#append(Buffer.concat([this.#textBytes(), data]));
  }

  #textBytes(): Buffer {
    const bytes = Buffer.from(this.#text, 'utf8');
    this.#text = '';
    return bytes;
  }

  #append(bytes: Uint8Array): Promise<void> | undefined {
    if (bytes.length > CHUNK - this.#filled) return this.#appendLong(bytes);
    this.#chunk.set(bytes, this.#filled);
    this.#filled += bytes.length;
    return undefined;
  }

  async #appendLong(bytes: Uint8Array): Promise<void> {
    for (let from = 0; from < bytes.length; ) {
      const some = Math.min(CHUNK - this.#filled, bytes.length - from);
      this.#chunk.set(bytes.subarray(from, from + some), this.#filled);
      this.#filled += some;
      from += some;
      if (this.#filled === CHUNK) await this.#send();
    }
  }

  /** Sends the chunk on its way, once the one before has left. */
  async #send(): Promise<void> {
    await this.#sent();
    const full = this.#chunk.subarray(0, this.#filled);
    const next = this.#spare ?? Buffer.allocUnsafe(CHUNK);
    this.#spare = this.#chunk;
    this.#chunk = next;
    this.#filled = 0;
    this.#writing = this.#writeAll(full).catch((error) => {
      this.#error = error;
    });
  }

  /** Waits until nothing is on its way. @throws what went wrong there */
  async #sent(): Promise<void> {
    await this.settled();
    if (this.#error === undefined) return;
    await this.discard();
    throw this.#error;
  }

  /** Waits until nothing is on its way, whatever became of it. */
  protected async settled(): Promise<void> {
    await this.#writing;
    this.#writing = undefined;
  }

  protected async flush(): Promise<void> {
    const rest = this.#append(this.#textBytes());
    if (rest) await rest;
    await this.#send();
    await this.#sent();
  }

  async #writeAll(bytes: Buffer): Promise<void> {
    let offset = 0;
    while (offset < bytes.length && !this.closed) {
      try {
        offset += await writeSome(this.fd, bytes, offset);
      } catch (error) {
        await this.#failed(error as NodeJS.ErrnoException);
      }
    }
  }

  async #failed(error: NodeJS.ErrnoException): Promise<void> {
    switch (error.code) {
      case 'EPIPE':
        this.closed = true;
        return;
      case 'EINTR':
        return;
      case 'EAGAIN':
        await new Promise((resolve) => setTimeout(resolve, FULL_PIPE_MS));
        return;
    }
    throw trouble(this.path, error);
  }

  abstract finish(): Promise<void>;
  abstract discard(): Promise<void>;
}

/** Standard output, a pipe, a terminal, a device: written as it comes. */
class StreamOutput extends DescriptorOutput {
  protected readonly fd: number;
  readonly #handle: FileHandle | undefined;

  /** @param target a descriptor that somebody else opened, or a handle that finish() closes */
  constructor(path: string, target: number | FileHandle) {
    super(path);
    this.#handle = typeof target === 'number' ? undefined : target;
    this.fd = typeof target === 'number' ? target : target.fd;
  }

  async finish(): Promise<void> {
    await this.flush();
    await this.discard();
  }

  async discard(): Promise<void> {
    this.over = true;
    await this.settled();
    await this.#handle?.close().catch(() => {});
  }
}

/** A regular file: a temporary one in the same folder until it is complete. */
class FileOutput extends DescriptorOutput {
  protected readonly fd: number;
  readonly #handle: FileHandle;
  readonly #temporary: string;
  readonly #target: string;

  constructor(path: string, handle: FileHandle, temporary: string, target: string) {
    super(path);
    this.#handle = handle;
    this.fd = handle.fd;
    this.#temporary = temporary;
    this.#target = target;
  }

  async finish(): Promise<void> {
    await this.flush();
    try {
      await this.#handle.sync();
      await this.#handle.close();
      await rename(this.#temporary, this.#target);
    } catch (error) {
      await this.discard();
      throw trouble(this.path, error);
    }
    this.over = true;
    unwatch(this.#temporary);
  }

  async discard(): Promise<void> {
    if (this.over) return;
    this.over = true;
    await this.settled();
    await this.#handle.close().catch(() => {});
    await unlink(this.#temporary).catch(() => {});
    unwatch(this.#temporary);
  }
}

let temporaries = 0;

/** Opens a regular file for atomic writing; a link is followed, so that it stays a link. */
async function openFile(path: string, mode: number | undefined): Promise<Output> {
  const target = mode === undefined ? path : realpathSync(path);
  const temporary = join(dirname(target), `.${basename(target)}.${process.pid}-${temporaries++}.tmp`);
  const handle = await open(temporary, 'wx', 0o666);
  watch(temporary);
  // A file that is replaced keeps its permissions; where that is not ours to do, the umask decides.
  if (mode !== undefined) await handle.chmod(mode & 0o777).catch(() => {});
  return new FileOutput(path, handle, temporary, target);
}

/**
 * Opens an output: `-` is standard output, an existing file that is not regular (FIFO, /dev/stdout, /dev/null) is written
 * directly, anything else is a regular file that appears under its name when finished.
 *
 * @throws OutputError if it cannot be opened
 */
export async function openOutput(path: string): Promise<Output> {
  const descriptor = descriptorOf(path);
  if (descriptor !== undefined) return new StreamOutput(path, descriptor);
  try {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return await openFile(path, undefined);
    if (stat.isDirectory()) throw Object.assign(new Error('is a folder'), { code: 'EISDIR' });
    if (stat.isFile()) return await openFile(path, stat.mode);
    return new StreamOutput(path, await open(path, constants.O_WRONLY));
  } catch (error) {
    throw trouble(path, error);
  }
}

/**
 * Descriptor that a path names: `-`, /dev/stdout, /dev/fd/3. Opening such a path again would begin at the start of a
 * file that the shell redirects to, so the descriptor itself is used.
 */
function descriptorOf(path: string): number | undefined {
  if (path === '-' || path === '/dev/stdout') return 1;
  if (path === '/dev/stderr') return 2;
  const number = /^\/(?:dev|proc\/self)\/fd\/(\d+)$/.exec(path)?.[1];
  return number === undefined ? undefined : Number(number);
}

/** Writes a short text to standard output now: summaries, help. A closed pipe is not trouble. */
export async function writeStandardOutput(text: string): Promise<void> {
  const output = new StreamOutput('-', 1);
  await output.write(text);
  await output.finish();
}

/** Writes a message to standard error now. That nobody reads it, or that it cannot be written, is no trouble. */
export async function writeStandardError(text: string): Promise<void> {
  const output = new StreamOutput('/dev/stderr', 2);
  try {
    await output.write(text);
    await output.finish();
  } catch {
    // As said above.
  }
}
