/** What a release and a full disk leave in the store. */
import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import type { FileRow, Root, ShardRow } from '../shared/manifest.ts';
import { protocol, type ToEngine } from '../shared/messages.ts';
import { nameOf, Store } from '../store/store.ts';
import { FakeDirectory } from '../store/testing.test.ts';
import { put } from '../store/writer.ts';
import { asWorker, bytes, idOf, rootOf as rootOfId, rowOf as row, scope, shardOf } from './testing.test.ts';

const hours = 3_600_000;

/** What the origin has: by path, its bytes. */
const files = new Map<string, Uint8Array<ArrayBuffer>>();
const asked: string[] = [];
let quota = 0;
/** The browser's file system, where the site's store is this; otherwise there is none. */
let disk: FakeDirectory | undefined;
const folder = { getDirectoryHandle: async () => disk };
Object.assign(globalThis, { FileSystemFileHandle: class { createWritable(): void {} } });

const caches = asWorker({
  async fetch(url) {
    const path = new URL(String(url)).pathname.slice(1);
    asked.push(path);
    const data = files.get(path);
    return new Response(data ?? null, { status: data ? 200 : 404 });
  },
  quota: () => quota,
  getDirectory: async () => ({ getDirectoryHandle: async () => folder }) as never,
});

const { Site } = await import('./site.ts');
const { Keeper } = await import('./keeper.ts');
type Site = InstanceType<typeof Site>;

beforeEach(() => {
  caches.all.clear();
  files.clear();
  asked.length = 0;
  quota = 10 * 2 ** 30;
  disk = undefined;
  mock.timers.reset();
  mock.timers.enable({ apis: ['Date', 'setTimeout'], now: 1_000_000 * hours });
});

/** A site at work on a fresh store, and what its engines hear. */
async function opened(directory = new FakeDirectory()) {
  // What a former worker had to write is written.
  mock.timers.tick(1000);
  await new Promise(setImmediate);
  const site = (await Site.open(scope, true))!;
  site.store = new Store(directory);
  site.keeper = new Keeper(site);
  const told: ToEngine[] = [];
  site.engines.tell = (message) => void told.push(message);
  return { site, directory, told };
}

let snapshots = 0;
const rootOf = (table: Pick<Root, 'files' | 'shards'>): Root => rootOfId(idOf(++snapshots), table);

/** The origin shows a snapshot, and the worker takes it up. */
async function release(site: Site, root: Root): Promise<void> {
  files.set('planktos/manifest.json', bytes(JSON.stringify(root)));
  await site.snapshots.validate();
  assert.equal(site.snapshots.current?.id, root.snapshot);
}

async function store(site: Site, ...rows: FileRow[]): Promise<void> {
  for (const [path, hash, size] of rows) assert.ok(await put(site.store, { hash, size }, new Uint8Array(size)), path);
}
const names = (...rows: FileRow[]): string[] => rows.map(([, hash, size]) => nameOf({ hash, size })).sort();

test('a release leaves what it names, under whatever path, and nothing else', async () => {
  const { site, directory, told } = await opened();
  const [same, moved, gone] = [await row('same', '1'), await row('old', '2'), await row('gone', '3')];
  const first = rootOf({ files: [gone, moved, same] });
  await release(site, first);
  await store(site, same, moved, gone);
  const learnt = { hash: same[1], size: same[2], headers: [] };
  for (const path of ['same', 'gone']) await site.known.set(path, learnt);
  await release(site, rootOf({ files: [['new', moved[1], moved[2], 0], same] }));
  assert.equal(site.snapshots.remove(first.snapshot), true);
  await site.keeper.sweep();
  assert.deepEqual(directory.names.sort(), names(same, moved));
  assert.deepEqual(told.filter(({ type }) => type === 'drop' || type === 'forget'), [
    { type: 'forget', id: first.snapshot },
    { type: 'drop', content: { hash: gone[1], size: gone[2], piece: 0 } },
  ]);
  assert.deepEqual(await Promise.all([site.known.get('same'), site.known.get('gone')]), [learnt, undefined]);
});

test('while a page lives on the old snapshot, its contents stay', async () => {
  const { site, directory } = await opened();
  const old = await row('a', '1');
  const first = rootOf({ files: [old] });
  await release(site, first);
  await store(site, old);
  site.clients.set('page', { snapshot: first.snapshot, atMs: Date.now(), base: site.totals });
  await release(site, rootOf({ files: [await row('a', '2')] }));
  assert.equal(site.snapshots.remove(first.snapshot), false);
  await site.keeper.sweep();
  assert.deepEqual(directory.names, names(old));
});

/** The document of a shard, at the origin. */
async function shard(from: string, rows: FileRow[]): Promise<ShardRow> {
  const [row, document] = await shardOf(from, rows);
  files.set(`planktos/shards/${row[1]}.json`, document);
  files.set(`planktos/${row[1]}`, document);
  return row;
}

test('of a large site that was released while no worker ran, only what the new shards name stays', async () => {
  const { site, directory } = await opened();
  const [same, gone, far] = [await row('b/same', '1'), await row('a/gone', '2'), await row('c/far', '3')];
  const [a, b, c] = [await shard('', [gone]), await shard('b', [same]), await shard('c', [far])];
  const first = rootOf({ shards: [a, b, c] });
  await release(site, first);
  for (const path of ['a/gone', 'b/same']) assert.ok(await site.snapshots.row(site.snapshots.current!, path));
  await store(site, same, gone);
  // The next worker knows the old snapshot by its record alone.
  const { site: next } = await opened(directory);
  const changed = await shard('b', [await row('b/new', '4'), same]);
  asked.length = 0;
  await release(next, rootOf({ shards: [await shard('', [await row('a/other', '5')]), changed, c] }));
  assert.equal(next.snapshots.remove(first.snapshot), true);
  await next.keeper.sweep();
  const documents = next.snapshots.current!.root.shards!.map(([from, ...rest]): FileRow => [from, ...rest]);
  assert.deepEqual(directory.names.sort(), names(same, documents[0]!, documents[1]!).sort());
  assert.ok(asked.every((path) => !path.includes(c[1])), 'a shard was asked for that nothing stored is in');
  const { site: last } = await opened(directory);
  assert.deepEqual([...last.snapshots.live.keys()], [next.snapshots.current!.id]);
});

