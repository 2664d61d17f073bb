/**
 * What is kept, and what is not: the worker stopped in the middle of a response or of a page load, the browser killed
 * in the middle of a download and started again, no file system at all, and a release, after which nothing of the old
 * snapshot is left.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, describe, test } from 'node:test';
import { launch, launchAll, visitor } from './harness/browsers.ts';
import { temporaryFolder } from './harness/cleanup.ts';
import { isContent, isHashed, origin } from './harness/origin.ts';
import type { Rule } from './harness/origin.ts';
import { brokenPictures, connected, explained, fetchIn, loaded, open, runs, stats } from './harness/page.ts';
import { pack, serve, tracker } from './harness/planktos.ts';
import { galleryPictures, makeSite, scripts, sound, wav } from './harness/site.ts';
import { staticHost } from './harness/static.ts';
import { keeps, stored, storedPaths, table } from './harness/store.ts';
import { until } from './harness/wait.ts';
import { stopWorker } from './harness/worker.ts';

const browsers = launchAll({ after });
const chrome = browsers.find(([kind]) => kind === 'chrome')![1];

test('a worker stopped in the middle of a response keeps nothing of it', { timeout: 180_000 }, async (t) => {
  const site = await makeSite(t);
  const host = await origin(t, (await serve(t, site.dir, '--mode', 'off')).url);
  const who = await visitor(t, chrome);
  await explained([who], async () => {
    await open(who.page, host.url);
    await open(who.page, `${host.url}second.html`);
    host.rules = [
      (path) => (path === sound ? { slowMs: 10_000 } : isHashed(path) ? { status: 404 } : undefined), // no quicker copy
    ];
    host.reset();
    const got = fetchIn(who.page, sound).then(({ sha256 }) => sha256, () => 'failed');
    await until('some of the response', () => host.bytes((path) => path === sound) > 3_000_000);
    await stopWorker(who);
    // Whole, or an error; never less than all of it.
    assert.ok([site.hash(sound), 'failed'].includes(await got));
    host.rules = [];
    assert.equal((await fetchIn(who.page, sound)).sha256, site.hash(sound));
    await until('the sound to be stored', async () => (await storedPaths(who.page, site, host.url)).includes(sound));
    host.reset();
    assert.equal((await fetchIn(who.page, sound)).sha256, site.hash(sound));
    assert.equal(host.count((path) => path === sound), 0);
  });
});

test('a worker stopped in the middle of a page load: page and reload are whole', { timeout: 180_000 }, async (t) => {
  const site = await makeSite(t, { large: false });
  const host = await origin(t, (await serve(t, site.dir, '--prefer', 'offload', '--prefetch', '0')).url);
  const [giver, who] = [await visitor(t, chrome), await visitor(t, chrome)];
  const [had, lacking] = [galleryPictures.slice(0, 8), galleryPictures.slice(8)];
  await explained([giver, who], async () => {
    await open(giver.page, host.url);
    await open(giver.page, `${host.url}second.html`);
    for (const path of had) assert.equal((await fetchIn(giver.page, path)).sha256, site.hash(path));
    await keeps(giver.page, host.url, had);
    await open(who.page, host.url);
    await connected(who.page);
    // What the giver lacks the host takes its time over: the page is not there before the worker is stopped. And more of
    // what the giver has, however busy the machine is.
    const slowly: Rule = (path) => (lacking.includes(path) || isHashed(path) ? { slowMs: 60_000 } : undefined);
    host.rules = [slowly, (path) => (had.includes(path) ? { delayMs: 15_000 } : undefined)];
    await who.page.goto(`${host.url}gallery.html`, { waitUntil: 'domcontentloaded' });
    const shown = (): number => [...document.images].filter((image) => image.complete && image.naturalWidth).length;
    await until('what the giver has to be shown', async () => (await who.page.evaluate(shown)) >= had.length);
    await until('some of the rest', () => host.bytes((path) => lacking.includes(path)) > 0);
    await until('what the giver gave to be counted', async () => (await stats(who.page)).page.peers > 0);
    host.rules = [];
    await stopWorker(who);
    // What was not answered yet Chromium asks again of the worker that it starts.
    assert.deepEqual(await brokenPictures(who.page), []);
    await who.page.reload({ waitUntil: 'load' });
    await loaded(who.page);
    assert.deepEqual(await brokenPictures(who.page), []);
    assert.deepEqual(await runs(who.page), Object.fromEntries(scripts.map((name) => [name, 1])));
    for (const path of galleryPictures) assert.equal((await fetchIn(who.page, path)).sha256, site.hash(path), path);
  });
});

/** Put before the runtime's scripts: a browser without a file system for sites. */
const fileless = `Object.defineProperty(navigator.storage, 'getDirectory', {
  value: () => Promise.reject(new DOMException('private window', 'SecurityError')),
});\n`;
/** A worker that lives so much later. */
const later = (ms: number): string => `Date.now = ((now) => () => now() + ${ms})(Date.now);\n`;
/** The runtime's scripts with something before them; without a tag, which would be the same for other text. */
const preceded = (text: string, scripts = /^planktos\.sw\.min\.js$/): Rule => {
  const alter = (body: Buffer): Buffer => Buffer.concat([Buffer.from(text), body]);
  return (path) => (scripts.test(path) ? { alter, headers: { etag: undefined } } : undefined);
};

