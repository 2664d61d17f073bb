/**
 * What an outage is to a page: it is told of the beginning and the end, an origin that answers everything with a page of
 * its own is one, and it survives the browser's end. And what carries the site meanwhile, or ends it at a distance.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Page } from 'puppeteer-core';
import { launch, launchAll, visitor } from './harness/browsers.ts';
import type { Visitor } from './harness/browsers.ts';
import { sha256 } from './harness/bytes.ts';
import { temporaryFolder } from './harness/cleanup.ts';
import { origin } from './harness/origin.ts';
import type { Origin, Rule } from './harness/origin.ts';
import { brokenPictures, connected, controlled, explained, fetchIn, kept } from './harness/page.ts';
import { open, ready, runs, titled } from './harness/page.ts';
import { binary, pack, tracker } from './harness/planktos.ts';
import { check } from './harness/process.ts';
import { galleryLoads, galleryPictures, makeSite, pageLoads, scripts, sound } from './harness/site.ts';
import type { Site } from './harness/site.ts';
import { nginxHost, staticHost } from './harness/static.ts';
import { keeps } from './harness/store.ts';
import { until } from './harness/wait.ts';

const browsers = new Map(launchAll({ after }));
const once = Object.fromEntries(scripts.map((name) => [name, 1]));

/** As captive portals and parked domains do: the same page, with 200, whatever is asked for. */
const portal: Rule = () => ({
  status: 200,
  body: '<!doctype html><title>Sign in</title><p>Welcome to the hotel',
  headers: { 'content-type': 'text/html' },
});

const outages: Array<[string, Rule]> = [
  ['refuses', () => ({ refuse: true })],
  ['hangs', () => ({ stall: true })],
];

for (const [kind, browser] of browsers) {
  describe(kind, () => {
    test('an origin that answers everything with a page of its own is down, and the page is told', { timeout: 300_000 }, async (t) => {
      const { site, host } = await packed(t);
      const [giver, who] = [await visitor(t, browser), await visitor(t, browser)];
      await explained([giver, who], async () => {
        await hasAll(giver, host);
        await open(who.page, host.url);
        await open(who.page, `${host.url}second.html`);
        await keeps(who.page, host.url, ['second.html', ...pageLoads]);
        await connected(who.page);
        await until('the origin to be seen', async () => {
          assert.equal((await fetchIn(who.page, 'js/classic.js')).headers['planktos-stale'], undefined);
          return (await state(who.page)) === 'up';
        });
        await who.page.evaluate(() => {
          const heard: string[] = [];
          planktos.addEventListener('origin', ({ detail }) => heard.push(detail.state));
          Reflect.set(window, 'heard', heard);
        });
        const heard = (): Promise<string[]> => who.page.evaluate(() => Reflect.get(window, 'heard') as string[]);

        host.rules = [portal];
        await until('the page to be told', async () => {
          await who.page.evaluate(() => planktos.update());
          return (await heard()).includes('down');
        });
        assert.equal(await state(who.page), 'down');
        // What nobody here has yet comes from the other visitor, not from the portal.
        for (const path of [...galleryPictures, 'js/module.js']) {
          const got = await fetchIn(who.page, path);
          assert.equal(got.sha256, site.hash(path), path);
          assert.match(got.headers['planktos-stale'] ?? 'none', /^\d+$/, path);
        }
        // The same tab keeps time, and sees that it is over.
        host.rules = [];
        await until('the page to be told of the end', async () => (await heard()).at(-1) === 'up', { timeoutMs: 90_000 });
        assert.equal(await state(who.page), 'up');

        host.rules = [portal];
        const visited = await who.page.goto(`${host.url}second.html`, { waitUntil: 'load' });
        assert.match(visited!.headers()['planktos-stale'] ?? 'none', /^\d+$/);
        assert.deepEqual(await runs(who.page), once);
        await who.page.goto(`${host.url}gallery.html`, { waitUntil: 'domcontentloaded' });
        await arrived(who.page, 'Gallery');
        await until('the page to know', async () => (await state(who.page)) === 'down');
        // What is none of the site's is still the portal's to answer.
        await who.page.goto(`${host.url}sign-in`, { waitUntil: 'load' });
        assert.equal(await who.page.title(), 'Sign in');
      });
    });

    test('what was asked of a host that hung, by pages that were left, does not keep it from being asked again', {
      timeout: 240_000,
    }, async (t) => {
      const { site, host } = await packed(t);
      const who = await visitor(t, browser);
      await explained([who], async () => {
        await open(who.page, host.url);
        await open(who.page, `${host.url}second.html`);
        host.reset();
        host.rules = [() => ({ stall: true })];
        // As many as browsers have connections to one host, and more.
        await who.page.evaluate((paths) => {
          for (const path of paths) void fetch(path).catch(() => undefined);
        }, galleryPictures);
        const asked = (): boolean => host.count((path) => galleryPictures.includes(path)) >= 4;
        await until('the host to be asked', asked, { timeoutMs: 60_000 });
        for (const path of ['', 'second.html', '']) {
          await who.page.goto(host.url + path, { waitUntil: 'domcontentloaded', timeout: 60_000 });
        }
        // No connection is closed: the host has merely forgotten what it was asked.
        host.rules = [];
        await who.page.goto(`${host.url}gallery.html`, { waitUntil: 'domcontentloaded', timeout: 60_000 });
        await arrived(who.page, 'Gallery');
        assert.deepEqual(await brokenPictures(who.page), []);
        assert.equal((await fetchIn(who.page, galleryPictures[0]!)).sha256, site.hash(galleryPictures[0]!));
      });
    });

    for (const [does, rule] of outages) {
      test(`a browser that is started anew opens every page: the origin ${does}`, { timeout: 300_000 }, async (t) => {
        const { site, host } = await packed(t);
        const giver = await visitor(t, browser);
        const profile = await temporaryFolder(t, 'profile');
        const first = await launch(t, kind, { profile });
        const before = await visitor(t, first, { profile: true });
        await explained([giver, before], async () => {
          await hasAll(giver, host);
          await open(before.page, host.url);
          await open(before.page, `${host.url}second.html`);
          await keeps(before.page, host.url, ['second.html', ...pageLoads]);
          // What is written late is written by then.
          await until('the state to be kept', () => before.page.evaluate(isKept, host.url));
        });
        await first.close();
        host.rules = [rule];
        const who = await visitor(t, await launch(t, kind, { profile }), { profile: true });
        await explained([giver, who], async () => {
          await open(who.page, `${host.url}second.html`);
          assert.equal(await who.page.title(), 'Second');
          assert.deepEqual(await runs(who.page), once);
          await until('the page to know', async () => (await state(who.page)) === 'down');
          await who.page.goto(`${host.url}gallery.html`, { waitUntil: 'domcontentloaded' });
          await arrived(who.page, 'Gallery');
          for (const path of galleryPictures) {
            assert.equal((await fetchIn(who.page, path)).sha256, site.hash(path), path);
          }
        });
      });
    }
  });
}

