// How do columns line up? Plain text tables for people: widths from the content, numbers to the right.

/** Thousands separated by commas, the same in every locale. */
export function countText(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/** Share of a whole in per cent with one decimal; empty if there is no whole. */
export function shareText(part: number, whole: number): string {
  return whole === 0 ? '' : `${((part * 100) / whole).toFixed(1)}%`;
}

/**
 * Rows of cells as aligned lines, without trailing blanks.
 *
 * @param alignment one letter per column: `l` or `r`; cells beyond it are appended as they are
 */
export function alignRows(rows: readonly (readonly string[])[], alignment: string, indent = '  '): string[] {
  const widths = Array.from({ length: alignment.length }, (_, column) =>
    rows.reduce((width, row) => Math.max(width, row[column]?.length ?? 0), 0),
  );
  return rows.map((row) => {
    const cells = row.map((cell, column) => {
      const width = widths[column] ?? 0;
      return alignment[column] === 'r' ? cell.padStart(width) : cell.padEnd(width);
    });
    return (indent + cells.join('  ')).trimEnd();
  });
}
