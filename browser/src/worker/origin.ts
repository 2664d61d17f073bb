/** The origin, speaking for itself: its own paths, measured, and checked against the manifest as they stream by. */
import type { FileRow } from '../shared/manifest.ts';
import { isPrivate } from '../shared/headers.ts';
import { measured } from '../shared/policy.ts';
import { learn, idOf, newHasher, received } from './content.ts';
import type { Site } from './site.ts';
import { rewritten } from './site.ts';
import type { Snapshot } from './snapshots.ts';
import { streamOf } from './streams.ts';

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

/** Whether a response is the plain, public, whole body that a content could be. */
export const isWhole = (response: Response): boolean =>
  response.status === 200 && !response.redirected && response.type !== 'opaque' && !isPrivate(response.headers);

/** Whether the body cannot be the content, as its length tells already. */
export function lengthDiffers({ headers }: Response, [, , size]: FileRow): boolean {
  const length = headers.get('content-length');
  return length !== null && !headers.has('content-encoding') && Number(length) !== size;
}

/** The response with its body as the worker read it: decoded, so that its encoding and encoded length are gone. */
export function withBody(response: Response, body: BodyInit): Response {
  const { status, statusText } = response;
  const headers = new Headers(response.headers);
  if (headers.has('content-encoding')) for (const name of ['content-encoding', 'content-length']) headers.delete(name);
  return new Response(body, { status, statusText, headers });
}

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

/** Keeps a path that is private to the visitor out of everything. */
export function leaveAlone(site: Site, path: string): void {
  site.altered.set(path, rewritten);
  void site.save();
}

export interface Capture {
  event: FetchEvent;
  snapshot: Snapshot;
  path: string;
  /** what the path may turn out to be; the first one is stored */
  rows: FileRow[];
  client: string;
}

/**
 * Passes a whole response on while hashing and storing it: the page reads at its own pace, and what does not match is
 * not kept. Other responses are passed on as they are.
 */
export async function capture(site: Site, response: Response, to: Capture): Promise<Response> {
  const { event, snapshot, path, rows, client } = to;
  const [row] = rows;
  if (response.status === 200 && isPrivate(response.headers)) leaveAlone(site, path);
  if (!row || !response.body || !isWhole(response)) return response;
  const reader = response.body.getReader() as ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
  const hasher = newHasher();
  const writer = await site.store.writer(idOf(row));
  const finish = async (): Promise<void> => {
    const hash = await hasher.finish();
    // Deleted meanwhile, as when the origin refuses the site.
    if (!site.snapshots.live.has(snapshot.id)) return writer?.abort();
    const match = rows.find((each) => each[1] === hash && each[2] === hasher.size);
    if (!match) {
      await writer?.abort();
      return mismatched(site, snapshot, path);
    }
    const kept = match === row && !!(await writer?.commit());
    await learn(site, path, match, response);
    received(site, match, client, kept);
  };
  const body = streamOf(event, client, {
    async next() {
      const { value } = await reader.read().catch((error) => {
        void writer?.abort();
        throw error;
      });
      if (value) {
        await Promise.all([hasher.push(value), writer?.write(value)]);
        return value;
      }
      event.waitUntil(finish().catch(() => writer?.abort()));
      return undefined;
    },
    cancel() {
      void reader.cancel().catch(() => {});
      void writer?.abort();
    },
  });
  return withBody(response, body);
}
