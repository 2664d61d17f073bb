/**
 * Idle prefetch: what the visible links of a page lead to is taken from other visitors while nothing else goes on, so
 * that the next page comes from the store. In both browsers.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { launchAll, visitor } from './harness/browsers.ts';
import type { Launched, Visitor } from './harness/browsers.ts';
import { isContent, origin, quiet } from './harness/origin.ts';
import type { Origin } from './harness/origin.ts';
import { brokenPictures, connected, explained, holds, kept, open, stats } from './harness/page.ts';
import { serve } from './harness/planktos.ts';
import { galleryBytes, galleryPictures, makeSite } from './harness/site.ts';
import type { Site } from './harness/site.ts';
import { manifest } from './harness/swarm.ts';
import { until } from './harness/wait.ts';

const browsers = launchAll({ after });

/** Browsers have a page's icon when it pleases them. */
const isAsked = (path: string): boolean => isContent(path) && path !== 'favicon.ico';

interface Two {
  site: Site;
  host: Origin;
  giver: Visitor;
  taker: Visitor;
}

/**
 * A visitor who holds the pictures of the gallery, and one on the front page, which links to it. The manifest gives the
 * headers of documents: without them only the origin knows how a document is to be protected.
 */
async function two(t: TestContext, browser: Launched, prefetch = 2_000_000): Promise<Two> {
  const site = await makeSite(t, { large: false });
  const headers = [{ path: '*', headers: { 'X-Frame-Options': 'DENY' } }];
  await site.write('planktos.json', JSON.stringify({ headers, prefetch }));
  const host = await origin(t, (await serve(t, site.dir)).url);
  const [giver, taker] = [await visitor(t, browser), await visitor(t, browser)];
  await open(giver.page, host.url);
  await open(giver.page, `${host.url}gallery.html`);
  await holds(giver.page, galleryBytes(site));
  await open(taker.page, host.url);
  await connected(taker.page);
  await quiet(host, isContent);
  host.reset();
  return { site, host, giver, taker };
}

for (const [kind, browser] of browsers) {
  describe(kind, () => {
    test('the next page comes from the store', { timeout: 180_000 }, async (t) => {
      const { site, host, giver, taker } = await two(t, browser);
      const gallery = ['gallery.html', ...galleryPictures];
      const wanted = gallery.reduce((total, path) => total + site.size(path), 0);
      await explained([giver, taker], async () => {
        const rows = (await manifest(host.url)).files.filter(([path]) => gallery.includes(path));
        await until('the gallery to be prefetched', async () => {
          const { files } = await kept(taker.page);
          return rows.every(([, hash, size]) => files.some((name) => name.endsWith(`/${hash}-${size}`)));
        }, { timeoutMs: 45_000 });
        await until('all of it to be from peers', async () => (await stats(taker.page)).peers >= wanted);
        assert.equal(host.bytes(isAsked), 0, 'the origin was asked');
        await open(taker.page, `${host.url}gallery.html`);
        assert.deepEqual(await brokenPictures(taker.page), []);
        assert.equal(await taker.page.title(), 'Gallery');
        const { store } = (await stats(taker.page)).page;
        assert.ok(store >= wanted, `${store} bytes of ${wanted} from the store`);
        const asked = host.requests.filter(({ path, bytes }) => isAsked(path) && bytes > 0);
        assert.deepEqual(asked.map(({ path }) => path), []);
        assert.deepEqual(taker.errors, []);
      });
    });

    test('no more than the site allows', { timeout: 180_000 }, async (t) => {
      const allowed = 200_000;
      const { site, giver, taker } = await two(t, browser, allowed);
      await explained([giver, taker], async () => {
        const picture = site.size(galleryPictures[0]!);
        await until('the allowance to be used', async () => (await stats(taker.page)).peers >= allowed - picture, {
          timeoutMs: 45_000,
        });
        let last = 0;
        let same = 0;
        await until('nothing more to come', async () => {
          const { peers } = await stats(taker.page);
          same = peers === last ? same + 1 : 0;
          last = peers;
          return same >= 40;
        }, { timeoutMs: 60_000 });
        assert.ok(last <= allowed, `${last} bytes of ${allowed}`);
      });
    });
  });
}