for (const [kind, browser] of browsers) {
  describe(kind, () => {
    test('killed in the middle of a download, a browser goes on where it was', { timeout: 240_000 }, async (t) => {
      const site = await makeSite(t);
      await site.write('media/long.wav', wav('long', 270)); // 24 MB: there is time to kill the browser in the middle
      const long = 'media/long.wav';
      await pack(site.dir, '--inject', '--prefer', 'offload', '--tracker', (await tracker(t)).url);
      const host = await origin(t, await staticHost(t, site.dir));
      const giver = await visitor(t, chrome);
      const profile = await temporaryFolder(t, 'profile');
      const first = await launch(t, kind, { profile });
      const taker = await visitor(t, first, { profile: true });
      await explained([giver, taker], async () => {
        await open(giver.page, host.url);
        await open(giver.page, `${host.url}second.html`);
        assert.equal((await fetchIn(giver.page, long)).length, site.size(long));
        await open(taker.page, host.url);
        await open(taker.page, `${host.url}second.html`);
        await connected(taker.page);
        host.rules = [(path) => (path === long || isHashed(path) ? { delayMs: 10_000 } : undefined)]; // peers are quicker
        await taker.page.evaluate((path) => void fetch(path).then((response) => response.arrayBuffer()), long);
        await until('a part to come', async () => (await stats(taker.page)).peers > 8_000_000, { timeoutMs: 60_000 });
        host.rules = [];
        const process = first.process()!;
        const exit = once(process, 'exit');
        globalThis.process.kill(-process.pid!, 'SIGKILL'); // all its processes, which share the profile
        await exit;
        const second = await visitor(t, await launch(t, kind, { profile }), { profile: true });
        await explained([second], async () => {
          await open(second.page, `${host.url}second.html`);
          await connected(second.page);
          await storedPaths(second.page, site, host.url);
          const kept = await stats(second.page);
          assert.equal((await fetchIn(second.page, long)).sha256, site.hash(long));
          const { origin: fromOrigin, peers } = await stats(second.page);
          const had = fromOrigin + peers - kept.origin - kept.peers;
          assert.ok(had < site.size(long) - 4_000_000, `${had} bytes were had again`);
          const isStored = async (): Promise<boolean> => (await storedPaths(second.page, site, host.url)).includes(long);
          await until('the sound to be stored', isStored, { timeoutMs: 60_000 });
        });
      });
    });

    test('without a file system contents live in memory', { timeout: 180_000 }, async (t) => {
      const site = await makeSite(t, { large: false });
      const host = await origin(t, (await serve(t, site.dir)).url);
      const scripts = /^planktos(\.sw\.min\.js|\/engine\.min\.js)$/;
      host.rules = [preceded(fileless, scripts)];
      const who = await visitor(t, browser);
      await explained([who], async () => {
        await open(who.page, host.url);
        await open(who.page, `${host.url}gallery.html`);
        host.reset();
        await until('the pictures to come from memory', async () => {
          for (const path of galleryPictures) {
            assert.equal((await fetchIn(who.page, path, { cache: 'no-cache' })).sha256, site.hash(path));
          }
          const asked = host.count((path) => galleryPictures.includes(path));
          host.reset();
          return asked === 0;
        });
        assert.ok((await stats(who.page)).page.store > 0);
        assert.deepEqual(who.errors, []);
      });
    });

    test('after a release nothing of the old snapshot is left', { timeout: 180_000 }, async (t) => {
      const site = await makeSite(t, { large: false });
      await pack(site.dir, '--inject');
      const host = await origin(t, await staticHost(t, site.dir));
      const who = await visitor(t, browser);
      const [changed, same] = [galleryPictures[0]!, galleryPictures[1]!];
      host.rules = [preceded(later(0))];
      await explained([who], async () => {
        await open(who.page, host.url);
        await open(who.page, `${host.url}gallery.html`);
        const old = await table(host.url);
        await until('the gallery to be stored', async () => {
          const files = await stored(who.page);
          return galleryPictures.every((path) => files[old.get(path)!]);
        });
        await site.write(changed, site.files.get('img/front-0.png')!.reverse());
        await pack(site.dir, '--inject');
        // A page that has been left may come back for half an hour.
        host.rules = [preceded(later(31 * 60_000))];
        await open(who.page, `${host.url}second.html`);
        await who.page.evaluate(async () => (await navigator.serviceWorker.ready).update());
        const named = new Set((await table(host.url)).values());
        await until('what only the old snapshot named to be gone', async () => {
          await open(who.page, `${host.url}second.html`);
          return Object.keys(await stored(who.page)).every((name) => named.has(name));
        }, { timeoutMs: 90_000 });
        host.reset();
        await open(who.page, `${host.url}gallery.html`);
        assert.equal((await fetchIn(who.page, changed)).sha256, site.hash(changed));
        assert.equal(host.count((path) => isContent(path) && path === same), 0, 'what stayed was fetched again');
      });
    });
  });
}
