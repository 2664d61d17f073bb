/**
 * Where the engine's core runs, and how fast a page is connected. The core is in a dedicated worker, to which the data
 * channels move; on a page whose Content-Security-Policy forbids workers it is in the page. Peers notice no difference.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Page } from 'puppeteer-core';
import { launch, visitor } from './harness/browsers.ts';
import { isContent, origin, quiet } from './harness/origin.ts';
import { brokenPictures, connected, explained, fetchIn, holds, open, stats } from './harness/page.ts';
import { serve } from './harness/planktos.ts';
import { galleryBytes, galleryPictures, makeSite, page } from './harness/site.ts';
import { until } from './harness/wait.ts';

const browser = await launch({ after }, 'chrome');
const places = { 'a worker': 'index.html', 'the page': 'noworker.html' };
type Place = keyof typeof places;

/** ms from a page's start until it had its first peer */
function connectedMs(at: Page): Promise<number> {
  return at.evaluate(
    () =>
      new Promise<number>((resolve) => {
        const look = (): void => {
          if (window.planktos.connections > 0) resolve(performance.now());
        };
        window.planktos.addEventListener('status', look);
        look();
      }),
  );
}

for (const [giving, taking] of [
  ['a worker', 'the page'],
  ['the page', 'a worker'],
  ['the page', 'the page'],
] as [Place, Place][]) {
  test(`from a core in ${giving} to one in ${taking}`, { timeout: 180_000 }, async (t) => {
    const site = await makeSite(t, { large: false });
    const csp = `<meta http-equiv="Content-Security-Policy" content="worker-src 'none'">`;
    await site.write('noworker.html', page('No worker', []).replace('<title>', `${csp}\n<title>`));
    const host = await origin(t, (await serve(t, site.dir, '--prefer', 'offload', '--prefetch', '0')).url);
    const needed = galleryBytes(site);
    const giver = await visitor(t, browser);
    const taker = await visitor(t, browser);
    await explained([giver, taker], async () => {
      await open(giver.page, `${host.url}gallery.html`); // whose worker is the service worker for all
      assert.deepEqual(await brokenPictures(giver.page), []);
      await holds(giver.page, needed);
      await open(taker.page, host.url);
      await open(giver.page, `${host.url}${places[giving]}`);
      await open(taker.page, `${host.url}${places[taking]}`);
      await Promise.all([connected(giver.page), connected(taker.page)]);
      for (const [each, place] of [[giver, giving], [taker, taking]] as const) {
        await until(`the core to run in ${place}`, async () => {
          return each.page.workers().length === (place === 'a worker' ? 1 : 0);
        });
      }
      await quiet(host, isContent);
      for (const path of galleryPictures) assert.equal((await fetchIn(taker.page, path)).sha256, site.hash(path), path);
      const { page: had } = await stats(taker.page);
      assert.ok(had.peers >= needed * 0.9, `peers gave ${had.peers} of ${needed} bytes: ${JSON.stringify(had)}`);
    });
  });
}

test('each page of a visit connects anew, to the peers of the last one first', { timeout: 240_000 }, async (t) => {
  const site = await makeSite(t, { large: false });
  const host = await origin(t, (await serve(t, site.dir)).url);
  const there = await visitor(t, browser);
  const goer = await visitor(t, browser);
  await explained([there, goer], async () => {
    await open(there.page, host.url);
    await open(goer.page, host.url);
    await Promise.all([connected(there.page), connected(goer.page)]);
    const times: number[] = [];
    for (let i = 0; i < 5; i++) {
      for (const path of ['second.html', 'index.html']) {
        await goer.page.goto(`${host.url}${path}`, { waitUntil: 'load' });
        times.push(Math.round(await connectedMs(goer.page)));
      }
    }
    const [median] = [...times].sort((a, b) => a - b).slice(times.length / 2);
    t.diagnostic(`from a page's start to its first peer: median ${median} ms, of ${times.join(', ')}`);
    assert.deepEqual(goer.errors.concat(there.errors), []);
  });
});
