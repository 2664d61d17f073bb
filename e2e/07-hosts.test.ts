/**
 * Any static host will do: with Range and without, under a sub-path, compressing, redirecting, altering. The pages are
 * right on all of them, on the first visit and from the store; what a host alters is simply not shared.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { launchAll, visitor } from './harness/browsers.ts';
import { sha256 } from './harness/bytes.ts';
import type { Scope } from './harness/cleanup.ts';
import { oneOfNewcomers } from './harness/newcomers.ts';
import { isHashed, origin } from './harness/origin.ts';
import { brokenPictures, connected, explained, fetchIn, open, runs, stats } from './harness/page.ts';
import { pack, serve, tracker } from './harness/planktos.ts';
import { galleryBytes, galleryPictures, makeSite, oddNames, scripts, sound, urlPath } from './harness/site.ts';
import type { Site } from './harness/site.ts';
import { nginxHost, pythonHost, staticHost } from './harness/static.ts';
import { keeps } from './harness/store.ts';

const browsers = launchAll({ after });
const [, chromium] = browsers.find(([kind]) => kind === 'chrome')!;
const once = Object.fromEntries(scripts.map((name) => [name, 1]));

interface Host {
  name: string;
  serve(scope: Scope, site: Site): Promise<string>;
  /** where /gallery.html ends */
  gallery?: string;
  /** one browser is enough: that it serves files as others do is all there is to see */
  plain?: true;
}

const packed =
  (make: (scope: Scope, dir: string) => Promise<string>, ...args: string[]) =>
  async (scope: Scope, site: Site) => {
    await pack(site.dir, '--inject', ...args);
    return make(scope, site.dir);
  };

const hosts: Host[] = [
  { name: 'planktos serve', serve: async (scope, site) => (await serve(scope, site.dir)).url },
  { name: 'nginx', serve: packed(nginxHost), plain: true },
  { name: "Python's http.server", serve: packed(pythonHost), plain: true },
  {
    name: 'nginx, under a sub-path',
    serve: packed((scope, dir) => nginxHost(scope, dir, '/docs/v1/'), '--base', '/docs/v1/'),
    plain: true,
  },
  { name: 'nginx, without copies', serve: packed(nginxHost, '--in-place'), plain: true },
  {
    name: 'a host like Cloudflare Pages',
    serve: packed((scope, dir) => staticHost(scope, dir, { likeCloudflarePages: true })),
    gallery: 'gallery',
  },
];

for (const [kind, browser] of browsers) {
  describe(kind, () => {
    for (const host of hosts.filter(({ plain }) => kind === 'chrome' || !plain)) {
      describe(host.name, () => {
        test(
          'pages, pictures, scripts and odd names are right, now and from the store',
          { timeout: 240_000 },
          async (t) => {
            const site = await makeSite(t, { pictureSide: 64 });
            const url = await host.serve(t, site);
            const who = await visitor(t, browser);
            await explained([who], async () => {
              assert.notEqual(await open(who.page, url), 'http');
              for (let visit = 0; visit < 2; visit++) {
                for (const path of ['gallery.html', 'odd.html', 'sub/', `it's%20here.html`, '']) {
                  await open(who.page, url + path);
                  assert.deepEqual(await brokenPictures(who.page), [], path);
                  assert.deepEqual(await runs(who.page), once, path);
                }
                for (const path of [...oddNames, ...galleryPictures]) {
                  assert.equal((await fetchIn(who.page, url + urlPath(path))).sha256, site.hash(path), path);
                }
              }
              await open(who.page, `${url}gallery.html`);
              assert.ok(who.page.url().endsWith(host.gallery ?? 'gallery.html'), who.page.url());
              const middle = await fetchIn(who.page, url + sound, { headers: { range: 'bytes=2000000-2000999' } });
              const want = sha256(site.files.get(sound)!.subarray(2_000_000, 2_001_000));
              assert.deepEqual([middle.status, middle.length, middle.sha256], [206, 1000, want]);
              assert.deepEqual(who.errors, []);
            });
          },
        );
      });
    }

    test('a host that alters every page: the pages are as it sends them', { timeout: 240_000 }, async (t) => {
      const site = await makeSite(t, { pictureSide: 64, large: false });
      await pack(site.dir, '--inject');
      const url = await staticHost(t, site.dir, { likeCloudflarePages: true });
      const who = await visitor(t, browser);
      await explained([who], async () => {
        for (const path of ['', 'second', 'gallery', 'second', '']) {
          await open(who.page, url + path);
          assert.equal(
            await who.page.evaluate(() => Reflect.get(window, 'beacon')),
            1,
            `${path}: the host's addition is gone`,
          );
          assert.deepEqual(await runs(who.page), once);
        }
      });
    });
  });
}

// In Firefox 04-firefox shows as much.
test('two visitors of a plain host share, through a tracker elsewhere', { timeout: 240_000 }, async (t) => {
  const site = await makeSite(t, { large: false });
  await pack(site.dir, '--inject', '--prefer', 'offload', '--tracker', (await tracker(t)).url);
  const host = await origin(t, await pythonHost(t, site.dir));
  const needed = galleryBytes(site);
  const first = await visitor(t, chromium);
  await explained([first], async () => {
    await open(first.page, host.url);
    await open(first.page, `${host.url}gallery.html`);
    assert.deepEqual(await brokenPictures(first.page), []);
    await keeps(first.page, host.url, galleryPictures);
  });
  await oneOfNewcomers(t, chromium, [first], async (second) => {
    host.reset();
    await open(second.page, host.url);
    await connected(second.page);
    for (const path of galleryPictures) assert.equal((await fetchIn(second.page, path)).sha256, site.hash(path), path);
    const had = await stats(second.page);
    const sent = host.bytes((path) => galleryPictures.includes(path) || isHashed(path));
    await open(second.page, `${host.url}gallery.html`);
    assert.deepEqual(await brokenPictures(second.page), []);
    const shared = had.peers >= needed * 0.9 && sent <= needed * 0.1;
    return shared ? undefined : `of ${needed} bytes the origin sent ${sent}, peers ${had.peers}`;
  });
});
