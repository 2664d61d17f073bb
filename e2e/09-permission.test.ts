/**
 * Permission and the way out. Nothing is sent to a tracker or a peer that the visitor has not permitted; a page can be
 * opened without Planktos; a site can be rid of it; and what is private stays so.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { Page } from 'puppeteer-core';
import { launchAll, visitor } from './harness/browsers.ts';
import { isContent, origin } from './harness/origin.ts';
import { brokenPictures, connected, controlled, disconnected, explained, fetchIn } from './harness/page.ts';
import { holds, kept, open, runs, stats } from './harness/page.ts';
import { binary, pack, serve } from './harness/planktos.ts';
import { check } from './harness/process.ts';
import { frontPictures, galleryBytes, galleryPictures, makeSite, scripts } from './harness/site.ts';
import { staticHost } from './harness/static.ts';
import { keeps } from './harness/store.ts';
import { atTracker } from './harness/swarm.ts';
import { until } from './harness/wait.ts';

const browsers = launchAll({ after });
const once = Object.fromEntries(scripts.map((name) => [name, 1]));

/** Makes the page tell which RTCPeerConnections it makes, from before its first script. */
async function watchConnections(page: Page): Promise<() => Promise<number>> {
  await page.evaluateOnNewDocument(() => {
    let made = 0;
    window.RTCPeerConnection = class extends RTCPeerConnection {
      constructor(configuration?: RTCConfiguration) {
        super(configuration);
        Reflect.set(window, 'connectionsMade', ++made);
      }
    };
  });
  return () => page.evaluate(() => (Reflect.get(window, 'connectionsMade') as number | undefined) ?? 0);
}

