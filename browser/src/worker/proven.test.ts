/** A release that is only half there: the one before it stays until a page of the new one has been had whole. */
import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import type { FileRow, Root } from '../shared/manifest.ts';
import { nameOf, Store } from '../store/store.ts';
import { FakeDirectory } from '../store/testing.test.ts';
import { put } from '../store/writer.ts';
import { asWorker, bytes, idOf, rootOf, rowOf, scope, settled, shardOf } from './testing.test.ts';

/** What the origin has, by path; undefined: it is down. */
let files: Map<string, string> | undefined;

const caches = asWorker({
  async fetch(request) {
    const path = new URL(typeof request === 'string' ? request : request.url).pathname.slice(1);
    if (!files) throw new TypeError('the origin is down');
    const body = files.get(path);
    const headers = { 'content-type': path.endsWith('.html') ? 'text/html' : 'text/plain' };
    return new Response(body ?? null, { status: body === undefined ? 404 : 200, headers });
  },
});

const { Site } = await import('./site.ts');
const { Keeper } = await import('./keeper.ts');
const { load } = await import('./loader.ts');
const { navigation } = await import('./navigation.ts');
type Site = InstanceType<typeof Site>;

beforeEach(() => {
  caches.all.clear();
  files = new Map();
  mock.timers.reset();
  mock.timers.enable({ apis: ['Date', 'setTimeout'], now: 1_000_000_000_000 });
});

async function pass(ms: number): Promise<void> {
  mock.timers.tick(ms);
  await settled();
}

/** Lets time pass until something is there. */
async function during<T>(promise: Promise<T>, stepMs: number): Promise<T> {
  let pending = true;
  const done = promise.finally(() => (pending = false));
  while (pending) await pass(stepMs);
  return done;
}

/** A worker that starts on what is stored. */
async function opened(directory: FakeDirectory): Promise<Site> {
  await pass(1000);
  const site = (await Site.open(scope, true))!;
  site.store = new Store(directory);
  site.keeper = new Keeper(site);
  return site;
}

let navigations = 0;
/** Opens a page, and gives what it says; its client is gone afterwards. */
async function visit(site: Site, path: string): Promise<string> {
  const id = `page ${++navigations}`;
  const waits: Promise<unknown>[] = [];
  const { signal } = new AbortController();
  const [url, headers] = [scope + path, new Headers()];
  const event = {
    request: { url, mode: 'navigate', cache: 'reload', referrer: '', headers, destination: 'document', signal },
    resultingClientId: id,
    clientId: id,
    waitUntil: (promise: Promise<unknown>) => waits.push(promise),
  } as unknown as FetchEvent;
  const response = await during(navigation(site, event, path), 1);
  const text = (await response.text()).replace(/<script.*?<\/script>/s, '');
  await during(Promise.all(waits), 1);
  snapshotOf = site.clients.get(id)?.snapshot;
  await pass(5000);
  const loads = response.status === 503;
  const said = loads ? `loader, ${(await during(load(site, event, path), 1000)).status}` : text;
  site.clients.clear();
  return said;
}
/** The snapshot that the page of the last visit is on. */
let snapshotOf: string | undefined;

const stored = async (site: Site, ...rows: FileRow[]): Promise<void> => {
  for (const [, hash, size] of rows) await put(site.store, { hash, size }, new Uint8Array(size));
};
const show = (root: Root): void => void files!.set('planktos/manifest.json', JSON.stringify(root));

/** What a release consists of: a page, its style sheet, and a page that looks the same in every release. */
async function release(n: number) {
  const css = await rowOf('a.css', `style ${n}`);
  const [page, same] = [await rowOf('page.html', `page ${n}`, [0]), await rowOf('same.html', 'same', [0])];
  return { root: rootOf(idOf(n), { files: [css, page, same] }), css, page, same };
}
const upload = (n: number, ...paths: string[]): void => {
  const all = { 'a.css': `style ${n}`, 'page.html': `page ${n}`, 'same.html': 'same' };
  for (const [path, text] of Object.entries(all)) if (paths.includes(path)) files!.set(path, text);
};

/** A visitor who has all of release 1, and sees that the origin shows the manifest of release 2. */
async function halfReleased(...uploaded: string[]) {
  const directory = new FakeDirectory();
  const site = await opened(directory);
  const [first, second] = [await release(1), await release(2)];
  show(first.root);
  upload(1, 'a.css', 'page.html', 'same.html');
  await stored(site, first.css);
  for (const path of ['page.html', 'same.html']) await visit(site, path);
  assert.equal(site.snapshots.proven, idOf(1));
  show(second.root);
  upload(2, ...uploaded);
  return { site, directory, first, second };
}
const names = (...rows: FileRow[]): string[] => rows.map(([, hash, size]) => nameOf({ hash, size })).sort();

test('in an outage after half a release, pages are of the release before it', async () => {
  const { site, directory, first } = await halfReleased();
  assert.equal(await visit(site, 'page.html'), 'page 1', 'what the origin has at that path');
  assert.deepEqual([snapshotOf, site.altered.size], [idOf(1), 0], 'the document decides');
  await site.keeper.sweep();
  assert.deepEqual(directory.names.sort(), names(first.css, first.page, first.same));
  files = undefined;
  for (const worker of [site, await opened(directory)]) {
    for (const [path, text] of [['page.html', 'page 1'], ['same.html', 'same']] as const) {
      assert.equal(await visit(worker, path), text);
      assert.equal(snapshotOf, idOf(1), `${path} goes with the style sheet that is there`);
    }
  }
});

