/**
 * When the origin is gone, its visitors still have the site: a page that was visited comes from the store, one that was
 * not comes from the other visitors, through the loader. The tracker is elsewhere, and up.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Browser } from 'puppeteer-core';
import { kinds, launch, visitor } from './harness/browsers.ts';
import type { Kind, Visitor } from './harness/browsers.ts';
import { origin } from './harness/origin.ts';
import type { Behaviour, Origin, Rule } from './harness/origin.ts';
import { brokenPictures, connected, explained, fetchIn, holds, open, runs } from './harness/page.ts';
import { pack, tracker } from './harness/planktos.ts';
import { frontPictures, galleryPictures, makeSite, scripts } from './harness/site.ts';
import type { Site } from './harness/site.ts';
import { staticHost } from './harness/static.ts';

const browsers: Array<[Kind, Browser]> = [];
for (const kind of kinds) browsers.push([kind, await launch({ after }, kind)]);
const once = Object.fromEntries(scripts.map((name) => [name, 1]));

const outages: Array<[string, Rule]> = [
  ['refuses connections', () => ({ refuse: true })],
  ['answers 503', () => ({ status: 503, body: 'overloaded' })],
  ['hangs', () => ({ stall: true })],
];

const slow: Array<[string, Extract<Behaviour, { delayMs?: number }>]> = [
  ['a page', {}],
  ['a page that is private to the visitor', { headers: { 'cache-control': 'private' } }],
];

for (const [kind, browser] of browsers) {
  describe(kind, () => {
    // No longer in coming than over plain HTTP, though what is sent may not be stored, and so cannot come by the loader.
    for (const [what, behaviour] of slow) {
      test(`the origin is slow, but alive: ${what} opens`, { timeout: 60_000 }, async (t) => {
        const { host } = await packed(t);
        const who = await visitor(t, browser);
        await explained([who], async () => {
          await open(who.page, host.url);
          host.rules = [(path) => (path === 'gallery.html' ? { delayMs: 2500, ...behaviour } : undefined)];
          await who.page.goto(`${host.url}gallery.html`, { waitUntil: 'domcontentloaded' });
          await who.page.waitForFunction(() => document.title.startsWith('Gallery') && document.readyState === 'complete', {
            polling: 100,
            timeout: 30_000,
          });
          assert.deepEqual(await brokenPictures(who.page), []);
        });
      });
    }

    for (const [how, rule] of outages) {
      test(`the origin ${how}: a visited page comes from the store`, { timeout: 60_000 }, async (t) => {
        const { site, host } = await packed(t);
        const who = await visitor(t, browser);
        await explained([who], async () => {
          await open(who.page, host.url);
          await open(who.page, `${host.url}gallery.html`);
          await holds(
            who.page,
            galleryPictures.reduce((total, path) => total + site.size(path), 0),
          );
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

      test(`the origin ${how}: an unvisited page comes from the other visitors`, { timeout: 90_000 }, async (t) => {
        const { site, host } = await packed(t);
        const giver = await visitor(t, browser);
        const taker = await visitor(t, browser);
        await explained([giver, taker], async () => {
          await has(giver, site, host);
          await open(taker.page, host.url);
          await connected(taker.page);
          host.rules = [rule];
          // The loader page comes first and reloads itself once it has the document.
          await taker.page.goto(`${host.url}gallery.html`, { waitUntil: 'domcontentloaded' });
          await taker.page.waitForFunction(() => document.title === 'Gallery' && document.readyState === 'complete', {
            polling: 100,
            timeout: 45_000,
          });
          assert.deepEqual(await brokenPictures(taker.page), []);
          assert.deepEqual(await runs(taker.page), once);
          for (const path of galleryPictures)
            assert.equal((await fetchIn(taker.page, path)).sha256, site.hash(path), path);
        });
      });
    }

    test(
      'nobody has it: the visitor is told, and a path outside the site is none of ours',
      { timeout: 60_000 },
      async (t) => {
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
      },
    );
  });
}

/** A packed site on a plain host, with a tracker that stays up. */
async function packed(t: TestContext): Promise<{ site: Site; host: Origin }> {
  const site = await makeSite(t, { pictureSide: 96, large: false });
  await pack(site.dir, '--inject', '--prefer', 'offload', '--tracker', (await tracker(t)).url);
  return { site, host: await origin(t, await staticHost(t, site.dir)) };
}

/** The visitor has been everywhere that the others will want to go. */
async function has(who: Visitor, site: Site, host: Origin): Promise<void> {
  await open(who.page, host.url);
  await open(who.page, `${host.url}gallery.html`);
  assert.deepEqual(await brokenPictures(who.page), []);
  const pages = ['gallery.html', 'js/module.js'].reduce((total, path) => total + site.size(path), 0);
  await holds(who.page, pages + galleryPictures.reduce((total, path) => total + site.size(path), 0));
}
