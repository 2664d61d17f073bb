/** Ways out: nothing of a site outlives the right to it, and nothing of Planktos outlives Planktos. */
import { standbyDatabase } from '../shared/messages.ts';
import { broadcast } from './clients.ts';
import type { Site } from './site.ts';

declare const self: ServiceWorkerGlobalScope;

/** A site that lost worker and manifest twice, so far apart, has been rid of Planktos. */
const goneAfterMs = 10 * 60 * 1000;
/** The longest a host is waited for. */
const answerMs = 15_000;

/** The origin refuses the manifest to this visitor: everything of the site is deleted, and sharing ends. */
export async function purge(site: Site): Promise<void> {
  site.engines.close();
  site.snapshots.live.clear();
  site.snapshots.current = undefined;
  site.clients.clear();
  site.altered.clear();
  site.swept = { atMs: Date.now(), bytes: 0 };
  site.totals = { origin: 0, peers: 0, store: 0, uploaded: 0 };
  const { consent, originState } = site;
  broadcast({ type: 'welcome', mode: 'http', snapshot: '', consent, originState });
  indexedDB.deleteDatabase(standbyDatabase);
  await site.store.clear();
  await site.records.clear();
  // A refusal to share is not a trace of the site, and must not turn into consent when access comes back.
  if (site.consent !== 'denied') site.consent = 'unset';
  await site.save();
}

/** Planktos is to end here: a site's own worker forgets what ours has stored, and ours goes altogether. */
export async function leave(site: Site): Promise<void> {
  await purge(site);
  if (!site.own) return;
  site.left = true;
  // Pages that are still open go on speaking to this worker.
  await site.records.close();
  // Not awaited: it comes after the installation that this may be part of.
  void self.registration.unregister();
}

export const isGone = (status: number): boolean => /404|410/.test(`${status}`);

/** What the host itself answers now; 0: a redirect. */
export async function statusOf(url: string): Promise<number> {
  const signal = AbortSignal.timeout(answerMs);
  const { status, body } = await fetch(url, { cache: 'no-store', redirect: 'manual', signal });
  void body?.cancel();
  return status;
}

/**
 * The manifest is not there. If the worker's own script is not either, and stays away, the worker leaves too.
 *
 * @param front what the site's own page answers
 */
export async function manifestGone(site: Site, front: number): Promise<void> {
  if (!site.own) return;
  try {
    if (front >= 300 || !isGone(await statusOf(self.location.href))) site.goneMs = 0;
    else if (!site.goneMs) site.goneMs = Date.now();
    else if (Date.now() - site.goneMs >= goneAfterMs) {
      return await leave(site);
    }
    await site.save();
  } catch {
    // The origin is failing, rather than rid of us.
  }
}
