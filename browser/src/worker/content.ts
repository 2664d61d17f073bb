/** Contents: believed for nothing but their hash, wherever they come from. */
import type { FileRow } from '../shared/manifest.ts';
import { encodePath } from '../shared/manifest.ts';
import { isPrivate, keptHeaders, protectiveHeaders } from '../shared/headers.ts';
import type { HeaderList } from '../shared/headers.ts';
import { Hasher } from '../shared/merkle.ts';
import { budget, outageMs } from '../shared/policy.ts';
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

/** A response, and what its body may turn out to be. */
export interface Arrival {
  response: Response;
  /** of the snapshot; the likeliest first */
  rows: FileRow[];
  snapshot: Snapshot;
  /** the path it was asked for by; undefined for a hashed copy */
  path?: string | undefined;
  /** whose request it was */
  client: string;
}

export const newHasher = (): Hasher =>
  new Hasher(async (data) => new Uint8Array(await crypto.subtle.digest('SHA-256', data)));

export const idOf = ([, hash, size, piece]: FileRow) => ({ hash, size, piece });

async function hashOf(blob: Blob): Promise<string> {
  const hasher = newHasher();
  const reader = blob.stream().getReader();
  for (let read; !(read = await reader.read()).done; ) await hasher.push(read.value);
  return hasher.finish();
}

/** Whether a Blob is the row's content. */
export const verify = async (blob: Blob, [, hash, size]: FileRow): Promise<boolean> =>
  blob.size === size && (await hashOf(blob)) === hash;

/** The stored content; re-hashed if `check`, since any script of the origin can write to the store. */
export async function stored(site: Site, row: FileRow, check: boolean): Promise<Blob | undefined> {
  const blob = await site.store.get(idOf(row));
  if (!blob || !check || (await verify(blob, row).catch(() => false))) return blob;
  await forget(site, row);
  return undefined;
}

/** Deletes a content from the store, and so from what is shared. */
export async function forget(site: Site, row: FileRow): Promise<void> {
  await site.store.delete(idOf(row));
  site.engines.tell({ type: 'drop', content: idOf(row) });
}

/** What the origin sent with a path when it was last asked for it. */
export const learnt = (site: Site, path: string): Promise<Learnt | undefined> => site.records.get('path ' + path);

/**
 * Keeps a body that has been hashed: its content, by `keep`, and its headers, unless it is private or the site was
 * purged meanwhile. Gives the row that it turned out to be.
 */
export async function recognise(
  site: Site,
  { response: { headers }, rows, snapshot, path, client }: Arrival,
  hash: string,
  size: number,
  keep: (row: FileRow) => Promise<boolean | undefined>,
): Promise<FileRow | undefined> {
  const row = rows.find((each) => each[1] === hash && each[2] === size);
  if (!row || isPrivate(headers) || !site.snapshots.live.has(snapshot.id)) return row;
  const kept = size && (await keep(row));
  if (path !== undefined) {
    const list = keptHeaders(headers);
    await site.records.set('path ' + path, { hash, size, headers: list } satisfies Learnt);
    if (/html/.test(headers.get('content-type') ?? '')) await site.records.set('shield', protectiveHeaders(list));
  }
  site.count('origin', size);
  if (client) post(client, { type: 'progress', path: row[0], size, bytes: size, source: 'origin' });
  if (kept) site.engines.tell({ type: 'have', content: idOf(row) });
  return row;
}

/** Recognises a whole body. */
export const take = async (site: Site, blob: Blob, arrival: Arrival): Promise<FileRow | undefined> =>
  recognise(site, arrival, await hashOf(blob), blob.size, (row) => site.store.put(idOf(row), blob));

/**
 * A content as a whole and verified, wherever it can be had: the store, the path itself, its copies, and peers when the
 * origin is down. Undefined if nobody has it.
 */
export const verifiedContent = async (
  site: Site,
  snapshot: Snapshot,
  row: FileRow,
  client = '',
): Promise<Blob | undefined> =>
  (await stored(site, row, true)) ??
  (await fetchVerified(site, snapshot, row, client, site.scope, row[0])) ??
  (await fetchCopy(site, snapshot, row, client)) ??
  (site.snapshots.originDown ? fromPeers(site, row, client, Infinity) : undefined);

/** The content's copy, at the origin and on the other hosts that carry the site (`hosts`: those to ask first). */
export async function fetchCopy(
  site: Site,
  snapshot: Snapshot,
  row: FileRow,
  client: string,
  hosts = [site.scope],
): Promise<Blob | undefined> {
  for (const host of [...hosts, ...snapshot.root.webSeeds]) {
    const blob = await fetchVerified(site, snapshot, row, client, host);
    if (blob) return blob;
  }
  return undefined;
}

/** Fetches a content by its path, or by its hash; without hashed copies, by its path past the HTTP cache. */
async function fetchVerified(
  site: Site,
  snapshot: Snapshot,
  row: FileRow,
  client: string,
  host: string,
  path?: string,
): Promise<Blob | undefined> {
  try {
    const byHash = path === undefined && snapshot.root.copies;
    const url = host + (byHash ? 'planktos/' + row[1] : encodePath(row[0]));
    // Nobody is waited for who sends less than 10 bytes a millisecond.
    const signal = AbortSignal.timeout(outageMs + row[2] / 10);
    const options: RequestInit = { cache: byHash || path !== undefined ? 'default' : 'no-cache', signal };
    const response = await (host === site.scope ? originFetch(site, url, options) : fetch(url, options));
    const blob = await response.blob();
    const arrival = { response, rows: [row], snapshot, path, client };
    return response.status === 200 && (await take(site, blob, arrival)) ? blob : undefined;
  } catch {
    return undefined;
  }
}

/** A content from peers or nobody, in an outage; stored, so that a page that reloads finds it. */
export async function fromPeers(
  site: Site,
  row: FileRow,
  client: string,
  pageAgeMs: number,
): Promise<Blob | undefined> {
  const allowed = budget('speed', row[2], site.speed, pageAgeMs, true);
  const wish = { ...allowed, client, beganMs: performance.now(), peersOnly: true };
  const delivery = await site.engines.ask(row, { start: 0, end: row[2] }, wish);
  const blob = delivery && (await collect(delivery, outageMs));
  if (!blob || !(await verify(blob, row))) return undefined;
  await site.store.put(idOf(row), blob);
  return blob;
}
