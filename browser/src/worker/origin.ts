/** The origin, speaking for itself: its own paths, measured, and checked against the manifest as they stream by. */
import type { FileRow } from '../shared/manifest.ts';
import { isPrivate } from '../shared/headers.ts';
import { measured } from '../shared/policy.ts';
import { withBody } from './answers.ts';
import type { Arrival } from './content.ts';
import { idOf, newHasher, recognise } from './content.ts';
import type { Site } from './site.ts';
import { rewritten } from './site.ts';
import type { Snapshot } from './snapshots.ts';
import { deliveryOf, streamOf } from './streams.ts';

/** Fetches, noting whether the origin is there and how fast. Rejects as `fetch` does. */
export async function originFetch(site: Site, request: RequestInfo, init?: RequestInit): Promise<Response> {
  const began = performance.now();
  try {
    const response = await fetch(request, init);
    const latencyMs = performance.now() - began;
    site.snapshots.originDown = response.status >= 500;
    // What comes at once comes from the HTTP cache, and says nothing of the origin.
    if (latencyMs > 3) noteSpeed(site, latencyMs, 0, 0);
    return response;
  } catch (error) {
    if ((error as Error).name !== 'AbortError') site.snapshots.originDown = true;
    throw error;
  }
}

export function noteSpeed(site: Site, latencyMs: number, bytes: number, bodyMs: number): void {
  site.speed = measured(site.speed, latencyMs, bytes, bodyMs);
  site.engines.tell({ type: 'origin', ...site.speed });
}

/** Asks the origin what a page asks. A path that is private to the visitor is kept out of everything from then on. */
export async function ask(site: Site, { request }: FetchEvent, path: string): Promise<Response> {
  const response = await originFetch(site, request);
  if (response.status === 200 && isPrivate(response.headers)) {
    site.altered.set(path, rewritten);
    void site.save();
  }
  return response;
}

/** Whether a response is the plain, public, whole body that a content could be. */
export const isWhole = (response: Response): boolean =>
  response.status === 200 && !response.redirected && response.type !== 'opaque' && !isPrivate(response.headers);

/**
 * Notes that the origin's path has other bytes than the snapshot says. If the manifest is current all the same, the
 * host alters this path.
 */
export async function mismatched(site: Site, snapshot: Snapshot, path: string): Promise<void> {
  const { snapshots, altered } = site;
  snapshots.doubt();
  if ((await snapshots.validate()) && snapshots.current?.id === snapshot.id) {
    altered.set(path, (altered.get(path) ?? 0) + 1);
    await site.save();
  }
}

/**
 * Passes a whole response on while hashing and storing it: the page reads at its own pace, and what does not match is
 * not kept. Other responses are passed on as they are.
 */
export async function capture(site: Site, event: FetchEvent, path: string, arrival: Arrival): Promise<Response> {
  const { response, rows, snapshot, client } = arrival;
  const [row] = rows;
  if (!row || !response.body || !isWhole(response)) return response;
  const source = deliveryOf(response.body as ReadableStream<Uint8Array<ArrayBuffer>>);
  const hasher = newHasher();
  const writer = await site.store.writer(idOf(row));
  const finish = async (): Promise<void> => {
    // Only the likeliest has been written.
    const keep = async (match: FileRow): Promise<boolean | undefined> => (match === row ? writer?.commit() : false);
    const match = await recognise(site, arrival, await hasher.finish(), hasher.size, keep);
    if (!match) await mismatched(site, snapshot, path);
  };
  const body = streamOf(event, client, {
    async next() {
      try {
        const chunk = await source.next();
        if (chunk) await Promise.all([hasher.push(chunk), writer?.write(chunk)]);
        else event.waitUntil(finish().finally(() => writer?.abort()).catch(() => {}));
        return chunk;
      } catch (error) {
        void writer?.abort();
        throw error;
      }
    },
    cancel() {
      source.cancel();
      void writer?.abort();
    },
  });
  return withBody(response, body);
}
