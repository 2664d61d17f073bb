import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { memoryBudgetBytes, openParts } from './part.ts';
import { nameOf, Store } from './store.ts';
import { FakeDirectory } from './testing.test.ts';

const id = (size: number) => ({ hash: 'ab'.repeat(32), size });
const large = id((1 << 20) + 5);

before(() => {
  const estimate = async () => ({ quota: 10 * 2 ** 30, usage: 0 });
  Object.defineProperty(globalThis, 'navigator', { value: { storage: { estimate } } });
});

function files() {
  const directory = new FakeDirectory(true);
  const store = new Store(directory);
  return { directory, store, parts: openParts(store) };
}

test('a large part is a locked file that becomes the content', async () => {
  const { directory, store, parts } = files();
  const part = (await parts.open(large))!;
  assert.equal(part.resumed, false);
  assert.equal(directory.locked.size, 1);
  part.write(1 << 20, Uint8Array.of(1, 2, 3, 4, 5));
  part.note(3, Uint8Array.of(6));
  part.write(0, new Uint8Array(1 << 20).fill(9));
  assert.deepEqual([...part.read((1 << 20) - 1, (1 << 20) + 2)], [9, 1, 2]);
  assert.equal(await store.has(large), false);
  await store.clear();
  assert.equal(await part.finish(), true);
  assert.deepEqual(directory.names, [nameOf(large)]);
  assert.throws(() => part.read(0, 1));
  part.close(false);
  assert.equal(await store.has(large), true);
});

test('a part that was kept goes on, notes included; one that was not is gone', async () => {
  const { directory, parts } = files();
  const first = (await parts.open(large))!;
  first.write(7, Uint8Array.of(1, 2, 3));
  first.note(0, Uint8Array.of(4, 5));
  first.close(true);
  assert.equal(directory.locked.size, 0);
  const second = (await parts.open(large))!;
  assert.equal(second.resumed, true);
  assert.deepEqual([...second.read(7, 10), ...second.read(large.size, large.size + 2)], [1, 2, 3, 4, 5]);
  second.close(false);
  second.close(false);
  await new Promise(setImmediate);
  assert.deepEqual(directory.names, []);
});

test('a part has one owner: the next waits for a while, and then goes without', async (t) => {
  const { directory, parts } = files();
  const owner = (await parts.open(large))!;
  const heir = parts.open(large);
  await new Promise(setImmediate);
  owner.close(true);
  const second = (await heir)!;
  assert.equal(directory.locked.size, 1);
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const huge = id(memoryBudgetBytes + 1);
  const other = (await parts.open(huge))!;
  const refused = parts.open(huge);
  for (let i = 0; i < 10; i++) {
    await new Promise(setImmediate);
    t.mock.timers.tick(50);
  }
  assert.equal(await refused, undefined);
  second.close(false);
  other.close(false);
});

for (const quiet of [false, true]) {
  test(`a full disk refuses the part as a whole, and what goes into it later (${quiet ? 'by sizes' : 'by exceptions'})`, async () => {
    const { directory, store, parts } = files();
    directory.quiet = quiet;
    const huge = id(memoryBudgetBytes + 1);
    directory.room = huge.size - 1;
    assert.equal(await parts.open(huge), undefined);
    await new Promise(setImmediate);
    assert.deepEqual([directory.names, directory.locked.size], [[], 0]);
    directory.room = huge.size;
    const part = (await parts.open(huge))!;
    part.note(0, new Uint8Array(1));
    directory.room = 0;
    assert.throws(() => part.write(huge.size - 5, new Uint8Array(10)), /full|no space/);
    part.close(false);
    assert.equal(await store.has(huge), false);
  });
}

for (const quiet of [false, true]) {
  for (const size of [large.size, 10]) {
    test(`a full disk makes room for ${size} bytes, once (${quiet ? 'by sizes' : 'by exceptions'})`, async () => {
      const { directory, store, parts } = files();
      directory.quiet = quiet;
      directory.room = size - 1;
      const asked: number[] = [];
      store.makeRoom = async (bytes) => {
        asked.push(bytes);
        directory.room++;
      };
      const part = (await parts.open(id(size)))!;
      part.write(0, new Uint8Array(size).fill(3));
      assert.equal(await part.finish(), true);
      assert.deepEqual([directory.names, asked], [[nameOf(id(size))], [size]]);
    });
  }
}

test('a disk too full for a file\'s name makes room, once', async () => {
  const { directory, store, parts } = files();
  const asked: number[] = [];
  store.makeRoom = async (bytes) => void asked.push(bytes);
  const { getFileHandle } = directory;
  directory.getFileHandle = async (...of) => {
    if (of[1]?.create && asked.length < 2) throw new DOMException('full', 'QuotaExceededError');
    return getFileHandle.apply(directory, of);
  };
  const huge = id(memoryBudgetBytes + 1);
  assert.deepEqual([await parts.open(huge), asked.splice(1)], [undefined, []]);
  const part = (await parts.open(huge))!;
  assert.deepEqual([directory.names.length, asked], [1, [huge.size, huge.size]]);
  part.close(false);
});

test('where files have no handles, a part is memory', async () => {
  const directory = new FakeDirectory();
  const store = new Store(directory);
  const part = (await openParts(store).open(large))!;
  part.write(0, new Uint8Array(large.size).fill(3));
  assert.deepEqual(directory.names, []);
  assert.equal(await part.finish(), true);
  assert.deepEqual(directory.names, [nameOf(large)]);
});

test('a small part is stored by a handle; by a stream where that is locked; once there is room', async () => {
  const { directory, store, parts } = files();
  const fill = async (hash: string) => {
    const content = { hash: hash.repeat(64), size: 10 };
    const part = (await parts.open(content))!;
    part.write(0, new Uint8Array(10).fill(7));
    return { content, part };
  };
  const one = await fill('1');
  assert.equal(await one.part.finish(), true);
  const streams = directory.streams;
  assert.deepEqual([directory.names, streams], [[nameOf(one.content)], 0]);

  const two = await fill('2');
  const rival = nameOf(two.content) + '.part';
  const handle = await (await directory.getFileHandle(rival, { create: true })).createSyncAccessHandle!();
  assert.equal(await two.part.finish(), true);
  assert.deepEqual([directory.names.includes(rival), directory.streams], [true, 1]);
  handle.close();

  const three = await fill('3');
  directory.room = 25;
  assert.equal(await three.part.finish(), false);
  assert.equal(directory.names.filter((name) => name.startsWith(three.content.hash)).length, 0);
  assert.deepEqual([...three.part.read(0, 2)], [7, 7]);
  directory.room = 30;
  assert.equal(await three.part.finish(), true);
  assert.equal((await store.get(three.content))?.size, 10);
});

test('memory parts share a budget, which they give back', async () => {
  const store = new Store();
  const parts = openParts(store);
  const half = (await parts.open(id(memoryBudgetBytes / 2)))!;
  assert.ok(half);
  const small = (await parts.open(id(10)))!;
  assert.equal(await parts.open(id(memoryBudgetBytes / 2)), undefined);
  small.write(0, new Uint8Array(10).fill(7));
  small.note(0, new Uint8Array(10));
  assert.deepEqual([...small.read(8, 10)], [7, 7]);
  assert.equal(await small.finish(), true);
  assert.equal(await store.has(id(10)), true);
  small.close(false);
  assert.ok(await parts.open(id(memoryBudgetBytes / 2)));
});
