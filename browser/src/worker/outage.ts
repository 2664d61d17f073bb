/** An outage as pages see it, and its end. */
import type { OriginState } from '../shared/messages.ts';
import { broadcast } from './clients.ts';
import type { Site } from './site.ts';

/** The origin is asked again after so long, then after longer and longer; pages may add 12 s of their own to it. */
const firstMs = 4000;
const longestMs = 16_000;

let waitMs = firstMs;
let nextMs = 0;

/** What the last look at the manifest says of the origin. Pages are told if it is news. */
export function originIs(site: Site, state: OriginState): void {
  site.health.note(site.scope, state === 'up');
  if (site.originState === state) return;
  site.originState = state;
  waitMs = firstMs;
  broadcast({ type: 'origin', state });
  void site.save();
}

/** A page's clock has struck. However many pages there are, the origin is asked when it is time to. */
export async function probe({ snapshots }: Site): Promise<void> {
  if (Date.now() < nextMs) return;
  // Others' browsers have seen it go down at the same moment.
  nextMs = Date.now() + waitMs * (0.5 + Math.random() / 2);
  waitMs = Math.min(longestMs, 2 * waitMs);
  await snapshots.validate();
}

/** The header that tells a page how old its news of the site is: seconds since the origin showed the manifest. */
export function markStale({ snapshots, shownMs }: Site, headers: Headers): Headers {
  const sinceMs = Math.max(shownMs, snapshots.current?.firstSeenMs ?? 0);
  if (snapshots.stale) headers.set('planktos-stale', `${Math.round((Date.now() - sinceMs) / 1000)}`);
  return headers;
}
