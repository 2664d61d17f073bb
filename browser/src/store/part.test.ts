import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memoryBudgetBytes, openParts, sweepParts } from './part.ts';
import { FileStore, MemoryStore, nameOf } from './store.ts';

const id = (size: number) => ({ hash: 'ab'.repeat(32), size });

/** A directory of the origin private file system with synchronous handles, which polices their locks. */
class FakeDirectory {
  readonly files = new Map<string, Uint8Array<ArrayBuffer>>();
  readonly locked = new Set<string>();
  room = Infinity;

  async *keys(): AsyncGenerator<string> {
    yield* this.files.keys();
  }

  async removeEntry(name: string): Promise<void> {
    if (this.locked.has(name)) throw new Error('NoModificationAllowedError');
    if (!this.files.delete(name)) throw new Error('NotFoundError');
  }

  async getFileHandle(first: string, { create = false } = {}): Promise<unknown> {
    let name = first;
    if (!this.files.has(name) && !create) throw new Error('NotFoundError');
    if (!this.files.has(name)) this.files.set(name, new Uint8Array(0));
    const bytes = () => this.files.get(name)!;
    return {
      getFile: async () => new Blob([bytes()]),
      move: async (to: string) => {
        assert.ok(!this.locked.has(name), 'moved while a handle is open');
        this.files.set(to, bytes());
        this.files.delete(name);
        name = to;
      },
      createSyncAccessHandle: async () => {
        if (this.locked.has(name)) throw new Error('NoModificationAllowedError');
        this.locked.add(name);
        return {
          read: (into: Uint8Array<ArrayBuffer>, { at }: { at: number }) => {
            const part = bytes().subarray(at, at + into.length);
            into.set(part);
            return part.length;
          },
          write: (from: Uint8Array<ArrayBuffer>, { at }: { at: number }) => {
            if (at + from.length > this.room) return 0;
            const grown = new Uint8Array(Math.max(bytes().length, at + from.length));
            grown.set(bytes());
            grown.set(from, at);
            this.files.set(name, grown);
            return from.length;
          },
          flush: () => {},
          close: () => this.locked.delete(name),
        };
      },
    };
  }

  get handle(): FileSystemDirectoryHandle {
    return this as unknown as FileSystemDirectoryHandle;
  }
}

const large = id((1 << 20) + 5);

test('a large part is a locked file that becomes the content', async () => {
  const directory = new FakeDirectory();
  const store = new FileStore(directory.handle);
  const part = (await openParts(store, directory.handle).open(large))!;
  assert.equal(directory.locked.size, 1);
  part.write(1 << 20, Uint8Array.of(1, 2, 3, 4, 5));
  part.write(0, new Uint8Array(1 << 20).fill(9));
  assert.deepEqual([...part.read((1 << 20) - 1, (1 << 20) + 2)], [9, 1, 2]);
  assert.equal(await store.has(large), false);
  await sweepParts(directory.handle);
  assert.equal(await part.finish(), true);
  assert.deepEqual([...directory.files.keys()], [nameOf(large)]);
  assert.throws(() => part.read(0, 1));
  part.discard();
  assert.equal(await store.has(large), true);
});

test('two parts of one content are two files; discarding deletes', async () => {
  const directory = new FakeDirectory();
  const parts = openParts(new FileStore(directory.handle), directory.handle);
  const [a, b] = [(await parts.open(large))!, (await parts.open(large))!];
  assert.equal(directory.files.size, 2);
  a.discard();
  b.discard();
  b.discard();
  await new Promise(setImmediate);
  assert.deepEqual([directory.files.size, directory.locked.size], [0, 0]);
});

test('a full disk is an error where it is written', async () => {
  const directory = new FakeDirectory();
  directory.room = 1000;
  const part = (await openParts(new FileStore(directory.handle), directory.handle).open(large))!;
  assert.throws(() => part.write(900, new Uint8Array(200)), /no space/);
});

test('sweeping deletes what is left behind, and nothing else', async () => {
  const directory = new FakeDirectory();
  for (const name of ['x.part', nameOf(large), 'tmp-1']) directory.files.set(name, new Uint8Array(1));
  directory.files.set('y.part', new Uint8Array(1));
  directory.locked.add('y.part');
  await sweepParts(directory.handle);
  assert.deepEqual([...directory.files.keys()], [nameOf(large), 'tmp-1', 'y.part']);
});

test('memory parts share a budget, which they give back', async () => {
  const store = new MemoryStore();
  const parts = openParts(store, undefined);
  const half = (await parts.open(id(memoryBudgetBytes / 2)))!;
  assert.ok(half);
  const small = (await parts.open(id(10)))!;
  assert.equal(await parts.open(id(memoryBudgetBytes / 2)), undefined);
  small.write(0, new Uint8Array(10).fill(7));
  assert.deepEqual([...small.read(8, 10)], [7, 7]);
  assert.equal(await small.finish(), true);
  assert.equal(await store.has(id(10)), true);
  small.discard();
  assert.ok(await parts.open(id(memoryBudgetBytes / 2)));
});
