/**
 * Web seeds (in the manner of BEP 19): the site's own host, and others that carry the same packed site, as sources of
 * content that is verified like any peer's.
 */
import { isPrivate } from '../shared/headers.ts';
import { encodePath } from '../shared/manifest.ts';
import type { Bytes } from '../shared/wire.ts';
import type { ContentId } from '../store/store.ts';

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** Nothing for so long, and the response is given up. */
const stallMs = 10_000;

/** A host of a snapshot. */
export interface Seed {
  /** its root URL, ending in `/` */
  root: string;
  /** whether it has hashed copies */
  copies: boolean;
}

/**
 * Where a content may be had, best first: a whole one at its own path (hosts compress it and share its HTTP cache), a
 * part of one at its hashed copy, which can be neither compressed nor outdated.
 */
export function contentUrls(seeds: Iterable<Seed>, content: ContentId, path: string, whole: boolean): string[] {
  const urls: string[] = [];
  for (const { root, copies } of seeds) {
    const both = [root + encodePath(path), ...(copies ? [`${root}planktos/${content.hash}`] : [])];
    urls.push(...(whole ? both : both.reverse()));
  }
  return [...new Set(urls)];
}

export interface Range {
  /** of the content's bytes */
  start: number;
  /** exclusive */
  end: number;
  /** of the content */
  size: number;
}

/**
 * Fetches a range and hands its bytes on, at their offsets in the content, as they come. A host that ignores Range
 * sends the whole: then all of it is handed on up to the range's end, from offset 0.
 *
 * `take` is awaited, which holds the response back. Rejects on any failure, abort included; bytes already handed on
 * are as good as their hash.
 */
export async function fetchRange(
  fetch: Fetch,
  url: string,
  range: Range,
  signal: AbortSignal,
  take: (offset: number, data: Bytes) => Promise<void>,
): Promise<void> {
  const whole = range.start === 0 && range.end === range.size;
  const stalled = new AbortController();
  const stop = () => stalled.abort();
  signal.addEventListener('abort', stop);
  let timer = setTimeout(stop, stallMs);
  try {
    signal.throwIfAborted();
    const response = await fetch(url, {
      headers: whole ? {} : { Range: `bytes=${range.start}-${range.end - 1}` },
      // no-store goes past this site's service worker, which would ask this engine.
      cache: 'no-store',
      signal: stalled.signal,
    });
    let at = offsetOf(response, range);
    const reader = response.body!.getReader();
    try {
      while (at < range.end) {
        const { value, done } = await reader.read();
        if (done) throw new Error('response is short');
        clearTimeout(timer);
        await take(at, value.length > range.size - at ? value.subarray(0, range.size - at) : value);
        at += value.length;
        timer = setTimeout(stop, stallMs);
      }
    } finally {
      void reader.cancel().catch(() => {});
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
}

/** The offset in the content of the response's first byte. */
function offsetOf(response: Response, range: Range): number {
  if (isPrivate(response.headers)) {
    void response.body?.cancel().catch(() => {});
    throw new Error('web seed answered in private');
  }
  if (response.status === 200 && response.body) return 0;
  const told = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('Content-Range') ?? '');
  const right = told && Number(told[1]) === range.start && (told[2] === '*' || Number(told[2]) === range.size);
  if (response.status === 206 && response.body && right) return range.start;
  void response.body?.cancel().catch(() => {});
  throw new Error(`web seed answered ${response.status}`);
}

/** The content's piece layer, `bytes` long, as some web seed has it: not verified. */
export async function fetchLayer(fetch: Fetch, url: string, bytes: number, signal: AbortSignal): Promise<Bytes> {
  const layer = new Uint8Array(bytes);
  await fetchRange(fetch, url, { start: 0, end: bytes, size: bytes }, signal, async (offset, data) => {
    layer.set(data, offset);
  });
  return layer;
}
