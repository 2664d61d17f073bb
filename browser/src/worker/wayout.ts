/** Ways out: nothing of a site outlives the right to it, and nothing of Planktos outlives Planktos. */
import { broadcast } from './clients.ts';
import type { Site } from './site.ts';

declare const self: ServiceWorkerGlobalScope;

/** A site that lost worker and manifest twice, so far apart, has been rid of Planktos. */
const goneAfterMs = 10 * 60 * 1000;

/** The origin refuses the manifest to this visitor: everything of the site is deleted, and sharing ends. */
export async function purge(site: Site): Promise<void> {
  site.engines.close();
  site.snapshots.live.clear();
  site.snapshots.current = undefined;
  site.clients.clear();
  site.altered.clear();
  site.totals = { origin: 0, peers: 0, store: 0, uploaded: 0 };
  broadcast({ type: 'welcome', mode: 'http', snapshot: '', consent: site.consent, engine: false });
  await site.store.clear();
  await site.records.clear();
  // A refusal to share is not a trace of the site, and must not turn into consent when access comes back.
  if (site.consent !== 'denied') site.consent = 'unset';
  await site.save();
}

const answersGone = async (url: string): Promise<boolean> =>
  /404|410/.test(`${(await fetch(url, { cache: 'no-store' })).status}`);

/** The manifest is not there. If the worker's own script is not either, and stays away, the worker leaves too. */
export async function manifestGone(site: Site): Promise<void> {
  if (!site.own) return;
  try {
    const gone = (await answersGone(self.location.href)) && (await fetch(site.scope, { cache: 'no-store' })).ok;
    if (!gone) site.goneMs = 0;
    else if (!site.goneMs) site.goneMs = Date.now();
    else if (Date.now() - site.goneMs >= goneAfterMs) {
      await purge(site);
      await self.registration.unregister();
      return;
    }
    await site.save();
  } catch {
    // The origin is failing, rather than rid of us.
  }
}

/** Deletes what the original Planktos (0.x) stored: caches, databases, and chunks in databases named by a hash. */
export async function removeOriginal(): Promise<void> {
  for (const name of ['planktos', 'planktosV1']) await caches.delete(name);
  const names = (await indexedDB.databases()).map(({ name = '' }) => name);
  const theirs = /^planktos(-(downloaded|priority|snapshots).*)?$/;
  if (!names.some((name) => theirs.test(name))) return;
  for (const name of names) if (theirs.test(name) || /^[0-9a-f]{40}$/.test(name)) indexedDB.deleteDatabase(name);
}
