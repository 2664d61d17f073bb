/** The origin, speaking for itself: its own paths, measured, and checked against the manifest as they stream by. */
import type { FileRow } from '../shared/manifest.ts';
import { isPrivate } from '../shared/headers.ts';
import * as policy from '../shared/policy.ts';
import { withBody } from './answers.ts';
import { post, repin } from './clients.ts';
import type { Arrival } from './content.ts';
import { forget, idOf, newHasher, recognise } from './content.ts';
import type { OriginSpeed } from '../shared/policy.ts';
import type { Site } from './site.ts';
import { passOn } from './passing.ts';
import { isAltered, rewritten } from './site.ts';
import { deliveryOf, streamOf } from './streams.ts';
import { Writer } from '../store/writer.ts';

/** Fetches, noting whether the origin is there and how fast. Rejects as `fetch` does. */
export const originFetch = (site: Site, url: string, init?: RequestInit): Promise<Response> =>
  measured(site, fetch(url, init));

async function measured(site: Site, fetching: Promise<Response>): Promise<Response> {
  const began = performance.now();
  try {
    const response = await fetching;
    if (response.type === 'error') return response;
    const latencyMs = performance.now() - began;
    site.snapshots.failing = response.status >= 500;
    // What comes at once comes from the HTTP cache, and says nothing of the origin.
    if (latencyMs > 3) noteSpeed(site, policy.withLatency(site.speed, latencyMs));
    return response;
  } catch (error) {
    if ((error as Error).name !== 'AbortError') site.snapshots.failing = true;
    throw error;
  }
}

function noteSpeed(site: Site, speed: OriginSpeed): void {
  site.speed = speed;
  const { latencyMs, bytesPerMs } = speed;
  site.engines.tell({ type: 'origin', latencyMs, bytesPerMs });
}

/** Bytes of bodies that the origin has sent. */
let arrived = 0;

/** Measures throughput while a body arrives: by all that arrives meanwhile. Called with each chunk, and at the end. */
export function meter(site: Site): (chunk?: { length: number }) => void {
  const before = arrived;
  const began = performance.now();
  return (chunk) => {
    if (chunk) arrived += chunk.length;
    else noteSpeed(site, policy.withBody(site.speed, arrived - before, performance.now() - began));
  };
}

/**
 * Asks the origin what a page asks: past the HTTP cache if what the path was last seen to have is none of `rows`, as after
 * a release. A path that is private to the visitor is kept out of everything from then on, and what was stored of it
 * while it was public is deleted.
 */
export async function ask(site: Site, event: FetchEvent, path: string, rows?: FileRow[]): Promise<Response> {
  const last = rows && !isAltered(site, path) ? await site.known.get(path) : undefined;
  const replaced = !!last && rows!.every(([, hash, size]) => hash !== last.hash || size !== last.size);
  const response = await measured(site, passOn(site, event, replaced));
  if (response.status === 200 && isPrivate(response.headers)) {
    site.altered.set(path, rewritten);
    event.waitUntil(forgetPath(site, path));
  }
  return response;
}

async function forgetPath(site: Site, path: string): Promise<void> {
  await Promise.all([site.save(), site.known.forget((each) => each === path)]);
  for (const snapshot of site.snapshots.live.values()) {
    for (const { row } of await site.snapshots.targets(snapshot, path)) await forget(site, row);
  }
}

/** Whether a response is the plain and public one of its own path. */
export const isPublic = ({ redirected, type, headers }: Response): boolean =>
  !redirected && type !== 'opaque' && !isPrivate(headers);

/** Whether it is the whole body that a content could be, too. */
export const isWhole = (response: Response): boolean => response.status === 200 && isPublic(response);

/**
 * Notes that the origin's path has other bytes than the snapshot says, and tells the page; `mixed`: it was given them.
 * If the manifest is current all the same, the host alters this path, which is left to it in the end if that `counts`;
 * otherwise the page's next navigation takes the new snapshot.
 */
export async function mismatched(
  site: Site,
  { snapshot, path = '', client }: Arrival,
  mixed: boolean,
  counts = true,
): Promise<void> {
  const { snapshots, altered, known } = site;
  snapshots.doubt();
  // It may be an older release's, out of the HTTP cache.
  if (path && !(await known.get(path))) await known.set(path, { hash: '', size: 0, headers: [] });
  if ((await snapshots.validate()) && counts && snapshots.current?.id === snapshot.id) {
    altered.set(path, (altered.get(path) ?? 0) + 1);
    await site.save();
  }
  post(client, { type: 'mismatch', path, mixed, altered: isAltered(site, path) });
}

/**
 * Whether a document is that of another release that is known here, as a cache on the way may still have it: then its
 * page lives on that.
 */
async function isOlder(site: Site, event: FetchEvent, { path = '', client }: Arrival, hash: string): Promise<boolean> {
  const { snapshots } = site;
  if (event.request.mode !== 'navigate') return false;
  for (const each of [...snapshots.live.values()].reverse()) {
    if (!(await snapshots.targets(each, path)).some(({ row }) => row[1] === hash)) continue;
    snapshots.doubt();
    repin(site, client, each.id);
    return true;
  }
  return false;
}

/**
 * Passes a whole response on while hashing and storing it: the page reads at its own pace, and what does not match is
 * not kept. Other responses are passed on as they are.
 */
export async function capture(site: Site, event: FetchEvent, arrival: Arrival): Promise<Response> {
  const { response, rows, turn } = arrival;
  const [row] = rows;
  if (!row || !response.body || !isWhole(response)) {
    turn?.leave();
    return response;
  }
  const measure = meter(site);
  const source = deliveryOf(response.body as ReadableStream<Uint8Array<ArrayBuffer>>);
  const hasher = newHasher();
  const writer = new Writer(site.store, idOf(row));
  const over = async (): Promise<void> => {
    await writer?.abort();
    turn?.leave();
  };
  const finish = async (): Promise<void> => {
    measure();
    turn?.arrived();
    // Only the likeliest has been written.
    const keep = async (match: FileRow): Promise<boolean | undefined> => (match === row ? writer?.commit() : false);
    const hash = await hasher.finish();
    const match = await recognise(site, arrival, hash, hasher.size, keep);
    if (!match && !(await isOlder(site, event, arrival, hash))) await mismatched(site, arrival, true);
  };
  const body = streamOf(event, {
    async next() {
      try {
        const chunk = await source.next();
        if (!chunk) event.waitUntil(finish().finally(over).catch(() => {}));
        else {
          measure(chunk);
          await Promise.all([hasher.push(chunk), writer?.write(chunk)]);
        }
        return chunk;
      } catch (error) {
        void over();
        throw error;
      }
    },
    cancel() {
      source.cancel();
      void over();
    },
  });
  return withBody(response, body);
}
