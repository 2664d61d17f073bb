/** A browser that has no room for what peers bring: the worker makes some. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { nameOf, Store } from '../store/store.ts';
import { FakeDirectory } from '../store/testing.test.ts';
import { put } from '../store/writer.ts';
import { askForRoom } from './room.ts';
import { connect, makeSite, noise, Visitor, type File } from './testing.test.ts';

const old = { hash: 'c'.repeat(64), size: 3_000_000 };

before(() => {
  const estimate = async () => ({ quota: 10 * 2 ** 30, usage: 0 });
  Object.defineProperty(globalThis, 'navigator', { value: { storage: { estimate } } });
});

for (const size of [100_000, 3_000_000]) {
  test(`${size} bytes from a peer take the place of what was unused`, async (t) => {
    const site = await makeSite([noise(size, 1)]);
    const [file] = site.files as [File];
    const directory = new FakeDirectory(true);
    const store = new Store(directory);
    await put(store, old, new Uint8Array(old.size));
    directory.room = old.size + size - 1;
    const [giver, full] = [await new Visitor().begin(site, site.files), await new Visitor(store).begin(site)];
    t.after(() => [giver, full].forEach((visitor) => visitor.close()));
    const asked: number[] = [];
    full.makeRoom = async (bytes) => {
      asked.push(bytes);
      await store.delete(old);
    };
    await giver.until(() => giver.wants.size > 0);
    await full.get(file, { start: 9, end: 9 }).got;
    connect(giver, full);
    assert.equal((await full.get(file, { peersOnly: true }).got).outcome, 'end');
    await full.until(() => full.stored.length > 0);
    assert.deepEqual([asked, directory.names], [[size], [nameOf(file.content)]]);
  });
}

test('a worker that does not answer is waited for no longer than a page may be', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const ports: MessagePort[] = [];
  const asked = askForRoom({ post: (_, [port]) => void ports.push(port!) }, 7);
  t.mock.timers.tick(1000);
  await asked;
  assert.equal(ports.length, 1);
});
