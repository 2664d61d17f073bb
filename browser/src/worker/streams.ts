/** Bodies that stream through the worker: with back-pressure, and kept alive while they do. */
import { post } from './clients.ts';
import type { Delivery } from './engines.ts';

/** A stream that ends sooner is not worth a message. */
const longMs = 5000;

/** How many long streams each client reads. */
const streaming = new Map<string, number>();

/**
 * Firefox ends a streamed response when the worker has seen no event for about 30 s: while a long one runs, its page
 * is asked to post pings.
 */
async function keepAlive(client: string, done: Promise<void>): Promise<void> {
  let long = false;
  const timer = setTimeout(() => {
    long = true;
    change(client, 1);
  }, longMs);
  await done;
  clearTimeout(timer);
  if (long) change(client, -1);
}

function change(client: string, by: number): void {
  const before = streaming.get(client) ?? 0;
  const now = before + by;
  if (now) streaming.set(client, now);
  else streaming.delete(client);
  if (!before || !now) post(client, { type: 'stream', active: now > 0 });
}

/** A body that reads `source` as fast as the page reads, and not faster. */
export function streamOf(event: ExtendableEvent, client: string, source: Delivery): ReadableStream<Uint8Array<ArrayBuffer>> {
  let finish = (): void => {};
  const done = new Promise<void>((resolve) => (finish = resolve));
  event.waitUntil(keepAlive(client, done));
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

/** The whole of a delivery; undefined if it breaks off. */
export async function collect(source: Delivery): Promise<Blob | undefined> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  try {
    for (let chunk; (chunk = await source.next()); ) parts.push(chunk);
    return new Blob(parts);
  } catch {
    return undefined;
  }
}

/** Resolves after `ms`. */
export const sleep = (ms: number): Promise<undefined> => new Promise((resolve) => setTimeout(resolve, ms, undefined));
