// What do texts look like that were meant well and went wrong?

/** Up to three changes of a text: pieces put in, taken out, replaced by `scraps` or repeated, and single characters. */
export function mutate(text: string, scraps: readonly string[], next: () => number): string {
  let mutated = text;
  for (let count = next() % 4; count > 0; count--) {
    const at = next() % (mutated.length + 1);
    const length = next() % 12;
    const scrap = scraps[next() % scraps.length] ?? '';
    switch (next() % 5) {
      case 0:
        mutated = mutated.slice(0, at) + scrap + mutated.slice(at);
        break;
      case 1:
        mutated = mutated.slice(0, at) + mutated.slice(at + length);
        break;
      case 2:
        mutated = mutated.slice(0, at) + scrap + mutated.slice(at + length);
        break;
      case 3: {
        const from = next() % (mutated.length + 1);
        mutated = mutated.slice(0, at) + mutated.slice(from, from + 40) + mutated.slice(at);
        break;
      }
      default:
        mutated = mutated.slice(0, at) + String.fromCharCode(next() % 0x180) + mutated.slice(at + 1);
    }
  }
  return mutated;
}
