/**
 * Which page runs the engine. Pages are asked for one while there is none; a page that is looked at takes over from one
 * that is hidden, and any other page from one that hangs. The pages' Web Lock sees to it that there is only one.
 */
import { post } from './clients.ts';
import type { Client, Site } from './site.ts';
import { sleep } from './streams.ts';

declare const self: ServiceWorkerGlobalScope;

/**
 * Waits between one call for an engine and the next: a page that leaves lets go of the lock a moment after it has said
 * so. After these the lock is taken by force, from a page that holds it and does not answer.
 */
const waitsMs = [250, 500, 1000, 2000];
const forced = 4;

/** A move waits so long for an engine that is busy, and again. */
const busyMs = 1000;
let settling: ReturnType<typeof setTimeout> | undefined;

/** The latest call for an engine; an earlier one ends. */
let latest = {};

/** Whether a page may run an engine. */
export const mayHost = (site: Site, client: Client | undefined): boolean =>
  !!client?.snapshot && !!client.canShare && (!client.gpc || site.consent === 'granted') && site.mayShare();

/** The pages that may run an engine, those that are looked at first. */
async function hosts(site: Site, except?: string): Promise<WindowClient[]> {
  const all = await self.clients.matchAll({ type: 'window' });
  return all
    .filter(({ id }) => id !== except && mayHost(site, site.clients.get(id)))
    .sort((a, b) => Number(isSeen(b)) - Number(isSeen(a)));
}

const isSeen = ({ visibilityState }: WindowClient): boolean => visibilityState === 'visible';

/** Asks for an engine until there is one, or nobody to ask. */
export async function summon(site: Site, except?: string, byForce = false): Promise<void> {
  const own = (latest = {});
  for (let round = byForce ? waitsMs.length : 0; round < waitsMs.length + forced; round++) {
    const pages = await hosts(site, except);
    if (own !== latest || site.engines.size || !pages.length) return;
    const steal = round >= waitsMs.length;
    if (steal) post(pages[round % pages.length]!.id, { type: 'engine', act: 'steal' });
    else for (const { id } of pages) post(id, { type: 'engine', act: 'run' });
    await sleep(waitsMs[round] ?? waitsMs.at(-1)!);
  }
}

/** Asks for an engine if there is none, or none any more. */
export const ensure = (site: Site): Promise<void> => (site.engines.size ? site.engines.weed() : summon(site));

/** A page has been shown, or hidden, for a while: an engine whose page is hidden moves to one that is looked at. */
export async function settle(site: Site): Promise<void> {
  await ensure(site);
  if (!site.engines.size) return;
  const seen = (await hosts(site)).filter(isSeen);
  if (!seen[0] || seen.some(({ id }) => site.engines.has(id))) return;
  // Nothing is urgent enough to break off what is being had.
  clearTimeout(settling);
  if (site.engines.busy) settling = setTimeout(() => void settle(site), busyMs);
  else post(seen[0].id, { type: 'engine', act: 'steal' });
}

/** Another page takes over from one whose engine does not answer, if there is another. */
export async function depose(site: Site, client: string): Promise<void> {
  if (!(await hosts(site, client)).length) return;
  site.engines.detach(client);
  await summon(site, client, true);
}
