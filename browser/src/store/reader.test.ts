import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { openReader } from './reader.ts';
import { nameOf, Store } from './store.ts';
import { FakeDirectory } from './testing.test.ts';
import { put } from './writer.ts';

const content = { hash: 'ab'.repeat(32), size: 10 };
const bytes = Uint8Array.from({ length: 10 }, (_, i) => i);

let directory: FakeDirectory;
let store: Store;

beforeEach(async () => {
  directory = new FakeDirectory(true);
  store = new Store(directory);
  assert.equal(await put(store, content, bytes), true);
});

/** As in a dedicated worker whose handles have modes, or have none. */
const handles = (prototype: object) => Reflect.set(globalThis, 'FileSystemSyncAccessHandle', { prototype });

before(() => handles({ mode: 'readwrite' }));
after(() => Reflect.deleteProperty(globalThis, 'FileSystemSyncAccessHandle'));

test('readers share a content, which is not deleted while one is open', async () => {
  const [one, two] = [(await openReader(store, content))!, (await openReader(store, content))!];
  assert.deepEqual([...(await one.read(2, 5))!, ...(await two.read(9, 10))!], [2, 3, 4, 9]);
  one.close();
  one.close();
  assert.equal(await store.delete(content), false);
  assert.deepEqual([...(await two.read(0, 1))!], [0]);
  two.close();
  assert.equal(await store.delete(content), true);
  assert.equal(await openReader(store, content), undefined);
});

test('where a handle would keep others out, or somebody has one, the content is read without', async () => {
  const writer = await (await directory.getFileHandle(nameOf(content))).createSyncAccessHandle!();
  const one = (await openReader(store, content))!;
  assert.deepEqual([...(await one.read(2, 5))!], [2, 3, 4]);
  writer.close();
  handles({});
  const two = (await openReader(store, content))!;
  handles({ mode: 'readwrite' });
  assert.equal(directory.locked.size, 0);
  assert.deepEqual([...(await two.read(2, 5))!], [2, 3, 4]);
  for (const reader of [one, two]) reader.close();
});

test('what is shorter than it was is not read', async () => {
  const reader = (await openReader(store, content))!;
  assert.equal(await reader.read(8, 12), undefined);
  reader.close();
});
