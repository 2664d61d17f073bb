/**
 * What takes the worker's place when Planktos is removed from a site. Browsers that still have the worker find this
 * script at its address when they next update it; it deletes what the runtime stored and unregisters. It has no
 * `fetch` handler, so from its installation on every request goes to the network.
 *
 * Pages are neither reloaded nor told: they go on as over plain HTTP. A failed step never keeps the others from being
 * taken.
 */
declare const self: ServiceWorkerGlobalScope;
export {};

/** Everything the runtime stores is named so. Sites of other scopes at this origin lose nothing but a cache. */
const ours = (name: string | undefined): name is string => !!name && name.startsWith('planktos');

async function removeFiles(): Promise<void> {
  const root = await navigator.storage.getDirectory();
  const names: string[] = [];
  for await (const name of root.keys()) if (ours(name)) names.push(name);
  await Promise.allSettled(names.map((name) => root.removeEntry(name, { recursive: true })));
}

async function removeCaches(): Promise<void> {
  await Promise.allSettled((await caches.keys()).filter(ours).map((name) => caches.delete(name)));
}

async function removeDatabases(): Promise<void> {
  const names = (await indexedDB.databases()).map(({ name }) => name).filter(ours);
  await Promise.allSettled(
    names.map(
      (name) =>
        new Promise<void>((resolve, reject) => {
          const request = indexedDB.deleteDatabase(name);
          request.onsuccess = () => resolve();
          request.onerror = () => reject(request.error);
          // Another page holds it open: the browser deletes it as soon as that page is gone.
          request.onblocked = () => resolve();
        }),
    ),
  );
}

self.addEventListener('install', (event) => {
  event.waitUntil(self.skipWaiting());
});

self.addEventListener('activate', (event) => {
  event.waitUntil(
    (async () => {
      // Pages of the old worker are claimed, so that nothing of it is left to write what is deleted next.
      await Promise.allSettled([self.clients.claim()]);
      await Promise.allSettled([removeFiles(), removeCaches(), removeDatabases()]);
      await self.registration.unregister();
    })(),
  );
});
