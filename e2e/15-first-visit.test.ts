/**
 * `--first-visit=peers`: the snippet at the top of a page has even the very first visit served by peers. Where it cannot
 * (no workers, none in time, a tab that cannot remember), the page shows as over plain HTTP, after one reload at most.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'puppeteer-core';
import type { Stats } from '../browser/src/page/planktos.d.ts';
import { kinds, launch, visitor } from './harness/browsers.ts';
import { isContent, origin, quiet } from './harness/origin.ts';
import type { Origin } from './harness/origin.ts';
import { brokenPictures, controlled, explained, holds, ready, runs, stats, titled } from './harness/page.ts';
import { serve } from './harness/planktos.ts';
import { galleryBytes, galleryPictures, makeSite, scripts } from './harness/site.ts';
import { until } from './harness/wait.ts';

const once = Object.fromEntries(scripts.map((name) => [name, 1]));
const documents = (host: Origin): number => host.count((path) => path === 'gallery.html');

/** Opens a page for the first time, and waits until all of it is there: a snippet may load it anew. */
async function arrive(page: Page, url: string): Promise<void> {
  // The navigation that is stopped may count as failed.
  void page.goto(url).catch(() => undefined);
  await titled(page, 'Gallery');
}

for (const kind of kinds) {
  test(`in ${kind}`, async (suite) => {
    const browser = await launch(suite, kind);

    await suite.test('the first visit comes from a peer', { timeout: 180_000 }, async (t) => {
      const site = await makeSite(t, { large: false });
      const host = await origin(t, (await serve(t, site.dir, '--first-visit=peers', '--prefer=offload')).url);
      // As far away as an origin is: what the snippet has the browser give up costs it nothing.
      host.rules.push((path) => (galleryPictures.includes(path) ? { delayMs: 50 } : undefined));
      const needed = galleryBytes(site);
      const first = await visitor(t, browser);
      let second = await visitor(t, browser);
      await explained([first], async () => {
        await arrive(first.page, `${host.url}gallery.html`);
        assert.equal(await ready(first.page), 'peers');
        await holds(first.page, needed);
        const come = async (): Promise<Stats['page']> => {
          await quiet(host, isContent);
          host.reset();
          await arrive(second.page, `${host.url}gallery.html?a=b#front`);
          assert.equal(await ready(second.page), 'peers');
          assert.deepEqual(await brokenPictures(second.page), []);
          await holds(second.page, needed);
          return (await stats(second.page)).page;
        };
        let page = await come();
        // What peers have not begun in time the origin gives, and this machine may be busy: others come.
        for (let tries = 4; kind === 'chrome' && page.peers < needed * 0.9 && tries > 0; tries--) {
          await second.close();
          second = await visitor(t, browser);
          page = await come();
        }
        const sent = host.bytes((path) => galleryPictures.includes(path));
        t.diagnostic(`origin ${sent}, peers ${page.peers} of ${needed} bytes of the first page's pictures`);
        assert.equal(page.origin + page.peers >= needed, true, JSON.stringify(page));
        // Firefox asks for its pictures before it is connected, so how many come from the peer is a matter of timing.
        if (kind === 'chrome') {
          assert.ok(page.peers >= needed * 0.9, `peers gave ${page.peers} of ${needed}: ${JSON.stringify(page)}`);
          assert.ok(sent <= needed * 0.1, `the origin sent ${sent} of ${needed} bytes of pictures`);
        }
        assert.deepEqual(await runs(second.page), once);
        assert.equal(new URL(second.page.url()).search + new URL(second.page.url()).hash, '?a=b#front');
        // Loaded anew under the worker, it comes from the HTTP cache, unless it was given up before it was whole.
        assert.ok([1, 2].includes(documents(host)), `the document was asked for ${documents(host)} times`);
        if (kind === 'chrome') assert.deepEqual(first.errors.concat(second.errors), []);
      });
    });

    await suite.test('reload, links, back and forward', { timeout: 180_000 }, async (t) => {
      const site = await makeSite(t, { large: false });
      const host = await origin(t, (await serve(t, site.dir, '--first-visit=peers')).url);
      const who = await visitor(t, browser);
      await explained([who], async () => {
        await arrive(who.page, `${host.url}gallery.html`);
        // A browser that is slow to start a worker shows the page first.
        await until('the page to be controlled', () => controlled(who.page), { timeoutMs: 45_000 });
        const length = await who.page.evaluate(() => history.length);
        await who.page.reload({ waitUntil: 'load' });
        assert.deepEqual(await runs(who.page), once);
        await Promise.all([who.page.waitForNavigation({ waitUntil: 'load' }), who.page.click('#second')]);
        assert.deepEqual(await runs(who.page), once);
        assert.equal(await who.page.evaluate(() => history.length), length + 1);
        for (const [go, title] of [['goBack', 'Gallery'], ['goForward', 'Second']] as const) {
          await who.page[go]();
          await titled(who.page, title);
          assert.deepEqual(await runs(who.page), once);
        }
        // Firefox reports what a page that is left gives up.
        if (kind === 'chrome') assert.deepEqual(who.errors, []);
      });
    });

    /** What a first visit may meet, and how many documents it then asks for. */
    const hardships: [name: string, documents: number, prepare: (page: Page, host: Origin) => unknown][] = [
      [
        'a worker script that is not there',
        2,
        (_, host) => host.rules.push((path) => (path === 'planktos.sw.min.js' ? { status: 404 } : undefined)),
      ],
      [
        'a registration that hangs',
        2,
        (_, host) => host.rules.push((path) => (path === 'planktos.sw.min.js' ? { stall: true } : undefined)),
      ],
      [
        'a crawler that refuses workers and forgets between loads',
        2,
        (page) =>
          page.evaluateOnNewDocument(() => {
            sessionStorage.clear();
            ServiceWorkerContainer.prototype.register = () => Promise.reject(new Error('no workers here'));
          }),
      ],
      [
        'a worker that never starts, for an agent that forgets between loads',
        2,
        (page) =>
          page.evaluateOnNewDocument(() => {
            sessionStorage.clear();
            ServiceWorkerContainer.prototype.register = () => new Promise(() => {});
          }),
      ],
      [
        'a tab that cannot remember',
        1,
        (page) =>
          page.evaluateOnNewDocument(() => {
            Object.defineProperty(window, 'sessionStorage', {
              get() {
                throw new DOMException('denied', 'SecurityError');
              },
            });
          }),
      ],
      [
        'no service workers',
        1,
        (page) =>
          page.evaluateOnNewDocument(() => {
            delete (Navigator.prototype as { serviceWorker?: unknown }).serviceWorker;
          }),
      ],
      [
        'a visitor who saves data',
        1,
        (page) =>
          page.evaluateOnNewDocument(() => {
            Object.defineProperty(navigator, 'connection', { value: { saveData: true } });
          }),
      ],
    ];
    for (const [name, loads, prepare] of hardships) {
      await suite.test(`the page shows: ${name}`, { timeout: 180_000 }, async (t) => {
        const site = await makeSite(t, { large: false });
        const host = await origin(t, (await serve(t, site.dir, '--first-visit=peers')).url);
        const who = await visitor(t, browser);
        await prepare(who.page, host);
        await explained([who], async () => {
          await arrive(who.page, `${host.url}gallery.html`);
          assert.deepEqual(await brokenPictures(who.page), []);
          assert.deepEqual(await runs(who.page), once);
          assert.equal(documents(host), loads);
        });
      });
    }

    await suite.test('off, the page is plain', { timeout: 180_000 }, async (t) => {
      const site = await makeSite(t, { large: false });
      const host = await origin(t, (await serve(t, site.dir, '--first-visit=peers')).url);
      const who = await visitor(t, browser);
      await explained([who], async () => {
        await arrive(who.page, `${host.url}gallery.html?planktos=off`);
        assert.deepEqual(await runs(who.page), once);
        assert.equal(documents(host), 1);
        assert.equal(await controlled(who.page), false);
      });
    });
  });
}