for (const [what, spoil] of [
  ['the origin is down', (site: Site) => (site.originState = 'down')],
  ['there is no manifest', (site: Site) => (site.snapshots.current = undefined)],
] as const) {
  test(`nothing is taken for unnamed while ${what}`, async () => {
    const { site, directory } = await opened();
    await release(site, rootOf({ files: [await row('a', '1')] }));
    const other = await row('b', '2');
    await store(site, other);
    spoil(site);
    await site.keeper.sweep();
    assert.deepEqual(directory.names, names(other));
  });
}

test('a full disk makes room by what was unused the longest, remembered by the next worker', async () => {
  const { site, directory } = await opened();
  const rows = await Promise.all(['1', '22', '333', '444'].map((value, i) => row(`f${i}`, value)));
  await release(site, rootOf({ files: rows }));
  const [one, two, three, four] = rows as [FileRow, FileRow, FileRow, FileRow];
  await store(site, one, two, three);
  for (const [, hash, size] of [two, one]) {
    void site.keeper.used({ hash, size });
    await new Promise(setImmediate);
    mock.timers.tick(2 * hours);
  }
  await site.keeper.used({ hash: three[1], size: three[2] });
  mock.timers.tick(2000);
  await new Promise(setImmediate);
  directory.room = 6;
  const { site: next } = await opened(directory);
  // Unlike the others it has not been used.
  assert.equal(await put(next.store, { hash: four[1], size: four[2] }, new Uint8Array(four[2])), true);
  assert.deepEqual(directory.names.sort(), names(three, four));
});

test('what an engine is writing makes no room, and something else goes', async () => {
  const { site, directory } = await opened();
  const rows = await Promise.all(['1', '22', '333'].map((value, i) => row(`f${i}`, value)));
  await release(site, rootOf({ files: rows }));
  const [one, two, three] = rows as [FileRow, FileRow, FileRow];
  await store(site, one, two);
  for (const [, hash, size] of [one, two]) await site.keeper.used({ hash, size });
  mock.timers.tick(2 * hours);
  const [part] = names(three).map((name) => `${name}.part`) as [string];
  directory.files.set(part, new Blob());
  directory.locked.set(part, 'handle');
  directory.room = 3;
  await site.store.makeRoom(three[2]);
  assert.deepEqual(directory.names, [part]);
});

test('what was given a moment ago is not deleted while a response may be reading it', async () => {
  const { site, directory } = await opened();
  const rows = await Promise.all(['1', '22', '333'].map((value, i) => row(`f${i}`, value)));
  await release(site, rootOf({ files: rows }));
  const [one, two, three] = rows as [FileRow, FileRow, FileRow];
  await store(site, one, two);
  await site.keeper.used({ hash: two[1], size: two[2] });
  mock.timers.tick(2 * hours);
  await site.keeper.used({ hash: one[1], size: one[2] });
  directory.room = 4;
  assert.equal(await put(site.store, { hash: three[1], size: three[2] }, new Uint8Array(three[2])), true);
  assert.deepEqual(directory.names.sort(), names(one, three));
  await site.keeper.used({ hash: three[1], size: three[2] });
  mock.timers.tick(60_000);
  assert.equal(await put(site.store, { hash: two[1], size: two[2] }, new Uint8Array(two[2])), false);
  assert.deepEqual(directory.names.sort(), names(one, three));
  mock.timers.tick(6 * 60_000);
  assert.equal(await put(site.store, { hash: two[1], size: two[2] }, new Uint8Array(two[2])), true);
});

test('the limit is kept by sweeps, made once enough was written, after a page has had its time', async () => {
  const { site, directory } = await opened();
  const rows = await Promise.all(['1', '22', '333'].map((value, i) => row(`f${i}`, value)));
  await release(site, rootOf({ files: rows }));
  await store(site, ...rows);
  quota = 16;
  site.snapshots.proven = site.snapshots.current!.id;
  await site.keeper.tidy();
  assert.equal(directory.names.length, 3);
  await site.keeper.used({ hash: rows[2]![1], size: 3 });
  site.count('origin', 65 << 20);
  const tidied = site.keeper.tidy();
  for (let i = 0; i < 10; i++) await new Promise(setImmediate);
  assert.equal(directory.names.length, 3);
  mock.timers.tick(5000);
  await tidied;
  assert.deepEqual(directory.names, names(rows[2]!));
});

test('what a worker of another protocol stored stays, until a page shows that nobody names it', async () => {
  const [same, gone] = [await row('same', '1'), await row('gone', '2')];
  const { site: former, directory } = await opened();
  await store(former, same, gone);
  await former.records.set('state', { ...former.persistent(), protocol: protocol + 1 });
  disk = directory;
  await Site.open(scope, true);
  // What is to be done is not forgotten when that worker is stopped.
  const site = (await Site.open(scope, true))!;
  assert.deepEqual(directory.names.sort(), names(same, gone));
  await release(site, rootOf({ files: [same] }));
  const tidied = site.keeper.tidy();
  await new Promise(setImmediate);
  mock.timers.tick(5000);
  await tidied;
  assert.deepEqual(directory.names, names(same));
});