test('once a page of the new release is here whole, the one before it goes', async () => {
  const { site, directory, second } = await halfReleased('page.html');
  assert.equal(await visit(site, 'page.html'), 'page 2');
  assert.deepEqual([...site.snapshots.live.keys()], [idOf(1), idOf(2)], 'its style sheet is missing');
  upload(2, 'a.css');
  await stored(site, second.css);
  assert.equal(await visit(site, 'page.html'), 'page 2');
  assert.deepEqual([[...site.snapshots.live.keys()], site.snapshots.proven], [[idOf(2)], idOf(2)]);
  await site.keeper.sweep();
  assert.deepEqual(directory.names.sort(), names(second.css, second.page, second.same));
});

test('of two half releases in a row, what was whole before both stays', async () => {
  const { site } = await halfReleased();
  await visit(site, 'page.html');
  show((await release(3)).root);
  await visit(site, 'page.html');
  assert.deepEqual([...site.snapshots.live.keys()], [idOf(1), idOf(3)]);
  files = undefined;
  assert.equal(await visit(site, 'page.html'), 'page 1');
});

test('where no page is ever whole, the release before it goes after a day', async () => {
  const { site } = await halfReleased();
  const liveAfter = async (hours: number): Promise<string[]> => {
    await pass(hours * 3_600_000);
    await visit(site, 'page.html');
    return [...site.snapshots.live.keys()];
  };
  for (const hours of [0, 23, 2]) assert.deepEqual(await liveAfter(hours), [idOf(1), idOf(2)]);
  assert.equal(snapshotOf, idOf(1), 'the page that is open lives on it');
  assert.deepEqual(await liveAfter(0), [idOf(2)]);
  assert.equal(snapshotOf, idOf(2), 'whatever the origin has at its path');
});

test('a page that is not stored is asked for in both releases', async () => {
  const { site, first } = await halfReleased();
  await visit(site, 'page.html');
  files = undefined;
  await site.store.delete({ hash: first.page[1], size: first.page[2] });
  const asked: string[] = [];
  site.engines.ask = async ([path, hash]) => {
    asked.push(`${path} ${hash.slice(0, 8)}`);
    if (hash !== first.page[1]) return undefined;
    const parts = [bytes('page 1')];
    return { next: async () => parts.shift(), cancel: () => {} };
  };
  assert.equal(await visit(site, 'page.html'), 'loader, 200');
  assert.equal(new Set(asked).size, 2);
  assert.equal(await visit(site, 'page.html'), 'page 1');
});

/** Peers that have some files of release 1, and what they were asked for. */
function peers(site: Site, ...paths: string[]): string[] {
  const asked: string[] = [];
  const texts = new Map([['page.html', 'page 1'], ['a.css', 'style 1']]);
  site.engines.ask = async ([path]) => {
    asked.push(path);
    const parts = paths.includes(path) ? [bytes(texts.get(path)!)] : [];
    return parts.length ? { next: async () => parts.shift(), cancel: () => {} } : undefined;
  };
  return asked;
}

test('the loader has what runs or styles a document, too, and lets it through if nobody has that', async () => {
  for (const given of [['page.html', 'a.css'], ['page.html']]) {
    const site = await opened(new FakeDirectory());
    const { root, css } = await release(1);
    show(root);
    await site.snapshots.validate();
    files = undefined;
    const asked = peers(site, ...given);
    assert.equal(await visit(site, 'page.html'), 'loader, 200');
    assert.deepEqual([...new Set(asked)], ['page.html', 'a.css']);
    assert.equal(await site.store.has({ hash: css[1], size: css[2] }), given.includes('a.css'));
    assert.equal(await visit(site, 'page.html'), 'page 1');
    files = new Map();
  }
});

test('where a page without its scripts starts no engine, the loader comes first, once', async () => {
  for (const importsLast of [false, true]) {
    const site = await opened(new FakeDirectory());
    const { root, css, page } = await release(1);
    show(root);
    upload(1, 'page.html');
    await visit(site, 'page.html');
    files = undefined;
    await stored(site, css);
    Object.assign(site.turns, { importsLast });
    const asked = peers(site);
    assert.equal(await visit(site, 'page.html'), 'page 1', 'it is here whole');
    await site.store.delete({ hash: css[1], size: css[2] });
    if (importsLast) assert.equal(await visit(site, 'page.html'), 'loader, 200');
    assert.equal(await visit(site, 'page.html'), 'page 1');
    assert.equal(asked.includes('a.css'), importsLast);
    assert.ok(await site.store.has({ hash: page[1], size: page[2] }));
    files = new Map();
  }
});

test('what others have signed is waited for, though the release before it is here', async () => {
  const { site } = await halfReleased();
  files = undefined;
  await site.snapshots.validate();
  await pass(1000);
  await site.snapshots.adopt((await release(2)).root);
  assert.match(await visit(site, 'page.html'), /^loader/);
});

test('of a large site, the tables of the release before it stay', async () => {
  const directory = new FakeDirectory();
  const site = await opened(directory);
  const page = await rowOf('page.html', 'page 1');
  const [shard, document] = await shardOf('', [page]);
  show(rootOf(idOf(1), { shards: [shard] }));
  files!.set('page.html', 'page 1').set(`planktos/shards/${shard[1]}.json`, new TextDecoder().decode(document));
  await visit(site, 'page.html');
  const [later] = await shardOf('', [await rowOf('page.html', 'page 2')]);
  show(rootOf(idOf(2), { shards: [later] }));
  await visit(site, 'page.html');
  await site.keeper.sweep();
  files = undefined;
  assert.equal(await visit(await opened(directory), 'page.html'), 'page 1');
});
