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

/** A host that is well and has not what was asked for: it need not be asked for it again. */
export class Refusal extends Error {}

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
    while (at < range.end) {
      const { value, done } = await reader.read();
      if (done) throw new Error('short');
      clearTimeout(timer);
      await take(at, value.length > range.size - at ? value.subarray(0, range.size - at) : value);
      at += value.length;
      timer = setTimeout(stop, stallMs);
    }
  } finally {
    // What is left of the response is of no use.
    stop();
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
}

/** The offset in the content of the response's first byte. */
function offsetOf(response: Response, range: Range): number {
  const { status, headers, body } = response;
  const hidden = isPrivate(headers);
  if (status === 200 && body && !hidden) return 0;
  const told = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get('Content-Range') ?? '');
  const right = told && Number(told[1]) === range.start && (told[2] === '*' || Number(told[2]) === range.size);
  if (status === 206 && body && !hidden && right) return range.start;
  throw new (hidden || status < 500 ? Refusal : Error)(`status ${status}`);
}

/** As `fetchRange`, piece by piece; the range begins and ends as pieces do. What `take` refuses is a failure. */
export function fetchPieces(
  fetch: Fetch,
  url: string,
  range: Range,
  pieceLength: number,
  signal: AbortSignal,
  take: (index: number, data: Bytes) => Promise<boolean>,
): Promise<void> {
  let piece: Bytes | undefined;
  return fetchRange(fetch, url, range, signal, async (offset, data) => {
    for (let at = 0; at < data.length; ) {
      signal.throwIfAborted();
      const index = Math.floor((offset + at) / pieceLength);
      const filled = (offset + at) % pieceLength;
      piece ??= new Uint8Array(Math.min(pieceLength, range.size - index * pieceLength));
      const part = data.subarray(at, at + piece.length - filled);
      piece.set(part, filled);
      at += part.length;
      if (filled + part.length < piece.length) continue;
      const whole = piece;
      piece = undefined;
      if (!(await take(index, whole))) throw new Refusal('piece');
    }
  });
}

/** The content's piece layer, `bytes` long, as some web seed has it: not verified. */
export async function fetchLayer(fetch: Fetch, url: string, bytes: number, signal: AbortSignal): Promise<Bytes> {
  const layer = new Uint8Array(bytes);
  await fetchRange(fetch, url, { start: 0, end: bytes, size: bytes }, signal, async (offset, data) => {
    layer.set(data, offset);
  });
  return layer;
}
