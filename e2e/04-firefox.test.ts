/** Chromium and Firefox give each other what they have, both ways. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { launchAll, visitor } from './harness/browsers.ts';
import { oneOfNewcomers } from './harness/newcomers.ts';
import { origin } from './harness/origin.ts';
import { brokenPictures, connected, explained, fetchIn, open, stats } from './harness/page.ts';
import { serve } from './harness/planktos.ts';
import { galleryBytes, galleryPictures, makeSite } from './harness/site.ts';
import { keeps } from './harness/store.ts';

const browsers = new Map(launchAll({ after }));

for (const [from, to] of [
  ['chrome', 'firefox'],
  ['firefox', 'chrome'],
  ['firefox', 'firefox'],
] as const) {
  test(`from ${from} to ${to}`, { timeout: 240_000 }, async (t) => {
    const site = await makeSite(t, { large: false });
    const host = await origin(t, (await serve(t, site.dir, '--prefer', 'offload')).url);
    const needed = galleryBytes(site);
    const giver = await visitor(t, browsers.get(from)!);
    await explained([giver], async () => {
      await open(giver.page, host.url);
      await open(giver.page, `${host.url}gallery.html`);
      assert.deepEqual(await brokenPictures(giver.page), []);
      await keeps(giver.page, host.url, galleryPictures);
    });
    await oneOfNewcomers(t, browsers.get(to)!, [giver], async (taker) => {
      await open(taker.page, host.url);
      await connected(taker.page);
      // On the page that is connected, so that no deadline depends on how fast a busy machine connects another.
      for (const path of galleryPictures) assert.equal((await fetchIn(taker.page, path)).sha256, site.hash(path), path);
      const { page } = await stats(taker.page);
      assert.deepEqual(giver.errors.concat(taker.errors), []);
      return page.peers >= needed * 0.9 ? undefined : `of ${needed} bytes had ${JSON.stringify(page)}`;
    });
  });
}
