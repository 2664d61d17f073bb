import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { memoryBytes } from './memory.ts';
import { nameOf, parseName, Store } from './store.ts';
import { FakeDirectory } from './testing.test.ts';
import { put, Writer } from './writer.ts';

const content = (fill: string, size: number) => ({ hash: fill.repeat(64), size });
const bytes = (size: number, fill = 1) => new Uint8Array(size).fill(fill);

let quota = 10 * 2 ** 30;
before(() => {
  const estimate = async () => ({ quota, usage: 0 });
  Object.defineProperty(globalThis, 'navigator', { value: { storage: { estimate } } });
});

for (const [name, make] of [
  ['files', () => new Store(new FakeDirectory())],
  ['memory', () => new Store()],
] as [string, () => Store][]) {
  test(`${name}: a content is there once it is whole`, async () => {
    const store = make();
    const id = content('a', 3_000_000);
    const writer = new Writer(store, id);
    for (let i = 0; i < 3; i++) {
      await writer.write(bytes(1_000_000, i));
      assert.equal(await store.has(id), false);
    }
    assert.ok(await writer.commit());
    await writer.abort();
    const got = new Uint8Array(await (await store.get(id))!.arrayBuffer());
    assert.deepEqual([got.length, got[0], got[1_500_000], got[2_999_999]], [3_000_000, 0, 1, 2]);
    assert.deepEqual(await store.list(), [{ ...id, name: nameOf(id), suffix: '' }]);
    assert.equal(await store.delete(id), true);
    assert.equal(await store.get(id), undefined);
    assert.deepEqual(await store.list(), []);
  });

  test(`${name}: short, long and dropped writers leave nothing`, async () => {
    const store = make();
    for (const [size, ...writes] of [[10, 9], [10, 11], [2_500_000, 1_500_000, 999_999], [2_500_000, 2_600_000]]) {
      const id = content('b', size!);
      const writer = new Writer(store, id);
      for (const length of writes) await writer.write(bytes(length));
      assert.equal(await writer.commit(), false);
    }
    const id = content('b', 10);
    const dropped = new Writer(store, id);
    await dropped.write(bytes(10));
    await dropped.abort();
    assert.equal(await dropped.commit(), false);
    assert.equal(await put(store, id, bytes(9)), false);
    assert.equal(await store.has(id), false);
    assert.deepEqual(await store.list(), []);
  });

  test(`${name}: several writers of a content tolerate each other`, async () => {
    const store = make();
    const id = content('c', 2_500_000);
    const writers = [1, 2, 3].map(() => new Writer(store, id));
    await Promise.all(writers.map((writer) => writer.write(bytes(id.size, 7))));
    assert.deepEqual(await Promise.all(writers.map((writer) => writer.commit())), [true, true, true]);
    assert.deepEqual((await store.list()).map((entry) => entry.name), [nameOf(id)]);
  });

  test(`${name}: the same hash with another size is another content`, async () => {
    const store = make();
    await put(store, content('d', 1), bytes(1));
    assert.equal(await store.has(content('d', 2)), false);
  });

  test(`${name}: clearing is complete`, async () => {
    const store = make();
    for (let i = 0; i < 5; i++) await put(store, content('e', i + 1), bytes(i + 1));
    assert.equal((await store.list()).length, 5);
    await store.clear();
    assert.deepEqual(await store.list(), []);
  });

  for (const size of [500_000, 3_000_000]) {
    test(`${name}: where there is no room for ${size} bytes, some is made, once`, async () => {
      const store = make();
      const { directory } = store;
      const other = content('f', 40 << 20);
      assert.ok(await put(store, other, bytes(other.size)));
      assert.ok(await put(store, content('e', 23 << 20), bytes(23 << 20)));
      if (directory instanceof FakeDirectory) directory.room = memoryBytes;
      const [asked, id] = [[] as number[], content('a', memoryBytes - other.size - size)];
      store.makeRoom = async (needed) => void asked.push(needed);
      assert.equal(await put(store, id, bytes(id.size)), false);
      assert.deepEqual(asked, [id.size]);
      store.makeRoom = async () => void (await store.delete(content('e', 23 << 20)));
      assert.equal(await put(store, id, bytes(id.size)), true);
      assert.deepEqual((await store.list()).map(({ name }) => name), [nameOf(other), nameOf(id)]);
    });
  }
}

