/** Which files of a store to delete: what nobody names any more, and what has been unused the longest. */
import type { Entry } from './store.ts';

/** A temporary file this old belongs to nobody: no response streams for a day. */
const staleMs = 24 * 3600 * 1000;
/** Where room is needed, so much of the store goes at least: making some is not to be every write's work. */
const spareShare = 1 / 8;

export interface Sweep {
  /** names (`nameOf`) of the contents that a page may yet ask for */
  named: ReadonlySet<string>;
  /** when a content was last used, in whatever unit; `Infinity` if it may be in use still: it stays */
  usedAt: (entry: Entry) => number;
  /** bytes that may stay */
  limit: number;
  /** bytes that the browser had no room for, whatever the limit */
  neededBytes: number;
  nowMs: number;
}

/** What goes. A file that is being written refuses to be deleted, and may be named all the same. */
export function expendable(entries: readonly Entry[], { named, usedAt, limit, neededBytes, nowMs }: Sweep): Entry[] {
  const complete = new Set(entries.map(({ name }) => name));
  const stays: Entry[] = [];
  const goes = entries.filter((entry) => {
    const { name, suffix } = entry;
    if (suffix.endsWith('.tmp')) return nowMs - Number(suffix.split('.')[1]) > staleMs;
    const content = suffix ? name.slice(0, -suffix.length) : name;
    // A part is of no use once the whole is there.
    if (!named.has(content) || (suffix && complete.has(content))) return true;
    stays.push(entry);
    return false;
  });
  let bytes = stays.reduce((sum, { size }) => sum + size, 0);
  const most = Math.min(limit, bytes - (neededBytes && Math.max(neededBytes, bytes * spareShare)));
  for (const entry of stays.sort((a, b) => usedAt(a) - usedAt(b))) {
    if (bytes <= most || usedAt(entry) === Infinity) break;
    goes.push(entry);
    // A part may be being written, and stay: it makes no room that could be counted on.
    if (!neededBytes || !entry.suffix) bytes -= entry.size;
  }
  return goes;
}
