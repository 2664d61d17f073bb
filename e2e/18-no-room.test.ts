/**
 * The browser has no room for the site: what fills it is the page's own. Pages are right all the same, from peers and
 * from the origin; nothing half-written counts as stored; and once there is room again, contents are kept again.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { Page } from 'puppeteer-core';
import { kinds, launch, visitor } from './harness/browsers.ts';
import { origin } from './harness/origin.ts';
import { brokenPictures, connected, explained, fetchIn, open, stats } from './harness/page.ts';
import { serve } from './harness/planktos.ts';
import { galleryPictures, makeSite, wav } from './harness/site.ts';
import { storedPaths } from './harness/store.ts';
import { until } from './harness/wait.ts';

const mebibyte = 1 << 20;
const roomBytes = 40 * mebibyte;
/** What Firefox keeps for all sites, of which one may have a fifth. */
const prefs = { 'dom.quotaManager.temporaryStorage.fixedLimit': (5 * roomBytes) / 1024 };
const long = 'media/long.wav';

/** Gives a visitor of Chromium little room for the site. (`navigator.storage.estimate()` does not tell.) */
async function shrink(page: Page): Promise<void> {
  const session = await page.createCDPSession();
  await session.send('Storage.overrideQuotaForOrigin', { origin: new URL(page.url()).origin, quotaSize: roomBytes });
}

/** The page writes files of its own until there is no room for a kilobyte. Gives the name of the error that says so. */
const fill = (page: Page): Promise<string> =>
  page.evaluate(async () => {
    const own = await (await navigator.storage.getDirectory()).getDirectoryHandle('own', { create: true });
    let name = '';
    for (const bytes of [1 << 20, 1 << 15, 1 << 10]) {
      for (let i = 0; ; i++) {
        try {
          const stream = await (await own.getFileHandle(`${bytes}.${i}`, { create: true })).createWritable();
          await stream.write(new Uint8Array(bytes).fill(1));
          await stream.close();
        } catch (error) {
          name = (error as Error).name;
          break;
        }
      }
    }
    return name;
  });

const empty = (page: Page): Promise<void> =>
  page.evaluate(async () => (await navigator.storage.getDirectory()).removeEntry('own', { recursive: true }));

for (const kind of kinds) {
  describe(kind, () => {
    const browser = launch({ after }, kind, { prefs });

    test('a full browser shows pages, and keeps what there is room for', { timeout: 180_000 }, async (t) => {
      const site = await makeSite(t, { large: false });
      await site.write(long, wav('long', 136)); // 12 MB: more than a quarter of the room
      const host = await origin(t, (await serve(t, site.dir, '--prefer', 'offload')).url);
      const [giver, full] = [await visitor(t, browser), await visitor(t, browser)];
      await explained([giver, full], async () => {
        for (const { page } of [giver, full]) await open(page, host.url);
        for (const path of ['gallery.html', 'second.html']) await open(giver.page, host.url + path);
        assert.equal((await fetchIn(giver.page, long)).length, site.size(long));
        if (kind === 'chrome') await shrink(full.page);
        assert.equal(await fill(full.page), 'QuotaExceededError');

        await open(full.page, `${host.url}gallery.html`);
        assert.deepEqual(await brokenPictures(full.page), []);
        await connected(full.page);
        for (const path of [...galleryPictures, long]) {
          assert.equal((await fetchIn(full.page, path)).sha256, site.hash(path), path);
        }
        const { peers } = await stats(full.page);
        assert.ok(peers > site.size(long) / 2, `${peers} bytes came from the other visitor`);
        // What lies there under a content's name is that content, whole.
        await storedPaths(full.page, site, host.url);

        await empty(full.page);
        // The page's own engine has what came meanwhile in memory; the next page's stores what it gets.
        await open(full.page, `${host.url}gallery.html`);
        const isKept = async (): Promise<boolean> => {
          const paths = await storedPaths(full.page, site, host.url);
          return galleryPictures.every((path) => paths.includes(path));
        };
        await until('the gallery to be kept', isKept, { timeoutMs: 45_000 });
        assert.deepEqual(full.errors, []);
      });
    });
  });
}
