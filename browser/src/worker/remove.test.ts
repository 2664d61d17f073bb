/** What takes the worker's place when Planktos is removed: all that was stored goes, and the worker if it is ours. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Posted } from '../shared/messages.ts';

const scope = 'https://a.example/docs/';
const hash = 'a'.repeat(40);

/** A folder of a browser's file system that has only folders in it; some of them cannot be removed yet. */
class Folder {
  readonly folders = new Map<string, Folder>();
  locked = 0;
  async *keys(): AsyncGenerator<string> {
    yield* [...this.folders.keys()];
  }
  async getDirectoryHandle(name: string, { create = false } = {}): Promise<Folder> {
    if (create) this.folders.set(name, this.folders.get(name) ?? new Folder());
    return this.folders.get(name) ?? assert.fail(`no folder ${name}`);
  }
  async removeEntry(name: string, { recursive = false } = {}): Promise<void> {
    const entry = await this.getDirectoryHandle(name);
    const { folders } = entry;
    if (entry.locked-- > 0 || [...folders.values()].some(({ locked }) => locked > 0)) {
      throw new DOMException('locked', 'NoModificationAllowedError');
    }
    if (folders.size && !recursive) throw new DOMException('not empty', 'InvalidModificationError');
    this.folders.delete(name);
  }
}

/** Runs the script as a worker at that URL, or imported by it, until it is active. What it did to the worker. */
async function run(script: string, stores: { root: Folder; caches: Set<string>; databases: Set<string> }) {
  const did: string[] = [];
  const told: string[] = [];
  const page = { id: 'page', postMessage: ({ planktos }: Posted) => told.push(planktos) };
  const listeners = new Map<string, (event: { waitUntil(work: Promise<unknown>): void }) => void>();
  const act = (what: string) => async () => void did.push(what);
  const { root, caches, databases } = stores;
  Object.assign(globalThis, {
    caches: { delete: async (name: string) => caches.delete(name) },
    indexedDB: {
      databases: async () => [...databases].map((name) => ({ name })),
      deleteDatabase: (name: string) => databases.delete(name),
    },
    self: {
      location: new URL(script, scope),
      registration: { scope, unregister: act('unregister') },
      clients: { claim: act('claim'), matchAll: async () => [page] },
      skipWaiting: act('skipWaiting'),
      addEventListener: (type: string, listen: never) => listeners.set(type, listen),
    },
  });
  Object.defineProperty(globalThis, 'navigator', {
    value: { storage: { getDirectory: async () => root } },
    configurable: true,
  });
  // Another URL is another instance of the module.
  await import(`./remove.ts?${script}`);
  assert.deepEqual([...listeners.keys()].sort(), ['activate', 'install'], 'requests are none of its business');
  for (const type of ['install', 'activate']) {
    const work: Promise<unknown>[] = [];
    listeners.get(type)!({ waitUntil: (each) => work.push(each) });
    await Promise.all(work);
  }
  assert.deepEqual(told, ['engine', 'status']);
  return did;
}

for (const [whose, script, expected] of [
  ['ours', 'planktos.sw.min.js', ['skipWaiting', 'claim', 'unregister']],
  ["the site's own, which imports it,", 'sw.js', []],
] as const) {
  test(`a worker that is ${whose} deletes what Planktos stored, the original included`, async () => {
    const root = new Folder();
    const all = await root.getDirectoryHandle('planktos', { create: true });
    for (const path of ['/docs/', '/other/']) await all.getDirectoryHandle(encodeURIComponent(path), { create: true });
    const caches = new Set(['planktos:/docs/', 'planktos:/other/', 'planktos', 'planktosV1', 'mine']);
    const databases = new Set(['planktos-standby', 'planktos', 'planktos-downloaded', hash, 'mine']);
    assert.deepEqual(await run(script, { root, caches, databases }), expected);
    assert.deepEqual([...all.folders.keys()], [encodeURIComponent('/other/')]);
    assert.deepEqual([...caches], ['planktos:/other/', 'mine']);
    assert.deepEqual([...databases], ['mine']);
  });
}

test('what an engine is still writing goes too, and keeps nothing else from going', async () => {
  const root = new Folder();
  const all = await root.getDirectoryHandle('planktos', { create: true });
  const own = await all.getDirectoryHandle(encodeURIComponent('/docs/'), { create: true });
  for (const name of ['one', 'two.part']) await own.getDirectoryHandle(name, { create: true });
  own.folders.get('two.part')!.locked = 2;
  await run('locked/planktos.sw.min.js', { root, caches: new Set(), databases: new Set() });
  assert.deepEqual([...root.folders.keys()], []);
});

test("a database of the name of a hash is not the original's where nothing else is", async () => {
  const databases = new Set([hash, 'mine']);
  await run('other/planktos.sw.min.js', { root: new Folder(), caches: new Set(), databases });
  assert.deepEqual([...databases], [hash, 'mine']);
});
