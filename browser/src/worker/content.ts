/** Contents: believed for nothing but their hash, wherever they come from. */
import type { FileRow } from '../shared/manifest.ts';
import { encodePath } from '../shared/manifest.ts';
import { isPrivate, keptHeaders, protectiveHeaders } from '../shared/headers.ts';
import { Hasher } from '../shared/merkle.ts';
import { engineStartMs, outageMs, patienceMs } from '../shared/policy.ts';
import { put, sizeOf } from '../store/writer.ts';
import type { Data } from '../store/writer.ts';
import { post } from './clients.ts';
import { originFetch } from './origin.ts';
import type { Wish } from './engines.ts';
import type { Site } from './site.ts';
import type { Snapshot } from './snapshots.ts';
import { collect, hedged } from './streams.ts';
import type { Turn } from './turns.ts';

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
  /** its turn at the origin, if it had to wait for one */
  turn?: Turn | undefined;
}

export const sha256 = async (data: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> =>
  new Uint8Array(await crypto.subtle.digest('SHA-256', data));

export const newHasher = (): Hasher => new Hasher(sha256);

export const idOf = ([, hash, size, piece]: FileRow) => ({ hash, size, piece });

export async function hashOf(data: Data): Promise<string> {
  const hasher = newHasher();
  if (data instanceof Uint8Array) await hasher.push(data);
  else {
    const reader = data.stream().getReader();
    for (let read; !(read = await reader.read()).done; ) await hasher.push(read.value);
  }
  return hasher.finish();
}

/** Whether bytes are the row's content. */
export const verify = async (data: Data, [, hash, size]: FileRow): Promise<boolean> =>
  sizeOf(data) === size && (await hashOf(data)) === hash;

/** The stored content; re-hashed if `check`, since any script of the origin can write to the store. */
export async function stored(site: Site, row: FileRow, check: boolean): Promise<Blob | undefined> {
  const blob = await site.store.get(idOf(row));
  if (blob) void site.keeper.used(idOf(row));
  if (!blob || !check || (await verify(blob, row).catch(() => false))) return blob;
  await forget(site, row);
  return undefined;
}

/** Deletes a content from the store, and so from what is shared. */
export async function forget(site: Site, row: FileRow): Promise<void> {
  await site.store.delete(idOf(row));
  site.engines.tell({ type: 'drop', content: idOf(row) });
}

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
  if (!row || isPrivate(headers)) return row;
  if (!(await keepFor(site, snapshot, row, keep))) return row;
  if (path !== undefined) {
    const list = keptHeaders(headers);
    await site.known.set(path, { hash, size, headers: list });
    if (/html/.test(headers.get('content-type') ?? '')) await site.records.set('shield', protectiveHeaders(list));
  }
  site.count('origin', size);
  if (client) post(client, { type: 'progress', path: row[0], size, bytes: size, source: 'origin' });
  return row;
}

/** Stores a content of a snapshot by `keep`. False if the site was purged meanwhile: then nothing of it stays. */
async function keepFor(
  site: Site,
  { id }: Snapshot,
  row: FileRow,
  keep: (row: FileRow) => Promise<boolean | undefined>,
): Promise<boolean> {
  const { live } = site.snapshots;
  const kept = live.has(id) && row[2] && (await keep(row));
  if (!live.has(id)) {
    if (kept) await forget(site, row);
    return false;
  }
  if (kept) {
    void site.keeper.used(idOf(row));
    // What only this worker has no engine can give.
    if (site.store.shared) site.engines.tell({ type: 'have', content: idOf(row) });
  }
  return true;
}

/** Recognises a whole body. */
export const take = async (site: Site, blob: Blob, arrival: Arrival): Promise<FileRow | undefined> =>
  recognise(site, arrival, await hashOf(blob), blob.size, (row) => put(site.store, idOf(row), blob));

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
  hedged(inTimeMs(row[2]), [
    () => fetchVerified(site, snapshot, row, client, site.scope, row[0]),
    () => fetchCopy(site, snapshot, row, client),
    async () => (site.snapshots.originDown ? fromPeers(site, snapshot, row, client, Infinity) : undefined),
  ]);

/** A content that has not come by then is asked for elsewhere. */
const inTimeMs = (bytes: number): number => patienceMs + bytes / 500;

/** So many bytes from `hosts` and the others that carry the site, the healthy ones first. */
export const fromHosts = <T>(
  { health }: Site,
  { root: { webSeeds } }: Snapshot,
  hosts: string[],
  bytes: number,
  get: (host: string) => Promise<T | undefined>,
): Promise<T | undefined> =>
  hedged(
    inTimeMs(bytes),
    health.ranked([...hosts, ...webSeeds], String).map((host) => () => get(host)),
  );

/** Fetches a path of the site from one of its hosts. */
export const fetchFrom = (site: Site, host: string, path: string, init: RequestInit): Promise<Response> =>
  host === site.scope ? originFetch(site, host + path, init) : fetch(host + path, init);

/** The content's copy, at the origin (`hosts`) and on the other hosts that carry the site. */
export async function fetchCopy(
  site: Site,
  snapshot: Snapshot,
  row: FileRow,
  client: string,
  hosts = [site.scope],
): Promise<Blob | undefined> {
  return fromHosts(site, snapshot, hosts, row[2], (host) => fetchVerified(site, snapshot, row, client, host));
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
  let match: FileRow | false | undefined;
  try {
    const byHash = path === undefined && snapshot.root.copies;
    const name = byHash ? 'planktos/' + row[1] : encodePath(row[0]);
    // Nobody is waited for who sends less than 10 bytes a millisecond.
    const signal = AbortSignal.timeout(outageMs + row[2] / 10);
    const options: RequestInit = { cache: byHash || path !== undefined ? 'default' : 'no-cache', signal };
    const response = await fetchFrom(site, host, name, options);
    const blob = await response.blob();
    const arrival = { response, rows: [row], snapshot, path, client };
    match = response.status === 200 && (await take(site, blob, arrival));
    return match ? blob : undefined;
  } catch {
    return undefined;
  } finally {
    if (host !== site.scope) site.health.note(host, !!match);
  }
}

/** What engines are asked in an outage: whoever has it, however long that takes. A young page's engine is waited for. */
export const anyhow = (client: string, pageAgeMs: number): Wish => ({
  client,
  peersOnly: true,
  engineByMs: performance.now() + Math.max(1, 3 * engineStartMs - pageAgeMs),
  dueMs: () => outageMs,
  until: AbortSignal.timeout(outageMs),
});

/** A content from peers or nobody, in an outage; stored, so that a page that reloads finds it. */
export async function fromPeers(
  site: Site,
  snapshot: Snapshot,
  row: FileRow,
  client: string,
  pageAgeMs: number,
): Promise<Blob | undefined> {
  const delivery = await site.engines.ask(row, { start: 0, end: row[2] }, anyhow(client, pageAgeMs));
  const data = delivery && (await collect(delivery, outageMs));
  if (!data || !(await verify(data, row))) return undefined;
  const blob = new Blob([data]);
  await keepFor(site, snapshot, row, () => put(site.store, idOf(row), blob));
  return blob;
}
