/**
 * The worker's rarer promises: large sites whose table is sharded, a site's own worker that imports ours, the original
 * Planktos' worker that ours replaces, several sites on one origin, and `?planktos=off` down to the last picture. In
 * both browsers.
 */
import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Page } from 'puppeteer-core';
import { launchAll, visitor } from './harness/browsers.ts';
import { temporaryFolder } from './harness/cleanup.ts';
import { isContent, origin } from './harness/origin.ts';
import type { Origin } from './harness/origin.ts';
import { brokenPictures, connected, controlled, explained, fetchIn, open, stats, titled } from './harness/page.ts';
import { binary, pack, tracker } from './harness/planktos.ts';
import { check } from './harness/process.ts';
import { galleryLoads, galleryPictures, makeLargeSite, makeSite } from './harness/site.ts';
import type { Site } from './harness/site.ts';
import { staticHost } from './harness/static.ts';
import { keeps } from './harness/store.ts';
import { until } from './harness/wait.ts';

const browsers = launchAll({ after });

const pageOf = (title: string, picture = ''): string =>
  `<!doctype html><html><head><title>${title}</title></head><body><h1>${title}</h1>${picture}</body></html>`;

/** A large site on a plain host, with a tracker that stays up. */
async function large(t: TestContext): Promise<{ site: Site; host: Origin }> {
  const site = await makeLargeSite(t);
  await pack(site.dir, '--inject', '--prefer', 'offload', '--tracker', (await tracker(t)).url);
  return { site, host: await origin(t, await staticHost(t, site.dir)) };
}

/** The shards that the origin has been asked for since the last reset. */
const shards = (host: Origin): number =>
  new Set(host.requests.map(({ path }) => path).filter((path) => path.includes('/shards/'))).size;

/** The path of the shard that holds a file of the site. */
async function shardOf(url: string, file: string): Promise<string> {
  const document: unknown = await (await fetch(`${url}planktos/manifest.json`)).json();
  const { shards: all } = document as { shards: Array<[string, string]> };
  return `planktos/shards/${all.findLast(([from]) => from <= file)![1]}.json`;
}

/** Files kept for the site at a path. */
const kept = (page: Page, base: string): Promise<number> =>
  page.evaluate(async (name) => {
    let count = 0;
    try {
      const all = await (await navigator.storage.getDirectory()).getDirectoryHandle('planktos');
      for await (const _ of (await all.getDirectoryHandle(encodeURIComponent(name))).keys()) count++;
    } catch {
      // nothing was ever kept
    }
    return count;
  }, base);

