/**
 * What pages ask of the host, passed on. Browsers do not end a worker's request when the page that asked is left, as they
 * would the page's own: those to a host that hangs would keep its few connections from whatever is asked later.
 */
import { patienceMs } from '../shared/policy.ts';
import type { Site } from './site.ts';

declare const self: ServiceWorkerGlobalScope;

interface Waiting {
  atMs: number;
  abort: AbortController;
}

/** What pages asked, and the host has not begun to answer. */
const waiting = new Map<FetchEvent, Waiting>();
/** A page that is only coming is no client yet in Firefox: its request is left alone for so long. */
const comingMs = 30_000;

/**
 * Passes a page's request on, `anew` past what the HTTP cache would give without asking. Rejects as `fetch` does; a
 * network error once nobody waits for the answer any more.
 */
export async function passOn(site: Site, event: FetchEvent, anew = false): Promise<Response> {
  endLeft();
  const { request } = event;
  const { mode, headers, referrer, referrerPolicy } = request;
  const cache = anew ? 'no-cache' : request.cache;
  // A request that is given a signal is a new one: a navigation is none any more, and loses what only browsers may ask.
  if (headers.has('range') || (mode === 'navigate' && !site.snapshots.originDown && !anew)) return fetch(request);
  const abort = new AbortController();
  waiting.set(event, { atMs: performance.now(), abort });
  try {
    return await fetch(request, { signal: abort.signal, cache, referrer, referrerPolicy });
  } catch (error) {
    if (abort.signal.aborted) return Response.error();
    throw error;
  } finally {
    waiting.delete(event);
  }
}

/** What the page asked has been answered by somebody else. */
export function endWaiting(event: FetchEvent): void {
  waiting.get(event)?.abort.abort();
}

/** Ends the requests of pages that have been left. */
export function endLeft(): void {
  for (const [{ clientId, resultingClientId }, { atMs, abort }] of waiting) {
    if (performance.now() - atMs < (resultingClientId ? comingMs : patienceMs)) continue;
    void self.clients.get(resultingClientId || clientId).then((client) => client ?? abort.abort());
  }
}