test('clearing: what an engine still writes goes when it lets go of it, and what comes meanwhile stays', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const directory = new FakeDirectory();
  const store = new Store(directory);
  const [written, next] = [content('a', 10), content('b', 10)];
  await put(store, written, bytes(10));
  directory.locked.set(nameOf(written), 'handle');
  await store.clear();
  await put(store, next, bytes(10));
  assert.equal((await store.list()).length, 2);
  directory.locked.delete(nameOf(written));
  t.mock.timers.tick(250);
  assert.deepEqual((await store.list()).map(({ name }) => name), [nameOf(next)]);
});

test('memory is not shared, files are', () => {
  assert.deepEqual([new Store().shared, new Store(new FakeDirectory()).shared], [false, true]);
});

test('files: what may be being read is not replaced by an equal', async (t) => {
  const directory = new FakeDirectory();
  let turn = Promise.resolve();
  const locks = {
    request: (_name: string, act: () => Promise<void>) => (turn = turn.then(act)),
  };
  Object.defineProperty(navigator, 'locks', { value: locks, configurable: true });
  t.after(() => Reflect.deleteProperty(navigator, 'locks'));
  const store = new Store(directory);
  const id = content('c', 10);
  const given = t.mock.method(directory.files, 'set');
  const writers = [1, 2, 3].map(() => new Writer(store, id));
  for (const writer of writers) await writer.write(bytes(id.size));
  assert.deepEqual(await Promise.all(writers.map((writer) => writer.commit())), [true, true, true]);
  assert.equal(given.mock.calls.filter(({ arguments: [name] }) => name === nameOf(id)).length, 1);
  assert.deepEqual(directory.names, [nameOf(id)]);
});

test('files: room is made for want of it alone', async () => {
  const directory = new FakeDirectory();
  const store = new Store(directory);
  store.makeRoom = async () => assert.fail('asked for room');
  directory.getFileHandle = async () => Promise.reject(new DOMException('', 'NotFoundError'));
  assert.equal(await put(store, content('a', 3_000_000), bytes(3_000_000)), false);
});

test('files: a file of the wrong length is not the content, and foreign names are not listed', async () => {
  const directory = new FakeDirectory();
  directory.files.set(nameOf(content('a', 5)), new Blob(['four']));
  directory.files.set('notes.txt', new Blob());
  const store = new Store(directory);
  assert.equal(await store.get(content('a', 5)), undefined);
  assert.deepEqual((await store.list()).map(({ name }) => name), [nameOf(content('a', 5))]);
});

test('files: a quarter of the quota, of which one content may take all', async (t) => {
  const store = new Store(new FakeDirectory());
  assert.equal(await store.limit(), 2.5 * 2 ** 30);
  t.after(() => (quota = 10 * 2 ** 30));
  quota = 8_000_000;
  assert.equal(await put(store, content('a', 2_000_000), bytes(2_000_000)), true);
  assert.equal(await put(store, content('b', 2_000_001), bytes(2_000_001)), false);
  quota = 2 ** 40;
  assert.equal(await store.limit(), 4 * 2 ** 30);
});

test('names', () => {
  const id = content('a', 12);
  const name = nameOf(id);
  for (const suffix of ['', '.part', '.17.x-y.tmp']) {
    assert.deepEqual(parseName(name + suffix), { ...id, name: name + suffix, suffix });
  }
  const long = ['a'.repeat(64), `${'A'.repeat(64)}-1`, `${'a'.repeat(64)}-01`];
  const bad = ['', 'x', ...long, `${name}.parts`, `${name}.crswap`];
  for (const each of bad) assert.equal(parseName(each), undefined, each);
});
