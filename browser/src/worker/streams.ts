/** Bodies that stream through the worker: with back-pressure, and kept alive while they do. */
import type { ByteRange } from '../shared/ranges.ts';
import { join } from '../shared/bytes.ts';
import { broadcast } from './clients.ts';

type Chunk = Uint8Array<ArrayBuffer> | undefined;

/** A body in order, as it comes. Not to be read concurrently. */
export interface Delivery {
  /** the next bytes; undefined at the end; rejects if the rest will not come from here */
  next(): Promise<Chunk>;
  cancel(): void;
}

/** A stream that ends sooner is not worth a message. */
const longMs = 5000;

/** How many long streams run. */
let streaming = 0;
export const isStreaming = (): boolean => streaming > 0;

/**
 * Firefox ends a streamed response when the worker has seen no event for about 30 s: while a long one runs, pages are
 * asked to post pings; any page will do, since the reader may be one that cannot, or none at all.
 */
async function keepAlive(done: Promise<void>): Promise<void> {
  let long = 0;
  const count = (by: number): void => {
    long += by;
    if (by > 0 ? !streaming++ : !--streaming) broadcast({ type: 'stream', active: by > 0 });
  };
  const timer = setTimeout(count, longMs, 1);
  await done;
  clearTimeout(timer);
  if (long) count(-1);
}

/** A body that reads `source` as fast as the page reads, and not faster. */
export function streamOf(event: ExtendableEvent, source: Delivery): ReadableStream<Uint8Array<ArrayBuffer>> {
  let finish = (): void => {};
  event.waitUntil(keepAlive(new Promise<void>((resolve) => (finish = resolve))));
  return new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      async pull(controller) {
        try {
          const chunk = await source.next();
          if (chunk) return controller.enqueue(chunk);
          controller.close();
        } catch (error) {
          controller.error(error);
        }
        finish();
      },
      cancel() {
        source.cancel();
        finish();
      },
    },
    { highWaterMark: 0 },
  );
}

/** The other way round. */
export function deliveryOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Delivery {
  const reader = stream.getReader();
  return {
    next: async () => (await reader.read()).value,
    cancel: () => void reader.cancel().catch(() => {}),
  };
}

/** A delivery whose first bytes are here. */
export const begun = (first: Chunk, next: () => Promise<Chunk>, cancel: () => void): Delivery => ({
  async next() {
    const chunk = first ?? (await next());
    first = undefined;
    return chunk;
  },
  cancel,
});

/** The bytes [start, end) of a delivery. What comes after them is not waited for. */
export function cut(source: Delivery, { start, end }: ByteRange): Delivery {
  let at = 0;
  return {
    async next() {
      while (at < end) {
        const chunk = await source.next();
        if (!chunk) throw new Error('the body is short');
        const part = chunk.subarray(Math.max(0, start - at), end - at);
        at += chunk.length;
        if (part.length) return part;
      }
      source.cancel();
      return undefined;
    },
    cancel: () => source.cancel(),
  };
}

/** The whole of a delivery; undefined if it breaks off, or is not there in time. */
export async function collect(source: Delivery, timeoutMs: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const timer = setTimeout(() => source.cancel(), timeoutMs);
  const parts: Uint8Array<ArrayBuffer>[] = [];
  try {
    for (let chunk; (chunk = await source.next()); ) parts.push(chunk);
    // A Blob would wait for the browser's process.
    return join(parts);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Does something once for all calls of `ms`, at the end of these. */
export function gathered(ms: number, act: () => Promise<void>): () => Promise<void> {
  let due: Promise<void> | undefined;
  return () =>
    (due ??= sleep(ms).then(() => {
      due = undefined;
      return act();
    }));
}

/** The first of all that resolves to something; undefined if none does. */
export const firstOf = <T>(all: Promise<T | undefined>[]): Promise<T | undefined> =>
  Promise.any(all.map(async (each) => (await each) ?? Promise.reject())).catch(() => undefined);

/** Tries one after the other, the next one when there is nothing from those before, or not after `ms`. */
export async function hedged<T>(
  ms: number,
  [first, ...rest]: (() => Promise<T | undefined>)[],
): Promise<T | undefined> {
  const trying = first?.().catch(() => undefined);
  return trying && ((await within(ms, trying)) ?? firstOf([trying, hedged(ms, rest)]));
}

/** What a promise resolves to; undefined after `ms`. */
export const within = <T>(ms: number, promise: Promise<T>): Promise<T | undefined> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms, undefined);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
