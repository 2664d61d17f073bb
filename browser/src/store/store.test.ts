import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FileStore, MemoryStore, nameOf, parseName } from './store.ts';
import type { Store } from './store.ts';

const content = (fill: string, size: number) => ({ hash: fill.repeat(64), size });
const bytes = (size: number, fill = 1) => new Uint8Array(size).fill(fill);

/** A directory that behaves as the origin private file system does, and fails where it would. */
class FakeDirectory {
  readonly files = new Map<string, Blob>();
  full = false;

  async getFileHandle(name: string, { create = false } = {}) {
    if (!this.files.has(name)) {
      if (!create) throw new DOMException('no such file', 'NotFoundError');
      this.files.set(name, new Blob());
    }
    let own = name;
    const quota = () => {
      if (this.full) throw new DOMException('full', 'QuotaExceededError');
    };
    return {
      getFile: async () => Object.assign(this.files.get(own)!, { lastModified: 0 }),
      createWritable: async () => {
        let written = new Blob();
        let open = true;
        return {
          write: async (data: Blob) => {
            assert.ok(open, 'written after close');
            quota();
            written = new Blob([written, data]);
          },
          close: async () => {
            assert.ok(open, 'closed twice');
            open = false;
            this.files.set(own, written);
          },
          abort: async () => {
            open = false;
          },
        };
      },
      move: async (to: string) => {
        if (this.files.has(to)) throw new DOMException('exists', 'InvalidModificationError');
        this.files.set(to, this.files.get(own)!);
        this.files.delete(own);
        own = to;
      },
    };
  }

  async removeEntry(name: string) {
    if (!this.files.delete(name)) throw new DOMException('no such file', 'NotFoundError');
  }

  async *keys() {
    yield* [...this.files.keys()];
  }
}

const fileStore = (directory: FakeDirectory) => new FileStore(directory as unknown as FileSystemDirectoryHandle);

for (const [name, make] of [
  ['files', () => fileStore(new FakeDirectory())],
  ['memory', () => new MemoryStore()],
] as [string, () => Store][]) {
  test(`${name}: a content is there once it is whole`, async () => {
    const store = make();
    const id = content('a', 3_000_000);
    const writer = (await store.writer(id))!;
    for (let i = 0; i < 3; i++) {
      await writer.write(bytes(1_000_000, i));
      assert.equal(await store.has(id), false);
    }
    assert.ok(await writer.commit());
    await writer.abort();
    const got = new Uint8Array(await (await store.get(id))!.arrayBuffer());
    assert.deepEqual([got.length, got[0], got[1_500_000], got[2_999_999]], [3_000_000, 0, 1, 2]);
    assert.deepEqual(await store.list(), [id]);
    await store.delete(id);
    assert.equal(await store.get(id), undefined);
    assert.deepEqual(await store.list(), []);
  });

  test(`${name}: short, long and dropped writers leave nothing`, async () => {
    const store = make();
    const id = content('b', 10);
    for (const size of [9, 11]) {
      const writer = (await store.writer(id))!;
      await writer.write(bytes(size));
      assert.equal(await writer.commit(), false);
    }
    const dropped = (await store.writer(id))!;
    await dropped.write(bytes(10));
    await dropped.abort();
    assert.equal(await dropped.commit(), false);
    assert.equal(await store.put(id, bytes(9)), false);
    assert.equal(await store.has(id), false);
    assert.deepEqual(await store.list(), []);
  });

  test(`${name}: several writers of a content tolerate each other`, async () => {
    const store = make();
    const id = content('c', 2_500_000);
    const writers = await Promise.all([1, 2, 3].map(async () => (await store.writer(id))!));
    await Promise.all(writers.map((writer) => writer.write(bytes(id.size, 7))));
    assert.deepEqual(await Promise.all(writers.map((writer) => writer.commit())), [true, true, true]);
    assert.deepEqual(await store.list(), [id]);
  });

  test(`${name}: the same hash with another size is another content`, async () => {
    const store = make();
    await store.put(content('d', 1), bytes(1));
    assert.equal(await store.has(content('d', 2)), false);
  });

  test(`${name}: listing is bounded, clearing is complete`, async () => {
    const store = make();
    for (let i = 0; i < 5; i++) await store.put(content('e', i + 1), bytes(i + 1));
    assert.equal((await store.list(3)).length, 3);
    await store.clear();
    assert.deepEqual(await store.list(), []);
  });
}

test('files: a full disk stores nothing, and throws nothing', async () => {
  const directory = new FakeDirectory();
  directory.full = true;
  const store = fileStore(directory);
  assert.equal(await store.put(content('a', 3_000_000), bytes(3_000_000)), false);
  assert.deepEqual([...directory.files.keys()], []);
});

test('files: a file of the wrong length is not the content, and foreign names are not listed', async () => {
  const directory = new FakeDirectory();
  directory.files.set(nameOf(content('a', 5)), new Blob(['four']));
  directory.files.set('notes.txt', new Blob());
  const store = fileStore(directory);
  assert.equal(await store.get(content('a', 5)), undefined);
  assert.deepEqual(await store.list(), [content('a', 5)]);
});

test('files: stale temporary files are swept, contents stay', async () => {
  const directory = new FakeDirectory();
  directory.files.set('tmp-1', new Blob());
  const store = fileStore(directory);
  await store.put(content('a', 1), bytes(1));
  await store.sweep();
  assert.deepEqual([...directory.files.keys()], [nameOf(content('a', 1))]);
});

test('memory: the longest unread content is dropped first', async () => {
  const store = new MemoryStore(10);
  await store.put(content('a', 4), bytes(4));
  await store.put(content('b', 4), bytes(4));
  await store.get(content('a', 4));
  await store.put(content('c', 4), bytes(4));
  assert.deepEqual((await store.list()).map(({ hash }) => hash[0]), ['a', 'c']);
  assert.equal(await store.put(content('d', 11), bytes(11)), false);
});

test('names', () => {
  assert.deepEqual(parseName(nameOf(content('a', 12))), content('a', 12));
  for (const name of ['', 'x', 'a'.repeat(64), `${'A'.repeat(64)}-1`, `${'a'.repeat(64)}-01`, `${'a'.repeat(64)}-1.part`]) {
    assert.equal(parseName(name), undefined);
  }
});
