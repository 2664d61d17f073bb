/** What the original Planktos (0.x) left in visitors' browsers, which the runtime and what removes it clear away. */

/** Deletes what it stored: caches, databases, and chunks in databases named by a hash. */
export async function removeOriginal(): Promise<void> {
  for (const name of ['planktos', 'planktosV1']) await caches.delete(name);
  const names = (await indexedDB.databases()).map(({ name = '' }) => name);
  const theirs = /^planktos(-(downloaded|priority|snapshots).*)?$/;
  if (!names.some((name) => theirs.test(name))) return;
  for (const name of names) if (theirs.test(name) || /^[0-9a-f]{40}$/.test(name)) indexedDB.deleteDatabase(name);
}
