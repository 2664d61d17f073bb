/**
 * The main job: what one visitor has, the next one gets from it. The first visitor loads a page of pictures from the
 * origin; the second one, once its worker is in control, gets at least nine tenths of what that page needs from the
 * first, by Planktos's own count and by the origin's, and every picture is what the site's owner put there.
 *
 * `--prefer offload`: on loopback the origin wins any race on speed.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { launchAll, visitor } from './harness/browsers.ts';
import { oneOfNewcomers } from './harness/newcomers.ts';
import { isContent, isHashed, origin, quiet } from './harness/origin.ts';
import { brokenPictures, connected, explained, fetchIn, holds, open, stats } from './harness/page.ts';
import { serve } from './harness/planktos.ts';
import { galleryBytes, galleryPictures, makeSite } from './harness/site.ts';
import { keeps } from './harness/store.ts';
import { until } from './harness/wait.ts';

const browsers = launchAll({ after });
const gallery = new Set(galleryPictures);

for (const [kind, browser] of browsers) {
  describe(kind, () => {
    test('the second visitor gets the pictures from the first', { timeout: 240_000 }, async (t) => {
      const site = await makeSite(t);
      const host = await origin(t, (await serve(t, site.dir, '--prefer', 'offload', '--prefetch', '0')).url);
      const needed = galleryBytes(site);

      const first = await visitor(t, browser);
      await explained([first], async () => {
        assert.equal(await open(first.page, host.url), 'peers');
        assert.equal(await open(first.page, `${host.url}gallery.html`), 'peers');
        assert.deepEqual(await brokenPictures(first.page), []);
        await keeps(first.page, host.url, galleryPictures);
      });

      // Peers spare the origin where a page connects within the 2 s that its pictures wait.
      await oneOfNewcomers(t, browser, [first], async (second) => {
        assert.equal(await open(second.page, host.url), 'peers');
        await connected(second.page);
        await quiet(host, isContent);
        host.reset();

        assert.equal(await open(second.page, `${host.url}gallery.html`), 'peers');
        assert.deepEqual(await brokenPictures(second.page), []);
        await holds(second.page, needed);

        const sent = host.bytes((path) => gallery.has(path) || isHashed(path));
        // In the page, or ahead of it: the page before links to this one.
        const had = await stats(second.page);
        const told = `origin ${sent}, peers ${had.peers} of ${needed} bytes that the page needs`;
        t.diagnostic(told);
        assert.match(await second.page.evaluate(() => window.planktos.snapshot), /^[0-9a-f]{64}$/);
        for (const path of galleryPictures) {
          assert.equal((await fetchIn(second.page, path)).sha256, site.hash(path), path);
        }
        assert.deepEqual(first.errors.concat(second.errors), []);
        return sent <= needed * 0.1 && had.peers >= needed * 0.9 ? undefined : told;
      });
      // Uploads are counted a few times a second.
      const counted = async (): Promise<boolean> => (await stats(first.page)).uploaded >= needed * 0.9;
      await until('the first visitor to have counted its uploads', counted, { timeoutMs: 45_000 });
    });

    test('what a visitor has, it does not ask for again', { timeout: 120_000 }, async (t) => {
      const site = await makeSite(t, { large: false });
      const host = await origin(t, (await serve(t, site.dir)).url);
      const only = await visitor(t, browser);
      await explained([only], async () => {
        await open(only.page, host.url);
        await open(only.page, `${host.url}gallery.html`);
        assert.deepEqual(await brokenPictures(only.page), []);
        await keeps(only.page, host.url, galleryPictures);
        host.reset();
        await open(only.page, `${host.url}gallery.html`);
        assert.deepEqual(await brokenPictures(only.page), []);
        assert.equal(
          host.bytes((path) => gallery.has(path)),
          0,
        );
        const { page } = await stats(only.page);
        assert.ok(page.store > 0, `nothing came from the store: ${JSON.stringify(page)}`);
      });
    });

    test('a single visitor costs the origin no more than plain HTTP', { timeout: 120_000 }, async (t) => {
      const site = await makeSite(t, { large: false });
      const host = await origin(t, (await serve(t, site.dir)).url);
      const only = await visitor(t, browser);
      await explained([only], async () => {
        await open(only.page, host.url);
        await quiet(host, isContent);
        for (const { path } of host.requests.filter(({ path, status }) => isContent(path) && status === 200)) {
          assert.equal(
            host.count((each) => each === path),
            1,
            `${path} was fetched more than once`,
          );
        }
      });
    });
  });
}
