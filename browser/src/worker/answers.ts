/** Responses that the worker makes itself. */
import { headersFor, typeOf } from '../shared/manifest.ts';
import type { FileRow } from '../shared/manifest.ts';
import { allowsScript } from '../shared/csp.ts';
import type { HeaderList } from '../shared/headers.ts';
import { TagInjector } from '../shared/html.ts';
import type { ByteRange } from '../shared/ranges.ts';
import { contentRange } from '../shared/ranges.ts';
import type { Learnt, Site } from './site.ts';
import { markStale } from './outage.ts';
import type { Snapshot } from './snapshots.ts';

/**
 * The headers of a content under a path: those the origin sent with it; else the manifest's rules. `shield` stands in
 * for a document's own where neither is known.
 */
export function headersOf(
  site: Site,
  snapshot: Snapshot,
  [path]: FileRow,
  known?: Learnt,
  shield: HeaderList = [],
): Headers {
  const headers = new Headers({ 'content-type': typeOf(snapshot.root, path) });
  const fields = known?.headers ?? [...shield, ...headersFor(snapshot.root, path)];
  for (const [name, value] of fields) headers.set(name, value);
  return markStale(site, headers);
}

/**
 * Of bytes Chromium makes a Blob, in another process, which costs a page of many small files more than a stream does. In
 * Firefox the stream costs more.
 */
const given = (body: BodyInit): BodyInit =>
  body instanceof Uint8Array && 'userAgentData' in navigator
    ? new ReadableStream({
        start(to) {
          to.enqueue(body);
          to.close();
        },
      })
    : body;

/** 200, or 206 for a range. `body` is what the range asks for, and `size` that of the whole content. */
export function answer(body: BodyInit, headers: Headers, size: number, range?: ByteRange): Response {
  headers.set('accept-ranges', 'bytes');
  headers.set('content-length', String(range ? range.end - range.start : size));
  if (range) headers.set('content-range', contentRange(range, size));
  return new Response(given(body), { status: range ? 206 : 200, headers });
}

/** 416 (RFC 9110, 15.5.17). */
export const unsatisfiable = (size: number): Response =>
  new Response(null, {
    status: 416,
    headers: { 'content-range': contentRange(undefined, size) },
  });

/** The response with another body, and without the headers named, which spoke of the old one. */
export function replaced({ status, statusText, headers }: Response, body: BodyInit, ...stale: string[]): Response {
  const kept = new Headers(headers);
  for (const name of stale) kept.delete(name);
  return new Response(given(body), { status, statusText, headers: kept });
}

/** The response with its body as the worker read it: decoded, so that its encoding and encoded length are gone. */
export const withBody = (response: Response, body: BodyInit): Response =>
  replaced(response, body, ...(response.headers.has('content-encoding') ? ['content-encoding', 'content-length'] : []));

/** Whether a response is a page, rather than something to save or to show by itself. */
export const isDocument = ({ headers }: Response): boolean =>
  /^text\/html/i.test(headers.get('content-type') ?? '') && !headers.has('content-disposition');

/** The document with the script tag, if it is HTML that lacks it, may have it, and sharing is possible. */
export function withTag(site: Site, response: Response): Response {
  const { headers, status, body } = response;
  const script = site.scope + 'planktos/install.js';
  if (
    !body ||
    status !== 200 ||
    !isDocument(response) ||
    /utf-?16/i.test(headers.get('content-type')!) ||
    !site.mayShare() ||
    !allowsScript(headers.get('content-security-policy'), script)
  ) {
    return response;
  }
  const injector = new TagInjector(`<script src="${new URL(script).pathname}"></script>`);
  const push = (chunk: Uint8Array<ArrayBuffer> | undefined, to: TransformStreamDefaultController): void =>
    injector.push(chunk).forEach((part) => to.enqueue(part));
  const tagged = body.pipeThrough(new TransformStream({ transform: push, flush: (to) => push(undefined, to) }));
  return replaced(response, tagged, 'content-length', 'content-encoding', 'etag', 'accept-ranges');
}
