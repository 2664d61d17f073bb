/** Verified contents: taken from the store or the origin, and believed for nothing but their hash. */
import type { FileRow } from '../shared/manifest.ts';
import { encodePath } from '../shared/manifest.ts';
import { isPrivate, keptHeaders, protectiveHeaders } from '../shared/headers.ts';
import type { HeaderList } from '../shared/headers.ts';
import { Hasher } from '../shared/merkle.ts';
import { outageMs } from '../shared/policy.ts';
import { post } from './clients.ts';
import { originFetch } from './origin.ts';
import type { Site } from './site.ts';
import type { Snapshot } from './snapshots.ts';
import { collect } from './streams.ts';

/** What the origin sent with a path, and the content that it sent. */
export interface Learnt {
  hash: string;
  size: number;
  headers: HeaderList;
}

export const newHasher = (): Hasher =>
  new Hasher(async (data) => new Uint8Array(await crypto.subtle.digest('SHA-256', data)));

export const idOf = ([, hash, size, piece]: FileRow) => ({ hash, size, piece });

/** Whether a Blob is the row's content. */
export async function verify(blob: Blob, [, hash, size]: FileRow): Promise<boolean> {
  if (blob.size !== size) return false;
  const hasher = newHasher();
  const reader = blob.stream().getReader();
  for (let read; !(read = await reader.read()).done; ) await hasher.push(read.value);
  return (await hasher.finish()) === hash;
}

/** The stored content; re-hashed if `check`, since any script of the origin can write to the store. */
export async function stored(site: Site, row: FileRow, check: boolean): Promise<Blob | undefined> {
  const blob = await site.store.get(idOf(row));
  if (!blob || !check || (await verify(blob, row).catch(() => false))) return blob;
  await site.store.delete(idOf(row));
  site.engines.tell({ type: 'drop', content: idOf(row) });
  return undefined;
}

/** What the origin sent with a path when it was last asked for it. */
export const learnt = (site: Site, path: string): Promise<Learnt | undefined> => site.records.get('path ' + path);

/** Keeps what the origin sent with a path, once its body has turned out to be the row's content. */
export async function learn(site: Site, path: string, row: FileRow, response: Response): Promise<void> {
  const headers = keptHeaders(response.headers);
  await site.records.set('path ' + path, { hash: row[1], size: row[2], headers } satisfies Learnt);
  if (/html/.test(response.headers.get('content-type') ?? '')) await site.records.set('shield', protectiveHeaders(headers));
}

/** Counts what came from the origin for a page, verified, and lets the engine seed it. */
export function received(site: Site, row: FileRow, client: string, isStored: boolean): void {
  const [path, , size] = row;
  site.count('origin', size);
  if (client) post(client, { type: 'progress', path, size, bytes: size, source: 'origin' });
  if (isStored) site.engines.tell({ type: 'have', content: idOf(row) });
}

/**
 * A content as a whole and verified, wherever it can be had: the store, the path itself, its hashed copy, and peers
 * when the origin is down. Undefined if nobody has it.
 */
export async function verifiedContent(
  site: Site,
  snapshot: Snapshot,
  row: FileRow,
  signal?: AbortSignal,
  client = '',
): Promise<Blob | undefined> {
  return (
    (await stored(site, row, true)) ??
    (await fetchVerified(site, row, encodePath(row[0]), signal, client)) ??
    (await fetchCopy(site, snapshot, row, signal, client)) ??
    (site.snapshots.originDown ? fromPeers(site, row, client) : undefined)
  );
}

/** The hashed copy of a content whose path has something else; without copies, the path past the HTTP cache. */
export const fetchCopy = (
  site: Site,
  { root }: Snapshot,
  row: FileRow,
  signal?: AbortSignal,
  client = '',
): Promise<Blob | undefined> =>
  root.copies
    ? fetchVerified(site, row, 'planktos/' + row[1], signal, client)
    : fetchVerified(site, row, encodePath(row[0]), signal, client, 'no-cache');

async function fetchVerified(
  site: Site,
  row: FileRow,
  url: string,
  signal: AbortSignal | undefined,
  client: string,
  cache: RequestCache = 'default',
): Promise<Blob | undefined> {
  try {
    const response = await originFetch(site, site.scope + url, { cache, ...(signal && { signal }) });
    if (response.status !== 200) return undefined;
    const blob = await response.blob();
    if (!(await verify(blob, row))) return undefined;
    const keep = !isPrivate(response.headers) && (await site.store.put(idOf(row), blob));
    if (keep && url === encodePath(row[0])) await learn(site, row[0], row, response);
    received(site, row, client, keep);
    return blob;
  } catch {
    return undefined;
  }
}

/** A content from peers or nobody, in an outage; stored, so that a page that reloads finds it. */
export async function fromPeers(site: Site, row: FileRow, client: string, waitMs = 0): Promise<Blob | undefined> {
  if (!site.mayShare()) return undefined;
  const wish = { client, deadlineMs: outageMs, waitMs, peersOnly: true };
  const delivery = await site.engines.ask(row, { start: 0, end: row[2] }, wish);
  const blob = delivery && (await collect(delivery));
  if (!blob || !(await verify(blob, row))) return undefined;
  await site.store.put(idOf(row), blob);
  return blob;
}
