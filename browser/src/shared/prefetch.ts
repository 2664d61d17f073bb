/** Whether, and what, to prefetch: as pure functions. */
import type { FileRow } from './manifest.ts';

/** The Network Information API, as far as a browser has it. */
export interface NetworkInformation {
  saveData?: boolean;
  /** `wifi`, `cellular`, …: phones have it, where anybody has */
  type?: string;
  /** `slow-2g`, `2g`, `3g` or `4g`: what the connection is like, whatever it is */
  effectiveType?: string;
}

/** Bytes may cost a visitor: none are spent on Save-Data, a slow or cellular connection, or a phone's unknown one. */
export function mayPrefetch({ saveData, type = '', effectiveType = '' }: NetworkInformation, phone: boolean): boolean {
  if (saveData || type === 'cellular' || effectiveType.endsWith('2g')) return false;
  return !phone || /^(wifi|ethernet)$/.test(type);
}

/** What a visitor of a document needs, in order: the document, and what it loads, each content once. */
export function documentAndLoads(row: FileRow, table: readonly FileRow[]): FileRow[] {
  const rows = new Map<string, FileRow>();
  for (const each of [row, ...(row[4] ?? []).map((index) => table[index])]) {
    if (each?.[2] && !rows.has(each[1])) rows.set(each[1], each);
  }
  return [...rows.values()];
}
