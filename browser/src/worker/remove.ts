/**
 * What takes the worker's place when Planktos is removed from a site. Browsers that still have the worker find this
 * script at its address when they next update it; it deletes what the runtime stored, and the original Planktos, and
 * unregisters. It has no `fetch` handler, so from its installation on every request goes to the network. In a site's own
 * worker that imports it, it deletes alone, and the worker's life cycle stays the site's.
 *
 * Pages are not reloaded: their engines end, and they go on as over plain HTTP. A failed step never keeps the others
 * from being taken.
 */
import { standbyDatabase } from '../shared/messages.ts';
import { broadcast } from './clients.ts';
import { removeOriginal } from './original.ts';

declare const self: ServiceWorkerGlobalScope;

/** The scope's path, by which the runtime names what it stores: sites under other paths of this origin keep theirs. */
const path = new URL(self.registration.scope).pathname;

/** What an engine writes is locked until it has ended, as it is told to: so often, and so far apart, it is tried again. */
const tries = 20;
const retryMs = 250;

/** The contents, see store/store.ts. */
async function removeFiles(): Promise<void> {
  const root = await navigator.storage.getDirectory();
  const all = await root.getDirectoryHandle('planktos');
  const own = await all.getDirectoryHandle(encodeURIComponent(path));
  for (let left = tries; left; left--) {
    const names: string[] = [];
    for await (const name of own.keys()) names.push(name);
    const removed = await Promise.allSettled(names.map((name) => own.removeEntry(name)));
    if (removed.every(({ status }) => status === 'fulfilled')) break;
    await new Promise((resolve) => setTimeout(resolve, retryMs));
  }
  await all.removeEntry(encodeURIComponent(path), { recursive: true });
  // Fails, rightly, while another site has its own in there.
  await root.removeEntry('planktos');
}

/** Records and scripts, see records.ts. */
async function removeCaches(): Promise<void> {
  await caches.delete(`planktos:${path}`);
}

const own = self.location.pathname.endsWith('/planktos.sw.min.js');

self.addEventListener('install', (event) => {
  if (own) event.waitUntil(self.skipWaiting());
});

self.addEventListener('activate', (event) => {
  event.waitUntil(
    (async () => {
      // Pages of the old worker are claimed, so that nothing of it is left to write what is deleted next.
      if (own) await Promise.allSettled([self.clients.claim()]);
      broadcast({ type: 'engine', act: 'stop' });
      broadcast({ type: 'status', connections: 0 });
      await Promise.allSettled([removeFiles(), removeCaches(), removeOriginal()]);
      indexedDB.deleteDatabase(standbyDatabase);
      if (own) await self.registration.unregister();
    })(),
  );
});