for (const [kind, browser] of browsers) {
  describe(kind, () => {
    test('a large site: a page costs its shards, and works in one never seen', { timeout: 240_000 }, async (t) => {
      const { site, host } = await large(t);
      const { shards: all } = JSON.parse(await (await fetch(`${host.url}planktos/manifest.json`)).text());
      assert.ok(all.length >= 4, `${all?.length} shards`);
      host.reset();
      const who = await visitor(t, browser);
      await explained([who], async () => {
        assert.notEqual(await open(who.page, `${host.url}f00/p0.html`), 'http');
        await open(who.page, `${host.url}f00/p1.html`);
        const first = shards(host);
        assert.ok(first >= 1 && first < all.length / 2, `${first} of ${all.length} shards for two pages of one folder`);
        await open(who.page, `${host.url}f15/p155.html`);
        assert.equal(await who.page.title(), 'p155');
        assert.deepEqual(await brokenPictures(who.page), []);
        assert.ok(shards(host) > first && shards(host) < all.length, `${shards(host)} of ${all.length} shards`);
        assert.equal((await fetchIn(who.page, 'p155.png')).sha256, site.hash('f15/p155.png'));
        assert.equal((await fetchIn(who.page, 'p300.png')).status, 404);
        assert.deepEqual(who.errors.filter((line) => !line.includes('404')), []);
      });
    });

    test('a large site in an outage: shard and page come from peers', { timeout: 300_000 }, async (t) => {
      const { site, host } = await large(t);
      const [giver, taker] = [await visitor(t, browser), await visitor(t, browser)];
      await explained([giver, taker], async () => {
        await open(giver.page, host.url);
        await open(giver.page, `${host.url}f15/p155.html`);
        await keeps(giver.page, host.url, ['f15/p155.html', 'f15/p155.png']);
        const shard = await shardOf(host.url, 'f15/p155.html');
        host.reset();
        await open(taker.page, `${host.url}f00/p0.html`);
        await connected(taker.page);
        assert.ok(shards(host) > 0);
        assert.equal(host.count((each) => each === shard), 0, 'the shard was known before');
        host.rules = [() => ({ status: 503, body: 'overloaded' })];
        await taker.page.goto(`${host.url}f15/p155.html`, { waitUntil: 'domcontentloaded' });
        await titled(taker.page, 'p155');
        assert.deepEqual(await brokenPictures(taker.page), []);
        assert.equal((await fetchIn(taker.page, 'p155.png')).sha256, site.hash('f15/p155.png'));
        assert.equal(host.requests.filter(({ path: each, status }) => each === shard && status === 200).length, 0);
        await until('what peers gave to be counted', async () => (await stats(taker.page)).peers > 0);
      });
    });

    test("a site's own worker imports ours, and answers first what it wants", { timeout: 180_000 }, async (t) => {
      const site = await makeSite(t, { pictureSide: 48, large: false });
      const tag = '<script src="planktos/install.js" data-worker="own.js"></script>';
      const body = `${tag}<img src="img/front-0.png">`;
      for (const name of ['index', 'second']) await site.write(`${name}.html`, pageOf(name, body));
      await site.write(
        'own.js',
        `addEventListener('fetch', (event) => {
           if (event.request.url.endsWith('/answer')) event.respondWith(new Response('own'));
         });
         addEventListener('install', () => skipWaiting());
         addEventListener('activate', (event) => event.waitUntil(clients.claim()));
         importScripts('planktos.sw.min.js');`,
      );
      await pack(site.dir);
      const host = await origin(t, await staticHost(t, site.dir));
      const who = await visitor(t, browser);
      await explained([who], async () => {
        assert.notEqual(await open(who.page, host.url), 'http');
        await open(who.page, `${host.url}second.html`);
        await open(who.page, `${host.url}second.html`);
        assert.ok(await who.page.evaluate(() => navigator.serviceWorker.controller!.scriptURL.endsWith('/own.js')));
        assert.equal((await fetchIn(who.page, `${host.url}answer`)).text, 'own');
        assert.equal((await fetchIn(who.page, 'img/front-0.png')).sha256, site.hash('img/front-0.png'));
        await until('the store to serve', async () => {
          await fetchIn(who.page, 'img/front-0.png');
          return (await stats(who.page)).store > 0;
        });
        // Without Planktos, the worker is the site's alone.
        await check(await binary(), ['remove'], { cwd: site.dir });
        await who.page.evaluate(async () => void (await (await navigator.serviceWorker.ready).update()));
        await until('what was stored to be gone', async () => {
          const names = await who.page.evaluate(() => caches.keys());
          return names.length + (await kept(who.page, '/')) === 0;
        });
        await who.page.goto(`${host.url}second.html`, { waitUntil: 'load' });
        assert.ok(await who.page.evaluate(() => navigator.serviceWorker.controller!.scriptURL.endsWith('/own.js')));
        assert.equal((await fetchIn(who.page, `${host.url}answer`)).text, 'own');
        assert.equal((await fetchIn(who.page, 'img/front-0.png')).sha256, site.hash('img/front-0.png'));
        assert.deepEqual(who.errors, []);
      });
    });

    test('an original worker is replaced, and what it stored is gone', { timeout: 180_000 }, async (t) => {
      const site = await makeSite(t, { pictureSide: 48, large: false });
      await pack(site.dir, '--inject');
      const host = await origin(t, await staticHost(t, site.dir));
      const who = await visitor(t, browser);
      const hash = 'a'.repeat(40);
      const original = `addEventListener('install', () => skipWaiting());
        addEventListener('activate', (event) => event.waitUntil(clients.claim()));
        addEventListener('fetch', (event) => {
          if (new URL(event.request.url).pathname !== '/') return;
          const headers = { 'content-type': 'text/html' };
          event.respondWith(new Response('<!doctype html><title>0.x</title>', { headers }));
        });`;
      const script = { status: 200, body: original, headers: { 'content-type': 'text/javascript' } };
      await explained([who], async () => {
        host.rules = [(path) => (path === 'planktos.sw.min.js' ? script : undefined)];
        await who.page.goto(`${host.url}?planktos=off`, { waitUntil: 'load' });
        await who.page.evaluate(async (name) => {
          await navigator.serviceWorker.register('/planktos.sw.min.js');
          await navigator.serviceWorker.ready;
          await (await caches.open('planktos')).put('/x', new Response('x'));
          await (await caches.open('mine')).put('/x', new Response('x'));
          for (const database of ['planktos', 'planktos-downloaded', name, 'mine']) {
            await new Promise((done) => (indexedDB.open(database).onsuccess = ({ target }) => {
              (target as IDBOpenDBRequest).result.close();
              done(undefined);
            }));
          }
        }, hash);
        await who.page.goto(host.url, { waitUntil: 'load' });
        assert.equal(await who.page.title(), '0.x');
        host.rules = [];
        // The browser looks for a new script after any navigation; a page that has ours does it at once.
        await who.page.goto(`${host.url}second.html`, { waitUntil: 'load' });
        await until('what the original stored to be gone', async () => {
          const names = await who.page.evaluate(async () => [
            ...(await caches.keys()).filter((name) => !name.startsWith('planktos:')),
            ...(await indexedDB.databases()).map(({ name }) => name),
          ]);
          return names.sort().join() === 'mine,mine';
        });
        assert.notEqual(await open(who.page, host.url), 'http');
        assert.equal(await who.page.title(), 'Front');
        assert.deepEqual(await brokenPictures(who.page), []);
      });
    });

    test('two sites under two prefixes of one origin keep apart', { timeout: 180_000 }, async (t) => {
      const parent = await temporaryFolder(t);
      const sites: Record<string, Site> = {};
      for (const name of ['a', 'b']) {
        const site = await makeSite(t, { seed: name, pictureSide: 48, large: false });
        sites[name] = { ...site, dir: join(parent, name) };
        await pack(site.dir, '--inject', '--base', `/${name}/`);
        await cp(site.dir, join(parent, name), { recursive: true });
      }
      const host = await origin(t, await staticHost(t, parent));
      const who = await visitor(t, browser);
      await explained([who], async () => {
        for (const name of ['a', 'b', 'a', 'b']) {
          assert.notEqual(await open(who.page, `${host.url}${name}/gallery.html`), 'http');
          const scope = await who.page.evaluate(async () => (await navigator.serviceWorker.ready).scope);
          assert.equal(scope, `${host.url}${name}/`);
          for (const path of galleryPictures.slice(0, 2)) {
            assert.equal((await fetchIn(who.page, path)).sha256, sites[name]!.hash(path), `${name}/${path}`);
          }
        }
        const pictures = galleryPictures.length;
        for (const base of ['/a/', '/b/']) {
          await until(`the store of ${base} to fill`, async () => (await kept(who.page, base)) > pictures);
        }
        host.rules = [(path) => (path === 'a/planktos/manifest.json' ? { status: 401 } : undefined)];
        await who.page.goto(`${host.url}a/second.html`, { waitUntil: 'load' });
        await until("the first site's store to be empty", async () => (await kept(who.page, '/a/')) === 0);
        assert.ok((await kept(who.page, '/b/')) > pictures);
        host.rules = [];
        await open(who.page, `${host.url}b/gallery.html`);
        assert.deepEqual(await brokenPictures(who.page), []);
        assert.ok((await stats(who.page)).page.store > 0);
      });
    });

    test('?planktos=off: no sub-resource comes from the store either', { timeout: 180_000 }, async (t) => {
      const site = await makeSite(t, { pictureSide: 48, large: false });
      await pack(site.dir, '--inject');
      const host = await origin(t, await staticHost(t, site.dir));
      const who = await visitor(t, browser);
      await explained([who], async () => {
        await open(who.page, host.url);
        await open(who.page, `${host.url}gallery.html`);
        await keeps(who.page, host.url, galleryLoads);
        const watcher = await who.tab();
        await open(watcher, `${host.url}second.html`);
        const before = await stats(watcher);
        host.reset();
        await who.page.goto(`${host.url}gallery.html?planktos=off`, { waitUntil: 'load' });
        assert.equal(await controlled(who.page), true, 'the worker has let the page through, not lost it');
        assert.deepEqual(await brokenPictures(who.page), []);
        for (const path of galleryPictures) {
          assert.equal((await fetchIn(who.page, path, { cache: 'no-cache' })).sha256, site.hash(path));
        }
        // The other tab may have had its icon from the store meanwhile, but nobody had a picture.
        const { store } = await stats(watcher);
        const given = store - before.store;
        assert.ok(given < site.size(galleryPictures[0]!), `${given} bytes from the store`);
        assert.ok(host.count((path) => isContent(path) && galleryPictures.includes(path)) >= galleryPictures.length);
      });
    });
  });
}