for (const [kind, browser] of browsers) {
  test(`${kind}: a mirror that is named as a web seed carries the site, alone`, { timeout: 240_000 }, async (t) => {
    const site = await makeSite(t, { pictureSide: 64, large: false });
    const mirror = await origin(t, await staticHost(t, site.dir));
    mirror.rules = [() => ({ headers: { 'access-control-allow-origin': '*' } })];
    const dead = 'http://127.0.0.1:9/';
    await pack(site.dir, '--inject', '--mode', 'off', '--webseed', dead, '--webseed', mirror.url);
    const host = await origin(t, await staticHost(t, site.dir));
    const who = await visitor(t, browser);
    await explained([who], async () => {
      await open(who.page, host.url);
      await open(who.page, `${host.url}second.html`);
      for (const [index, [, rule]] of outages.entries()) {
        host.rules = [rule];
        const [path, title] = index ? ['sub/', 'Sub'] : ['gallery.html', 'Gallery'];
        await who.page.goto(host.url + path, { waitUntil: 'domcontentloaded' });
        await arrived(who.page, title);
      }
      for (const path of galleryPictures) {
        assert.equal((await fetchIn(who.page, host.url + path)).sha256, site.hash(path), path);
      }
    });
  });

  test(`${kind}: a large file of a mirror streams, and can be sought in, though no engine runs`, { timeout: 240_000 }, async (t) => {
    const site = await makeSite(t, { pictureSide: 48 });
    const mirror = await origin(t, await nginxHost(t, site.dir)); // which knows Range
    const headers = { 'access-control-allow-origin': '*', 'access-control-allow-headers': 'Range' };
    const mirrored = (slowMs?: number): Rule[] => [
      (_, { method }) => (method === 'OPTIONS' ? { status: 204, headers } : { headers, ...(slowMs ? { slowMs } : {}) }),
    ];
    mirror.rules = mirrored();
    await pack(site.dir, '--inject', '--mode', 'off', '--webseed', mirror.url);
    const host = await origin(t, await staticHost(t, site.dir));
    const who = await visitor(t, browser);
    const content = site.files.get(sound)!;
    const fromMirror = (): number => mirror.bytes((path) => /^planktos\/[0-9a-f]{64}$/.test(path));
    await explained([who], async () => {
      await open(who.page, host.url);
      await open(who.page, `${host.url}second.html`);
      host.rules = [() => ({ refuse: true })];
      await who.page.evaluate(() => planktos.update());
      const range = { headers: { range: 'bytes=5000000-5000999' } };
      const part = await fetchIn(who.page, host.url + sound, range);
      assert.deepEqual([part.status, part.headers['content-range']], [206, `bytes 5000000-5000999/${content.length}`]);
      assert.equal(part.sha256, sha256(content.subarray(5_000_000, 5_001_000)));
      assert.ok(fromMirror() <= 1 << 20, `${fromMirror()} bytes for a thousand`);
      mirror.rules = mirrored(3_000);
      const first = await who.page.evaluate(async (url) => {
        const reader = (await fetch(url)).body!.getReader();
        const { value } = await reader.read();
        await reader.cancel();
        return value!.length;
      }, host.url + sound);
      assert.ok(first > 0 && fromMirror() < content.length / 2, `${fromMirror()} bytes for the first of ${content.length}`);
      mirror.rules = mirrored();
      const sought = await who.page.evaluate(async (url) => {
        const audio = new Audio(url);
        const on = (type: string) => new Promise((resolve, reject) => {
          audio.addEventListener(type, resolve, { once: true });
          audio.addEventListener('error', () => reject(new Error(audio.error?.message)), { once: true });
        });
        await on('loadedmetadata');
        const seeked = on('seeked');
        audio.currentTime = 50;
        await seeked;
        return [Math.round(audio.duration), Math.round(audio.currentTime)];
      }, host.url + sound);
      assert.deepEqual(sought, [60, 50]);
      const whole = await fetchIn(who.page, host.url + sound);
      assert.equal(whole.sha256, site.hash(sound));
    });
  });

  test(`${kind}: a manifest that is disabled: all is gone, and a release brings it back`, { timeout: 240_000 }, async (t) => {
    const { site, host } = await packed(t);
    const who = await visitor(t, browser);
    await explained([who], async () => {
      await open(who.page, host.url);
      await open(who.page, `${host.url}second.html`);
      await check(await binary(), ['disable', site.dir]);
      const plain = async (): Promise<void> => {
        await who.page.goto(host.url, { waitUntil: 'load' });
        assert.deepEqual(await brokenPictures(who.page), []);
        assert.deepEqual(await runs(who.page), once);
      };
      const nothing = async (): Promise<true> => {
        assert.deepEqual(await kept(who.page), { files: [], caches: [], workers: 0 });
        return true;
      };
      // That is told while the page is loading, or a moment later where the host stalls.
      await plain();
      await ready(who.page);
      await until('all to be gone', nothing);
      // The page still names the script, which registers the worker anew.
      await plain();
      const began = Date.now();
      assert.equal(await ready(who.page), 'http');
      assert.ok(Date.now() - began < 25_000, 'not as late as where nothing ever answers');
      await until('all to be gone again', nothing);
      assert.equal(await controlled(who.page), false, 'and no worker takes the page over on its way')

      await repack(site, await tracker(t));
      await open(who.page, host.url);
      await until('the worker to be back', () => controlled(who.page));
      assert.notEqual(await open(who.page, `${host.url}second.html`), 'http');
    });
  });
}

