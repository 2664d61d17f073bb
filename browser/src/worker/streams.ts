/** Bodies that stream through the worker: with back-pressure, and kept alive while they do. */
import type { ByteRange } from '../shared/ranges.ts';
import { post } from './clients.ts';

/** A body in order, as it comes. Not to be read concurrently. */
export interface Delivery {
  /** the next bytes; undefined at the end; rejects if the rest will not come from here */
  next(): Promise<Uint8Array<ArrayBuffer> | undefined>;
  cancel(): void;
}

/** A stream that ends sooner is not worth a message. */
const longMs = 5000;

/** How many long streams each client reads. */
const streaming = new Map<string, number>();

function count(client: string, by: number): void {
  const before = streaming.get(client) ?? 0;
  if (before + by) streaming.set(client, before + by);
  else streaming.delete(client);
  if (!before || !(before + by)) post(client, { type: 'stream', active: by > 0 });
}

/**
 * Firefox ends a streamed response when the worker has seen no event for about 30 s: while a long one runs, its page
 * is asked to post pings.
 */
async function keepAlive(client: string, done: Promise<void>): Promise<void> {
  let long = 0;
  const timer = setTimeout(() => count(client, (long = 1)), longMs);
  await done;
  clearTimeout(timer);
  if (long) count(client, -1);
}

/** A body that reads `source` as fast as the page reads, and not faster. */
export function streamOf(
  event: ExtendableEvent,
  client: string,
  source: Delivery,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  let finish = (): void => {};
  event.waitUntil(keepAlive(client, new Promise<void>((resolve) => (finish = resolve))));
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

/** The bytes [start, end) of a delivery. What comes after them is not waited for. */
export function cut(source: Delivery, { start, end }: ByteRange): Delivery {
  let at = 0;
  return {
    async next() {
      while (at < end) {
        const chunk = await source.next();
        if (!chunk) throw new Error('the body is shorter than its length');
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
export async function collect(source: Delivery, timeoutMs: number): Promise<Blob | undefined> {
  const timer = setTimeout(() => source.cancel(), timeoutMs);
  const parts: Uint8Array<ArrayBuffer>[] = [];
  try {
    for (let chunk; (chunk = await source.next()); ) parts.push(chunk);
    return new Blob(parts);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

/** What a promise resolves to; undefined after `ms`. */
export const within = <T>(ms: number, promise: Promise<T>): Promise<T | undefined> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms, undefined);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
