// Which number does an interface name have in this run?
import { INTERFACES_MAX } from '../engine/layout.ts';
import { CaptureError } from '../errors.ts';

/** The interface names of one run, numbered from 1 in the order in which they were met; 0 means unknown. */
export class InterfaceNames {
  private readonly names: string[] = [];
  private readonly indices = new Map<string, number>();

  /** Names so far. Their indices are 1 to `count`. */
  get count(): number {
    return this.names.length;
  }

  /**
   * The index of `name`, from 1 to INTERFACES_MAX - 1: the one it had before, or the next.
   * @param file the capture that names it, for the error
   * @throws CaptureError `capture-interfaces` when there are too many
   */
  index(name: string, file = '-'): number {
    const known = this.indices.get(name);
    if (known !== undefined) return known;
    const index = this.names.length + 1;
    if (index >= INTERFACES_MAX) {
      throw new CaptureError(
        'capture-interfaces',
        `interface ${JSON.stringify(name)} is one too many: a run knows ${INTERFACES_MAX - 1}`,
        { file },
      );
    }
    this.names.push(name);
    this.indices.set(name, index);
    return index;
  }

  /** The name that has `index`, undefined for 0 and for indices not given yet. */
  name(index: number): string | undefined {
    return this.names[index - 1];
  }
}