const state = (page: Page): Promise<string> => page.evaluate(() => planktos.originState);

/** Whether the worker's records are there, which a browser that starts anew goes on from. */
async function isKept(scope: string): Promise<boolean> {
  const record = await caches.match(`${scope}planktos/:state`);
  const { clients = [] } = (await record?.json()) ?? {};
  return clients.length > 1;
}

/** The page itself, whatever stood in for it meanwhile. */
async function arrived(page: Page, title: string): Promise<void> {
  await titled(page, title);
  assert.deepEqual(await brokenPictures(page), []);
  assert.deepEqual(await runs(page), once);
}

const repack = (site: Site, { url }: { url: string }): Promise<unknown> =>
  pack(site.dir, '--inject', '--prefer', 'offload', '--tracker', url);

/** A packed site on a plain host, with a tracker that stays up. */
async function packed(t: TestContext): Promise<{ site: Site; host: Origin }> {
  const site = await makeSite(t, { pictureSide: 64, large: false });
  await repack(site, await tracker(t));
  return { site, host: await origin(t, await staticHost(t, site.dir)) };
}

/** The visitor has been everywhere that the others will want to go, and shares. */
async function hasAll(who: Visitor, host: Origin): Promise<void> {
  await open(who.page, host.url);
  await open(who.page, `${host.url}gallery.html`);
  await keeps(who.page, host.url, galleryLoads);
}
