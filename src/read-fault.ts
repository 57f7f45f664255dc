// Why could a file not be read?

const FAULTS: Record<string, string> = {
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  EISDIR: 'is a directory',
  ENOTDIR: 'is in something that is not a directory',
};

/** What an error of the file system means to the user. */
export function readFault(cause: unknown): string {
  const { code, message } = cause as NodeJS.ErrnoException;
  return FAULTS[code ?? ''] ?? message;
}
