/** The browser's HTTP cache: pages wait for the origin where it would ask, and have nothing of it that is out of date. */
import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import type { Posted } from '../shared/messages.ts';
import { protocol } from '../shared/messages.ts';
import { Store } from '../store/store.ts';
import { FakeDirectory } from '../store/testing.test.ts';
import { asWorker, idOf, rootOf, rowOf, scope, settled } from './testing.test.ts';

/** What the origin has, by path. */
const files = new Map<string, string>();
/** what the page's path is sent with */
let control = '';
/** what the origin answers waits for */
let answers: Promise<unknown> = Promise.resolve();
let asked: string[] = [];
/** how the page's path was asked for last */
let mode: RequestCache | undefined;
const told: Posted[] = [];

const page = { id: 'page', postMessage: (message: Posted) => void told.push(message) };
const pages: (typeof page)[] = [];

const caches = asWorker({
  async fetch(request, init) {
    const path = new URL(typeof request === 'string' ? request : request.url).pathname.slice(1);
    asked.push(path);
    if (path === 'page.html') mode = init?.cache;
    await answers;
    return new Response(files.get(path)!, { headers: { 'content-type': 'text/html', 'cache-control': control } });
  },
  pages,
});

const { Site } = await import('./site.ts');
const { Keeper } = await import('./keeper.ts');
const { forget } = await import('./content.ts');
const { hear } = await import('./messages.ts');
const { navigation } = await import('./navigation.ts');
type Site = InstanceType<typeof Site>;

beforeEach(() => {
  caches.all.clear();
  mock.timers.reset();
  mock.timers.enable({ apis: ['Date'], now: 1_000_000_000_000 });
});

async function release(n: number): Promise<void> {
  const row = await rowOf('page.html', `page ${n}`);
  const root = rootOf(idOf(n), { files: [row] });
  files.set('planktos/manifest.json', JSON.stringify(root)).set('page.html', `page ${n}`);
}

/** What the last navigation still had to do. */
let done: () => Promise<unknown>;

/** A navigation: what it gives, once it does. */
async function open(site: Site, cache: RequestCache = 'default'): Promise<string> {
  const { signal } = new AbortController();
  const waits: Promise<unknown>[] = [];
  const headers = new Headers();
  const url = `${scope}page.html`;
  const event = {
    request: { url, mode: 'navigate', cache, referrer: '', headers, destination: 'document', signal },
    resultingClientId: 'page',
    clientId: '',
    waitUntil: (promise: Promise<unknown>) => waits.push(promise),
  } as unknown as FetchEvent;
  const text = await (await navigation(site, event, 'page.html')).text();
  done = () => Promise.all(waits);
  return text.replace(/<script.*?<\/script>/s, '');
}

/** Has the store answer only once the origin has. */
function slowly({ store, snapshots }: Site): void {
  const { get } = store;
  store.get = async (content) => {
    await snapshots.settled();
    return get.call(store, content);
  };
}

/** The page greets; what it is told of updates. */
async function greet(site: Site): Promise<unknown[]> {
  pages.push(page);
  told.length = 0;
  const data = { type: 'hello', protocol, canShare: true, loaded: [] };
  await hear(site, { source: page, data, ports: [] } as unknown as ExtendableMessageEvent);
  await settled();
  pages.length = 0;
  return told.filter(({ planktos }) => planktos === 'update').map(({ detail }) => detail);
}

/** A visitor who has seen the page, whose host sent it with this Cache-Control. */
async function visited(value: string): Promise<Site> {
  control = value;
  answers = Promise.resolve();
  await release(1);
  const site = (await Site.open(scope, true))!;
  site.store = new Store(new FakeDirectory());
  site.keeper = new Keeper(site);
  assert.equal(await open(site), 'page 1');
  await done();
  [asked, told.length, mode] = [[], 0, undefined];
  return site;
}

/** Has the origin hold its answers back, until what it gives is called. */
function hold(): () => void {
  let answer!: () => void;
  answers = new Promise<void>((resolve) => (answer = resolve));
  return answer;
}

test('a page that a cache would give without asking does not wait for the manifest, and hears of a release', async () => {
  const site = await visited('max-age=600');
  mock.timers.tick(300_000);
  await release(2);
  const answer = hold();
  assert.equal(await open(site), 'page 1');
  assert.deepEqual([asked, site.clients.get('page')!.snapshot], [['planktos/manifest.json'], idOf(1)]);
  answer();
  await done();
  assert.deepEqual(await greet(site), [{ snapshot: idOf(2) }]);
  assert.deepEqual(await greet(site), [], 'once');
  assert.equal(await open(site), 'page 2', 'the next navigation shows it');
});

test('a manifest that comes before the page is found changes nothing: the page is of one release', async () => {
  const site = await visited('max-age=600');
  mock.timers.tick(300_000);
  await release(2);
  slowly(site);
  assert.equal(await open(site), 'page 1');
  assert.deepEqual([site.snapshots.current!.id, site.clients.get('page')!.snapshot], [idOf(2), idOf(1)]);
  await done();
  assert.deepEqual(await greet(site), [{ snapshot: idOf(2) }]);
});

test('what the manifest says meanwhile does not make an old page a fresh one', async () => {
  const site = await visited('max-age=600');
  mock.timers.tick(601_000);
  await release(2);
  slowly(site);
  assert.equal(await open(site), 'page 2');
});

for (const [why, value, cache, elapsedMs] of [
  ['it has had its time', 'max-age=600', 'default', 601_000],
  ['it is reloaded', 'max-age=600', 'no-cache', 300_000],
  ['caches are to ask', 'max-age=600, no-cache', 'default', 300_000],
  ['caches are told nothing', 'public', 'default', 300_000],
] as const) {
  test(`a page waits for the manifest if ${why}`, async () => {
    const site = await visited(value);
    mock.timers.tick(elapsedMs);
    await release(2);
    const answer = hold();
    let shown: string | undefined;
    const opening = open(site, cache).then((text) => (shown = text));
    await settled();
    assert.deepEqual([shown, asked], [undefined, ['planktos/manifest.json']]);
    answer();
    assert.equal(await opening, 'page 2');
    assert.equal(mode, 'no-cache', 'the HTTP cache may still have page 1');
  });
}

test('what the HTTP cache has of a path is taken, unless it was of another release', async () => {
  const site = await visited('max-age=600');
  const row = site.snapshots.current!.root.files![0]!;
  await forget(site, row);
  await open(site);
  await done();
  assert.equal(mode, undefined, 'as the page asks');
  // Visited before there was a worker, and out of the HTTP cache.
  await site.known.forget(() => true);
  await forget(site, row);
  files.set('page.html', 'page 0');
  assert.equal(await open(site), 'page 0');
  await done();
  assert.deepEqual([mode, site.altered.get('page.html')], [undefined, 1]);
  files.set('page.html', 'page 1');
  assert.equal(await open(site), 'page 1');
  assert.equal(mode, 'no-cache');
});

test('what the host alters is left to it, and to the HTTP cache', async () => {
  const site = await visited('max-age=600');
  await forget(site, site.snapshots.current!.root.files![0]!);
  files.set('page.html', 'page 1, altered');
  for (let visit = 0; visit < 3; visit++) {
    await open(site);
    await done();
    assert.equal(mode, undefined);
  }
  assert.equal(site.altered.get('page.html'), 2);
});

test('in an outage nothing is taken for lasting', async () => {
  const site = await visited('max-age=600');
  site.originState = 'down';
  mock.timers.tick(300_000);
  await release(2);
  assert.equal(await open(site), 'page 2', 'the origin is back');
});
