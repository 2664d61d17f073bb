/** Medians, percentiles and tables. */

export function median(numbers: readonly number[]): number {
  return percentile(numbers, 50);
}

/** Nearest rank for percentiles, the mean of the two middle values for the median; NaN of nothing. */
export function percentile(numbers: readonly number[], percent: number): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  if (sorted.length === 0) return Number.NaN;
  if (percent === 50) return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
  return sorted[Math.min(sorted.length, Math.max(1, Math.ceil((percent / 100) * sorted.length))) - 1]!;
}

export function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const each of numbers) total += each;
  return total;
}

/** Columns as wide as their widest cell: the first to the left, the others to the right. */
export function table(rows: ReadonlyArray<readonly string[]>): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(2);
export const seconds = (ms: number): string => (ms / 1000).toFixed(2);
export const share = (part: number): string => (Number.isFinite(part) ? part.toFixed(3) : '-');

/** The items by the key that each has, keys in order of first appearance. */
export function groups<T, K>(items: Iterable<T>, key: (item: T) => K): Map<K, T[]> {
  const all = new Map<K, T[]>();
  for (const item of items) {
    const list = all.get(key(item));
    if (list) list.push(item);
    else all.set(key(item), [item]);
  }
  return all;
}
