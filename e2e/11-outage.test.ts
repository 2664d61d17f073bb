/**
 * When the origin is gone, its visitors still have the site: a page that was visited comes from the store, one that was
 * not comes from the other visitors, through the loader. The tracker is elsewhere, and up.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Page } from 'puppeteer-core';
import { launchAll, visitor } from './harness/browsers.ts';
import type { Visitor } from './harness/browsers.ts';
import { origin } from './harness/origin.ts';
import type { Behaviour, Origin, Rule } from './harness/origin.ts';
import { brokenPictures, connected, explained, fetchIn, open, ready, runs, titled } from './harness/page.ts';
import { pack, tracker } from './harness/planktos.ts';
import { frontPictures, galleryLoads, galleryPictures, makeSite, scripts } from './harness/site.ts';
import type { Site } from './harness/site.ts';
import { staticHost } from './harness/static.ts';
import { keeps } from './harness/store.ts';
import { until } from './harness/wait.ts';

const browsers = launchAll({ after });
const once = Object.fromEntries(scripts.map((name) => [name, 1]));

const outages: Array<[string, Rule]> = [
  ['refuses connections', () => ({ refuse: true })],
  ['answers 503', () => ({ status: 503, body: 'overloaded' })],
  ['hangs', () => ({ stall: true })],
  ['has lost the site', () => ({ status: 404, body: 'There is no such site here.' })],
];

const slow: Array<[string, Extract<Behaviour, { delayMs?: number }>]> = [
  ['a page', {}],
  ['a page that is private to the visitor', { headers: { 'cache-control': 'private' } }],
];

for (const [kind, browser] of browsers) {
  describe(kind, () => {
    // No longer in coming than over plain HTTP, though what is sent may not be stored, and so cannot come by the loader.
    for (const [what, behaviour] of slow) {
      test(`the origin is slow, but alive: ${what} opens`, { timeout: 180_000 }, async (t) => {
        const { host } = await packed(t);
        const who = await visitor(t, browser);
        await explained([who], async () => {
          await open(who.page, host.url);
          host.rules = [(path) => (path === 'gallery.html' ? { delayMs: 2500, ...behaviour } : undefined)];
          await who.page.goto(`${host.url}gallery.html`, { waitUntil: 'domcontentloaded' });
          await titled(who.page, 'Gallery');
          assert.deepEqual(await brokenPictures(who.page), []);
        });
      });
    }

    for (const [how, rule] of outages) {
      test(`the origin ${how}: a visited page comes from the store`, { timeout: 180_000 }, async (t) => {
        const { site, host } = await packed(t);
        const who = await visitor(t, browser);
        await explained([who], async () => {
          await open(who.page, host.url);
          await open(who.page, `${host.url}gallery.html`);
          await keeps(who.page, host.url, ['index.html', ...frontPictures, ...galleryLoads]);
          host.rules = [rule];
          for (const path of ['gallery.html', '', 'gallery.html']) {
            await open(who.page, host.url + path);
            assert.deepEqual(await brokenPictures(who.page), []);
            assert.deepEqual(await runs(who.page), once);
          }
          for (const path of [...frontPictures, ...galleryPictures]) {
            assert.equal((await fetchIn(who.page, path)).sha256, site.hash(path), path);
          }
        });
      });

      test(`the origin ${how}: an unvisited page comes from the other visitors`, { timeout: 240_000 }, async (t) => {
        const { site, host } = await packed(t);
        const giver = await visitor(t, browser);
        const taker = await visitor(t, browser);
        await explained([giver, taker], async () => {
          await has(giver, host);
          await open(taker.page, host.url);
          await connected(taker.page);
          host.rules = [rule];
          // The loader page comes first and reloads itself once it has the document.
          await taker.page.goto(`${host.url}gallery.html`, { waitUntil: 'domcontentloaded' });
          await titled(taker.page, 'Gallery');
          assert.deepEqual(await brokenPictures(taker.page), []);
          assert.deepEqual(await runs(taker.page), once);
          for (const path of galleryPictures)
            assert.equal((await fetchIn(taker.page, path)).sha256, site.hash(path), path);
        });
      });
    }

    // A browser that runs no engine while a page waits for its scripts (Firefox) has them before the page.
    test('a page whose scripts nobody had here, and one that has lost them, come from the other visitors', { timeout: 240_000 }, async (t) => {
      const { site, host } = await packed(t, async (its) => {
        await its.write('js/own.js', `window.own = getComputedStyle(document.documentElement).color; // ${'own '.repeat(9000)}`);
        await its.write('css/own.css', `html { color: rgb(4, 5, 6) } /* ${'own '.repeat(9000)} */`);
        const head = '<title>Own</title><link rel="stylesheet" href="css/own.css"><script src="js/own.js"></script>';
        await its.write('own.html', `<!doctype html><head>${head}</head><img src="${galleryPictures[0]}">`);
      });
      const [giver, taker] = [await visitor(t, browser), await visitor(t, browser)];
      await explained([giver, taker], async () => {
        await open(giver.page, host.url);
        await open(giver.page, `${host.url}own.html`);
        assert.deepEqual(await brokenPictures(giver.page), []);
        const own = ['js/own.js', 'css/own.css'];
        await keeps(giver.page, host.url, ['own.html', ...own, galleryPictures[0]!]);
        await open(taker.page, host.url);
        await connected(taker.page);
        host.rules = [() => ({ refuse: true })];
        const arrives = async (): Promise<void> => {
          await titled(taker.page, 'Own');
          assert.equal(await taker.page.evaluate(() => Reflect.get(window, 'own')), 'rgb(4, 5, 6)');
          assert.deepEqual(await brokenPictures(taker.page), []);
        };
        await taker.page.goto(`${host.url}own.html`, { waitUntil: 'domcontentloaded' });
        await arrives();
        await connected(taker.page);
        for (const path of own) await lose(taker.page, site.size(path));
        await taker.page.goto(`${host.url}own.html?again`, { waitUntil: 'domcontentloaded' });
        await arrives();
      });
    });

    test('nobody has it: the visitor is told, and can try again', { timeout: 240_000 }, async (t) => {
      const { host } = await packed(t);
      const who = await visitor(t, browser);
      const outage: Rule = () => ({ status: 503, body: 'overloaded' });
      await explained([who], async () => {
        await open(who.page, host.url);
        host.rules = [outage];
        const answer = await who.page.goto(`${host.url}gallery.html`, { waitUntil: 'load' });
        assert.equal(answer?.status(), 503, 'a page that is not there says so');
        await who.page.waitForSelector('button:not([hidden])', { timeout: 180_000 });
        const said = await who.page.evaluate(() => [document.title, document.querySelector('p')?.textContent]);
        const sorry = 'Neither this site’s server nor another visitor could be reached.';
        assert.deepEqual(said, [sorry, sorry]);
        assert.equal(await who.page.evaluate(() => document.activeElement?.textContent), 'Try again');
        host.rules = [];
        await who.page.evaluate(() => document.querySelector('button')?.click()); // unless it has tried by itself
        await titled(who.page, 'Gallery');
        await ready(who.page);
        assert.deepEqual(await brokenPictures(who.page), []);
        assert.deepEqual(await runs(who.page), once);
      });
    });

    test('a path outside the site is none of ours', { timeout: 180_000 }, async (t) => {
      const { host } = await packed(t);
      const who = await visitor(t, browser);
      await explained([who], async () => {
        await open(who.page, host.url);
        await open(who.page, `${host.url}second.html`);
        host.rules = [() => ({ status: 503, body: 'overloaded' })];
        const answer = await who.page.goto(`${host.url}not-in-the-site`, { waitUntil: 'load' });
        assert.equal(answer?.status(), 503);
        assert.equal(await who.page.evaluate(() => document.body.textContent), 'overloaded');
      });
    });
  });
}

/** A packed site on a plain host, with a tracker that stays up. `add` writes files of the test's own. */
async function packed(t: TestContext, add?: (site: Site) => Promise<void>): Promise<{ site: Site; host: Origin }> {
  const site = await makeSite(t, { pictureSide: 96, large: false });
  await add?.(site);
  await pack(site.dir, '--inject', '--prefer', 'offload', '--tracker', (await tracker(t)).url);
  return { site, host: await origin(t, await staticHost(t, site.dir)) };
}

/** The visitor has been everywhere that the others will want to go. */
async function has(who: Visitor, host: Origin): Promise<void> {
  await open(who.page, host.url);
  await open(who.page, `${host.url}gallery.html`);
  assert.deepEqual(await brokenPictures(who.page), []);
  await keeps(who.page, host.url, galleryLoads);
}

/** Has the browser lose the stored contents of one size. */
async function lose(page: Page, size: number): Promise<void> {
  const remove = async (ending: string): Promise<number> => {
    const all = await (await navigator.storage.getDirectory()).getDirectoryHandle('planktos');
    let count = 0;
    for await (const folder of all.values()) {
      for await (const name of (folder as FileSystemDirectoryHandle).keys()) {
        if (!name.endsWith(ending)) continue;
        await (folder as FileSystemDirectoryHandle).removeEntry(name);
        count++;
      }
    }
    return count;
  };
  const lost = await until(`${size} bytes to be stored`, async () => (await page.evaluate(remove, `-${size}`)) || false);
  assert.equal(lost, 1, `contents of ${size} bytes`);
}
