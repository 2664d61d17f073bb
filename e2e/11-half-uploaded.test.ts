/** A release that is only half there, and a worker's script that is not: pages are whole, of this release or that. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { launchAll, visitor } from './harness/browsers.ts';
import { origin } from './harness/origin.ts';
import type { Behaviour, Rule } from './harness/origin.ts';
import { brokenPictures, explained, fetchIn, open, runs } from './harness/page.ts';
import { pack } from './harness/planktos.ts';
import { galleryLoads, galleryPictures, makeSite, page as pageOf, scripts, urlPath } from './harness/site.ts';
import { staticHost } from './harness/static.ts';
import { keeps } from './harness/store.ts';
import { until } from './harness/wait.ts';

const browsers = launchAll({ after });
const once = Object.fromEntries(scripts.map((name) => [name, 1]));
const stalePages = 'a CDN that still has the old pages, and all else of the new release';
const isManifest = (path: string): boolean => path === 'planktos/manifest.json';
const isWorker = (path: string): boolean => path === 'planktos.sw.min.js';

for (const [kind, browser] of browsers) {
  test(`${kind}: half a release, and a lost worker, break no page`, { timeout: 300_000 }, async (t) => {
    const [old, next] = [await makeSite(t, { large: false }), await makeSite(t, { large: false, seed: 'next' })];
    // Another picture everywhere, and a document that tells which release it is of.
    await next.write('gallery.html', pageOf('Gallery, anew', galleryPictures));
    for (const site of [old, next]) await pack(site.dir, '--inject');
    const host = await origin(t, await staticHost(t, old.dir));
    /** What is uploaded already. */
    const uploaded =
      (accepts: (path: string) => boolean): Rule =>
      (path) =>
        accepts(path) ? replaced.get(path || 'index.html') : undefined;
    const replaced = new Map<string, Behaviour>();
    const elsewhere = await staticHost(t, next.dir);
    for (const path of next.files.keys()) {
      const answer = await fetch(elsewhere + urlPath(path));
      const headers = { 'content-type': answer.headers.get('content-type')! };
      replaced.set(path, { status: 200, body: Buffer.from(await answer.arrayBuffer()), headers });
    }
    const manifest = Buffer.from(await (await fetch(`${elsewhere}planktos/manifest.json`)).arrayBuffer());
    const newManifest: Rule = (path) => (isManifest(path) ? { status: 200, body: manifest } : undefined);
    const everything: Rule = (...asked) => newManifest(...asked) ?? uploaded(() => true)(...asked);
    let turn = 0;
    const isSome = (path: string): boolean => /gallery-[0-5]|css/.test(path);
    const cutOff = { status: 200, body: manifest.subarray(0, 999) };
    const missing = { status: 404, body: 'not found' };
    const html = { status: 200, body: '<!doctype html>', headers: { 'content-type': 'text/html' } };
    const halves: Array<[string, Rule[]]> = [
      ['the new manifest, and the old files', [newManifest]],
      ['the old manifest, and the new files', [uploaded(() => true)]],
      ['the new manifest, and some of the new files', [newManifest, uploaded(isSome)]],
      [stalePages, [newManifest, uploaded((path) => !/\.html$|^$|\/$/.test(path))]],
      ['a CDN of which every third answer is new', [(...asked) => (turn++ % 3 ? undefined : everything(...asked))]],
      ['the manifest is cut off', [(path) => (isManifest(path) ? cutOff : undefined)]],
      ['the manifest is not there yet', [(path) => (isManifest(path) ? missing : undefined)]],
      ['the worker is not there', [(path) => (isWorker(path) ? missing : undefined)]],
      ['the worker is a page', [(path) => (isWorker(path) ? html : undefined)]],
    ];
    const who = await visitor(t, browser);
    const whole = async (what: string): Promise<void> => {
      assert.deepEqual(await brokenPictures(who.page), [], what);
      assert.deepEqual(await runs(who.page), once, what);
      for (const path of galleryPictures) {
        const { sha256 } = await fetchIn(who.page, path);
        assert.ok([old.hash(path), next.hash(path)].includes(sha256), `${what}: ${path}`);
      }
    };
    /** A page does not wait for long to be told of the newest release: a machine that stalls gives the one before. */
    const opens = (title: string, what: string): Promise<unknown> =>
      until(what, async () => {
        await open(who.page, `${host.url}gallery.html`);
        return (await who.page.title()) === title;
      });
    await explained([who], async () => {
      await open(who.page, host.url);
      await open(who.page, `${host.url}gallery.html`);
      await keeps(who.page, host.url, galleryLoads);
      for (const [what, rules] of halves) {
        host.rules = rules;
        const update = (): Promise<unknown> =>
          navigator.serviceWorker.getRegistration().then((each) => each?.update().catch(() => undefined));
        await who.page.evaluate(update);
        for (const again of ['', ', again']) {
          await open(who.page, `${host.url}gallery.html`);
          await whole(what + again);
          if (what !== stalePages) continue;
          for (const path of galleryPictures) {
            assert.equal((await fetchIn(who.page, path)).sha256, old.hash(path), `an old page goes with its own ${path}`);
          }
        }
        host.rules = [];
        await opens('Gallery', `what was there before, after that: ${what}`);
        await whole(`after that: ${what}`);
      }
      // All is uploaded.
      host.rules = [everything];
      await opens('Gallery, anew', 'all that is uploaded');
      for (const path of galleryPictures) assert.equal((await fetchIn(who.page, path)).sha256, next.hash(path), path);
    });
  });

  test(`${kind}: half a release, and then an outage: pages are of the one before`, { timeout: 180_000 }, async (t) => {
    const options = { large: false, pictureSide: 48 };
    const [old, next] = [await makeSite(t, options), await makeSite(t, { ...options, seed: 'next' })];
    await next.write('gallery.html', pageOf('Gallery, anew', galleryPictures));
    const { snapshot } = await pack(old.dir, '--inject');
    await pack(next.dir, '--inject');
    const host = await origin(t, await staticHost(t, old.dir));
    const elsewhere = await staticHost(t, next.dir);
    const manifest = Buffer.from(await (await fetch(`${elsewhere}planktos/manifest.json`)).arrayBuffer());
    const who = await visitor(t, browser);
    const gallery = async (title: string): Promise<void> => {
      await open(who.page, `${host.url}gallery.html`);
      assert.equal(await who.page.title(), title);
      assert.deepEqual(await brokenPictures(who.page), []);
      assert.deepEqual(await runs(who.page), once);
    };
    await explained([who], async () => {
      await open(who.page, host.url);
      await gallery('Gallery');
      await keeps(who.page, host.url, galleryLoads);
      host.rules = [(path) => (isManifest(path) ? { status: 200, body: manifest } : undefined)];
      await until('the new one to be known', async () => {
        await gallery('Gallery');
        const all = await who.page.evaluate(() => window.planktos.getAllSnapshots());
        return all.some(({ id, current }) => current && id !== snapshot);
      });
      host.rules = [() => ({ refuse: true })];
      await gallery('Gallery');
      assert.equal(await who.page.evaluate(() => window.planktos.snapshot), snapshot);
      for (const path of galleryPictures) assert.equal((await fetchIn(who.page, path)).sha256, old.hash(path), path);
    });
  });
}
