/** Bounded waiting for conditions. Nothing here is a delay: a condition is asked again until it holds or time is up. */
import { setTimeout as delay } from 'node:timers/promises';

/** The promise's result, or an error that says what was waited for. */
export async function within<T>(timeoutMs: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${timeoutMs} ms: ${what}`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Asks until the answer is neither undefined nor false, and gives it. A throwing question is one without an answer yet;
 * its last error is told when time is up.
 */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  { timeoutMs = 30_000, everyMs = 25 } = {},
): Promise<T> {
  const end = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const answer = await within(Math.max(end - performance.now(), 1000), what, Promise.resolve(ask()));
      if (answer !== undefined && answer !== false) return answer;
      last = answer;
    } catch (error) {
      last = error;
    }
    if (performance.now() >= end) throw new Error(`not within ${timeoutMs} ms: ${what}; last: ${String(last)}`);
    await delay(everyMs);
  }
}