for (const [kind, browser] of browsers) {
  describe(kind, () => {
    test('mode ask: no connection before the visitor agrees', { timeout: 240_000 }, async (t) => {
      const site = await makeSite(t, { large: false });
      const host = await origin(t, (await serve(t, site.dir, '--mode', 'ask')).url);
      const [first, second] = [await visitor(t, browser), await visitor(t, browser)];
      const made = [await watchConnections(first.page), await watchConnections(second.page)];
      await explained([first, second], async () => {
        for (const { page } of [first, second]) {
          assert.equal(await open(page, host.url), 'worker');
          assert.equal(await open(page, `${host.url}gallery.html`), 'worker');
          assert.deepEqual(await brokenPictures(page), []);
          assert.equal(await page.evaluate(() => window.planktos.consent.state), 'unset');
        }
        assert.equal(host.sockets, 0, 'the tracker was contacted');
        for (const count of made) assert.equal(await count(), 0, 'a peer connection was made');

        await Promise.all([first, second].map(({ page }) => page.evaluate(() => window.planktos.consent.grant())));
        await Promise.all([connected(first.page), connected(second.page)]);
        assert.ok(host.sockets > 0);

        await open(first.page, host.url);
        assert.equal(
          await first.page.evaluate(() => window.planktos.consent.state),
          'granted',
          'the answer is remembered',
        );
        await connected(first.page);
        await first.page.evaluate(() => window.planktos.consent.deny());
        await disconnected(first.page);
      });
    });

    test('mode off: the worker serves, nobody shares', { timeout: 150_000 }, async (t) => {
      const site = await makeSite(t, { large: false });
      const host = await origin(t, (await serve(t, site.dir, '--mode', 'off')).url);
      const who = await visitor(t, browser);
      const made = await watchConnections(who.page);
      await explained([who], async () => {
        await open(who.page, host.url);
        assert.equal(await open(who.page, `${host.url}gallery.html`), 'worker');
        await holds(who.page, galleryBytes(site));
        assert.deepEqual([host.sockets, await made()], [0, 0]);
      });
    });

    test('Global Privacy Control means no sharing', { timeout: 150_000 }, async (t) => {
      const site = await makeSite(t, { large: false });
      const host = await origin(t, (await serve(t, site.dir)).url);
      const who = await visitor(t, browser);
      const made = await watchConnections(who.page);
      await who.page.evaluateOnNewDocument(() => {
        Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', { value: true });
      });
      await explained([who], async () => {
        await open(who.page, host.url);
        assert.equal(await open(who.page, `${host.url}gallery.html`), 'worker');
        // By then an engine that was let would long have asked the tracker.
        await holds(who.page, galleryBytes(site));
        assert.deepEqual([host.sockets, await made()], [0, 0]);
      });
    });

    test('alone, a visitor makes no peer connection', { timeout: 150_000 }, async (t) => {
      const site = await makeSite(t, { large: false });
      const { url } = await serve(t, site.dir);
      const host = await origin(t, url);
      const who = await visitor(t, browser);
      const made = await watchConnections(who.page);
      await explained([who], async () => {
        await open(who.page, host.url);
        await atTracker(who.page, url, 1);
        assert.equal(await made(), 0);
        // The tracker may hear of the next page before it hears that this one has been left.
        await who.page.goto(`${await staticHost(t, site.dir)}css/empty.css`);
        await atTracker(who.page, url, 0);
        await open(who.page, `${host.url}gallery.html`);
        await atTracker(who.page, url, 1);
        await holds(who.page, galleryBytes(site));
        assert.equal(await made(), 0);
      });
    });

    test('?planktos=off opens any page without it', { timeout: 150_000 }, async (t) => {
      const site = await makeSite(t, { pictureSide: 48, large: false });
      const host = await origin(t, (await serve(t, site.dir)).url);
      const who = await visitor(t, browser);
      await explained([who], async () => {
        assert.equal(await open(who.page, `${host.url}?planktos=off`), 'http');
        assert.equal((await kept(who.page)).workers, 0, 'a worker was registered');
        await open(who.page, host.url);
        await open(who.page, `${host.url}second.html`);
        await holds(who.page, site.size(frontPictures[0]!));
        host.reset();
        assert.equal(await open(who.page, `${host.url}second.html?planktos=off`), 'http');
        assert.deepEqual(await runs(who.page), once);
        assert.deepEqual(await brokenPictures(who.page), []);
        assert.equal((await stats(who.page).catch(() => undefined))?.page.store ?? 0, 0);
        assert.deepEqual(who.errors, []);
      });
    });

    test('private and no-store responses are neither stored nor shared', { timeout: 150_000 }, async (t) => {
      const site = await makeSite(t, { pictureSide: 48, large: false });
      const host = await origin(t, (await serve(t, site.dir)).url);
      const who = await visitor(t, browser);
      const secrets: Record<string, string> = { [galleryPictures[0]!]: 'private', [galleryPictures[1]!]: 'no-store' };
      host.rules = [(path) => (path in secrets ? { headers: { 'cache-control': secrets[path] } } : undefined)];
      await explained([who], async () => {
        await open(who.page, host.url);
        await open(who.page, `${host.url}gallery.html`);
        assert.deepEqual(await brokenPictures(who.page), []);
        const others = galleryPictures.filter((path) => !(path in secrets));
        await keeps(who.page, host.url, others);
        const { files } = (await (await fetch(`${host.url}planktos/manifest.json`)).json()) as {
          files: Array<[string, string]>;
        };
        const hashes = new Map(files.map(([path, hash]) => [path, hash]));
        const names = (await kept(who.page)).files.join('\n');
        for (const path of others) assert.ok(names.includes(hashes.get(path)!), `${path} is not stored`);
        for (const path of Object.keys(secrets)) assert.ok(!names.includes(hashes.get(path)!), `${path} is stored`);
        host.reset();
        await open(who.page, `${host.url}gallery.html`);
        for (const path of Object.keys(secrets))
          assert.ok(host.count((each) => each === path) > 0, `${path} came from elsewhere`);
      });
    });

    for (const status of [401, 403]) {
      test(`${status} on the manifest purges what is stored`, { timeout: 150_000 }, async (t) => {
        const site = await makeSite(t, { large: false });
        const host = await origin(t, (await serve(t, site.dir)).url);
        const who = await visitor(t, browser);
        await explained([who], async () => {
          await open(who.page, host.url);
          await open(who.page, `${host.url}gallery.html`);
          await holds(who.page, galleryBytes(site));
          assert.ok((await kept(who.page)).files.length > 0);
          host.rules = [(path) => (path === 'planktos/manifest.json' ? { status } : undefined)];
          await who.page.reload({ waitUntil: 'load' });
          const isEmpty = async (): Promise<boolean> => (await kept(who.page)).files.length === 0;
          await until('the store to be empty', isEmpty, { timeoutMs: 45_000 });
          assert.deepEqual(await brokenPictures(who.page), []);
        });
      });
    }

    test('remove leaves a worker that cleans up, and a page that works', { timeout: 240_000 }, async (t) => {
      const site = await makeSite(t, { pictureSide: 48, large: false });
      await pack(site.dir, '--inject');
      const host = await origin(t, await staticHost(t, site.dir));
      const who = await visitor(t, browser);
      await explained([who], async () => {
        await open(who.page, host.url);
        await open(who.page, `${host.url}gallery.html`);
        await holds(who.page, galleryBytes(site));
        assert.ok((await kept(who.page)).files.length > 0);

        await check(await binary(), ['remove'], { cwd: site.dir });
        await open(who.page, `${host.url}second.html`);
        assert.equal(await who.page.title(), 'Second');
        // It may be gone before it is asked for.
        const update = async (): Promise<unknown> => (await navigator.serviceWorker.getRegistration())?.update();
        await who.page.evaluate(update).catch(() => undefined);
        const isGone = async (): Promise<boolean> => {
          const { files, caches, workers } = await kept(who.page);
          return files.length === 0 && caches.length === 0 && workers === 0;
        };
        await until('the worker and its stores to be gone', isGone, { timeoutMs: 45_000 });
        await who.page.goto(host.url, { waitUntil: 'load' });
        assert.equal(await controlled(who.page), false);
        assert.deepEqual(await runs(who.page), once);
        assert.equal(await who.page.evaluate(() => document.documentElement.outerHTML.includes('install.js')), false);
        assert.equal((await fetchIn(who.page, 'js/classic.js')).sha256, site.hash('js/classic.js'));
        assert.ok(host.count(isContent) > 0);
      });
    });
  });
}
