/** A page that was there before the worker, and the snapshot that it lives on: its document decides. */
import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import type { Posted } from '../shared/messages.ts';
import { protocol } from '../shared/messages.ts';
import { asWorker, idOf, rootOf, rowOf, scope, settled } from './testing.test.ts';

/** What the origin has, and the browser's HTTP cache, by path. */
const files = new Map<string, string>();
const cache = new Map<string, string>();
const headers: Record<string, string> = { 'content-type': 'text/html' };
const asked: string[] = [];
const told: Posted[] = [];
const page = {
  id: 'page',
  url: `${scope}page.html`,
  visibilityState: 'visible',
  postMessage: (message: Posted) => void told.push(message),
};
const caches = asWorker({
  async fetch(request, init) {
    const path = String(request).slice(scope.length);
    const cached = init?.cache === 'only-if-cached';
    if (!cached && path !== manifest) asked.push(path);
    const body = (cached ? cache : files).get(path);
    if (body === undefined && cached) throw new TypeError('not in the cache');
    return new Response(body, { status: body === undefined ? 404 : 200, headers });
  },
  pages: [page],
});
const { Site } = await import('./site.ts');
const { hear } = await import('./messages.ts');

const manifest = 'planktos/manifest.json';
const style = await rowOf('style.css', 'style');
const document = (release: number): string => `<!doctype html>${release}`;
let site: InstanceType<typeof Site>;

/** The origin's release, whose document is that of another release where that is said. */
async function release(n: number, of = n): Promise<void> {
  files.set('page.html', document(of));
  const page = await rowOf('page.html', document(of));
  files.set(manifest, JSON.stringify(rootOf(idOf(n), { files: [page, style] })));
  await site.snapshots.validate();
  mock.timers.tick(1000);
}

/** The page greets; what it is told of snapshots. */
async function greet(loaded: string[] = []): Promise<string[]> {
  told.length = asked.length = 0;
  const data = { type: 'hello', protocol, canShare: true, loaded };
  await hear(site, { source: page, data, ports: [] } as unknown as ExtendableMessageEvent);
  await settled();
  return told.flatMap((message) => {
    const { planktos, detail } = message as Posted & { detail: { snapshot: string } };
    return /welcome|update/.test(planktos) ? `${planktos} ${Number(detail.snapshot)}` : [];
  });
}

beforeEach(async () => {
  for (const each of [caches.all, files, cache]) each.clear();
  delete headers['cache-control'];
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000_000_000 });
  site = (await Site.open(scope, true))!;
});

test("the newest release's document: that is the page's, and what it loaded is kept", async () => {
  await release(1);
  cache.set('page.html', document(1));
  cache.set('style.css', 'style');
  assert.deepEqual(await greet([`${scope}style.css`]), ['welcome 1']);
  assert.ok(await site.store.has({ hash: style[1], size: style[2] }));
  assert.deepEqual(asked, []);
});

test('a document that is stored already is counted once', async () => {
  await release(1);
  cache.set('page.html', document(1));
  for (let page = 0; page < 2; page++) {
    site.clients.clear();
    assert.deepEqual(await greet(), ['welcome 1']);
    assert.equal(site.totals.origin, document(1).length);
  }
});

test('the document of an earlier release that is known: the page lives on that, and hears of the update', async () => {
  await release(1);
  site.clients.set('other', { snapshot: idOf(1), atMs: Date.now(), base: site.totals });
  await release(2);
  cache.set('page.html', document(1));
  assert.deepEqual(await greet(), ['welcome 2', 'welcome 1', 'update 2']);
  assert.deepEqual([site.clients.get('page')!.snapshot, asked], [idOf(1), []]);
});

test('the page greets anew when another tab has the newer document in the cache: it is decided', async () => {
  await release(1);
  site.clients.set('other', { snapshot: idOf(1), atMs: Date.now(), base: site.totals });
  await release(2);
  cache.set('page.html', document(1));
  await greet();
  cache.set('page.html', document(2));
  assert.deepEqual(await greet(), ['welcome 1']);
});

test('a document that several releases have is of the newest', async () => {
  await release(1);
  site.clients.set('other', { snapshot: idOf(1), atMs: Date.now(), base: site.totals });
  await release(2, 1);
  cache.set('page.html', document(1));
  assert.deepEqual(await greet(), ['welcome 2']);
});

test('the document of a release that nobody knows any more: the page is told of the update', async () => {
  await release(2);
  cache.set('page.html', document(1));
  assert.deepEqual(await greet(), ['welcome 2', 'update 2']);
  assert.deepEqual(asked, ['page.html']);
});

test('a document that the host alters on the way, or has not uploaded yet, is no reason to reload', async () => {
  await release(2);
  files.set('page.html', document(1));
  cache.set('page.html', document(1));
  assert.deepEqual(await greet(), ['welcome 2']);
});

test('the engine of a page that is gone without a word does not keep another from having one', async () => {
  await release(1);
  await greet();
  const settles = { source: page, data: { type: 'settled' }, ports: [] } as unknown as ExtendableMessageEvent;
  for (const says of [greet, () => hear(site, settles)]) {
    const [port, bye] = [new MessageChannel(), new MessageChannel()];
    site.engines.attach('gone', port.port1, bye.port1);
    told.length = 0;
    await says();
    await settled();
    const acts = told.flatMap(({ planktos, detail }) => (planktos === 'engine' ? detail.act : []));
    assert.deepEqual([site.engines.size, acts], [0, ['run']]);
    bye.port1.close();
  }
});

test('what is not in the cache, private, or no page of the site decides nothing, and is not asked for', async () => {
  await release(2);
  assert.deepEqual(await greet(), ['welcome 2']);
  site.clients.clear();
  cache.set('page.html', document(1));
  headers['cache-control'] = 'private';
  assert.deepEqual(await greet(), ['welcome 2']);
  site.clients.clear();
  page.url = `${scope}elsewhere`;
  assert.deepEqual(await greet(), ['welcome 2']);
  assert.deepEqual(asked, []);
});

test('however long the browser takes to find a page, it is told last of the connections that there are', async () => {
  await release(1);
  await greet();
  const clients = Reflect.get(globalThis.self, 'clients') as { get(id: string): Promise<unknown> };
  const { get } = clients;
  const found: (() => void)[] = [];
  clients.get = (id) => new Promise((resolve) => found.push(() => resolve(get(id))));
  try {
    const said = greet();
    await settled();
    const [port, bye] = [new MessageChannel(), new MessageChannel()];
    site.engines.attach('page', port.port1, bye.port1);
    port.port2.postMessage({ type: 'status', connections: 1 });
    for (let turn = 0; turn < 5; turn++) await settled();
    for (const find of found) find();
    await said;
    await settled();
    const counts = told.flatMap(({ planktos, detail }) => (planktos === 'status' ? detail.connections : []));
    assert.equal(counts.at(-1), 1);
    for (const { port1 } of [port, bye]) port1.close();
  } finally {
    clients.get = get;
  }
});
