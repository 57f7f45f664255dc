// Which names of interfaces does a pattern of a rule match, and which names are alike to all patterns?

/** Whether an interface's name matches a pattern: '+' at its end stands for anything (xtables). No name is ''. */
export function matchesInterface(pattern: string, name: string): boolean {
  return pattern.endsWith('+') ? name.startsWith(stemOf(pattern)) : name === pattern;
}

function stemOf(pattern: string): string {
  return pattern.endsWith('+') ? pattern.slice(0, -1) : pattern;
}

/**
 * The class of a name: 1 + the index of the pattern that it is, else of the longest that it begins with, else 0. Names of
 * one class are matched by the same patterns.
 */
export function interfaceClass(patterns: readonly string[], name: string): number {
  let best = 0;
  let length = -1;
  for (const [index, pattern] of patterns.entries()) {
    if (pattern === name && !pattern.endsWith('+')) return index + 1;
    if (pattern.endsWith('+') && pattern.length > length && matchesInterface(pattern, name)) {
      best = index + 1;
      length = pattern.length;
    }
  }
  return best;
}

/** For each pattern the classes of the names that it matches. */
export function patternClasses(patterns: readonly string[]): number[][] {
  const stems = patterns.map((pattern, index) => ({ stem: stemOf(pattern), index }));
  stems.sort((a, b) => (a.stem < b.stem ? -1 : Number(a.stem > b.stem)));
  const classes: number[][] = patterns.map((_, index) => [index + 1]);
  for (const [place, { stem, index }] of stems.entries()) {
    if (!patterns[index]?.endsWith('+')) continue;
    // What begins alike lies together, the stem as a plain name among it on either side.
    for (const step of [1, -1]) {
      for (let at = place + step; stems[at]?.stem.startsWith(stem); at += step) {
        classes[index]?.push((stems[at]?.index ?? 0) + 1);
      }
    }
  }
  return classes;
}
