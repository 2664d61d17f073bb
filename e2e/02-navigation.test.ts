/**
 * The things that the original Planktos broke: every way of getting from page to page under the worker, scripts that
 * run exactly once, paths that are no HTML, the origin's own 404, requests that are none of Planktos's business, and a
 * new release seen on the first navigation after it. In both browsers.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Page } from 'puppeteer-core';
import { launchAll, visitor } from './harness/browsers.ts';
import type { Visitor } from './harness/browsers.ts';
import { onEnd } from './harness/cleanup.ts';
import { isContent, origin } from './harness/origin.ts';
import type { Origin } from './harness/origin.ts';
import { brokenPictures, controlled, explained, fetchIn, open, ready, runs, titled } from './harness/page.ts';
import { pack, serve } from './harness/planktos.ts';
import { makeSite, oddNames, page, scripts, urlPath } from './harness/site.ts';
import type { Site } from './harness/site.ts';
import { staticHost } from './harness/static.ts';
import { keeps } from './harness/store.ts';
import { until } from './harness/wait.ts';

/** How long a navigation waits for the manifest. */
const patienceMs = 1_200;
const once = Object.fromEntries(scripts.map((name) => [name, 1]));

const browsers = launchAll({ after });

for (const [kind, browser] of browsers) {
  describe(kind, () => {
    /** A site, its origin, and a visitor whose worker is in control. */
    async function arrived(t: TestContext): Promise<{ site: Site; host: Origin; who: Visitor }> {
      const site = await makeSite(t, { pictureSide: 48, large: false });
      const host = await origin(t, (await serve(t, site.dir)).url);
      const who = await visitor(t, browser);
      assert.notEqual(await open(who.page, host.url), 'http');
      assert.equal(await controlled(who.page), true);
      return { site, host, who };
    }

    /** The page is the one meant, whole, and each of its scripts has run once. */
    async function right(tab: Page, title: string): Promise<void> {
      await titled(tab, title);
      assert.deepEqual(await runs(tab), once);
      assert.deepEqual(await brokenPictures(tab), []);
      assert.equal(await tab.evaluate(() => getComputedStyle(document.body).color), 'rgb(1, 2, 3)');
      await ready(tab);
    }

    test('first visit, reload, same-tab navigation, link, back, forward', { timeout: 180_000 }, async (t) => {
      const { host, who } = await arrived(t);
      await explained([who], async () => {
        await right(who.page, 'Front');
        await who.page.reload({ waitUntil: 'load' });
        await right(who.page, 'Front');
        await who.page.goto(`${host.url}second.html`, { waitUntil: 'load' });
        await right(who.page, 'Second');
        await Promise.all([who.page.waitForNavigation({ waitUntil: 'load' }), who.page.click('#gallery')]);
        await right(who.page, 'Gallery');
        await who.page.evaluate(() => history.back());
        await right(who.page, 'Second');
        await who.page.evaluate(() => history.forward());
        await right(who.page, 'Gallery');
        assert.deepEqual(who.errors, []);
      });
    });

    test('a new tab, opened by a link and by the visitor', { timeout: 120_000 }, async (t) => {
      const { host, who } = await arrived(t);
      await explained([who], async () => {
        const opened = new Promise<Page | null>((done) => who.page.once('popup', done));
        await who.page.click('#blank');
        const popup = await opened;
        assert.ok(popup);
        await right(popup, 'Second');
        const tab = await who.tab();
        await tab.goto(`${host.url}gallery.html`, { waitUntil: 'load' });
        await right(tab, 'Gallery');
        assert.deepEqual(who.errors, []);
      });
    });

    test('an apostrophe in the path injects nothing', { timeout: 120_000 }, async (t) => {
      const { host, who } = await arrived(t);
      await explained([who], async () => {
        await who.page.goto(`${host.url}it's%20here.html?x='><script>window.injected=1</script>`, {
          waitUntil: 'load',
        });
        await right(who.page, 'Apostrophe');
        assert.equal(await who.page.evaluate(() => 'injected' in window), false);
        await who.page.goto(`${host.url}nothing'-alert(1)-'.html`, { waitUntil: 'load' });
        assert.equal(await who.page.title(), 'Not found');
      });
    });

    test('odd names are served, again from the store, byte for byte', { timeout: 120_000 }, async (t) => {
      const { site, host, who } = await arrived(t);
      await explained([who], async () => {
        for (let visit = 0; visit < 2; visit++) {
          await who.page.goto(`${host.url}odd.html`, { waitUntil: 'load' });
          await right(who.page, 'Odd names');
          for (const path of oddNames) {
            const got = await fetchIn(who.page, host.url + urlPath(path));
            assert.equal(got.sha256, site.hash(path), path);
          }
          const empty = await fetchIn(who.page, `${host.url}css/empty.css`);
          assert.deepEqual([empty.status, empty.length], [200, 0]);
        }
        assert.deepEqual(who.errors, []);
      });
    });

    test('/dir, /dir/, a query and a fragment', { timeout: 120_000 }, async (t) => {
      const { host, who } = await arrived(t);
      await explained([who], async () => {
        for (const [path, end] of [
          ['sub/', 'sub/'],
          ['sub', 'sub/'],
          ['sub/index.html', 'sub/index.html'],
          ['sub/?q=1#part', 'sub/?q=1#part'],
        ] as const) {
          for (let visit = 0; visit < 2; visit++) {
            await who.page.goto(host.url + path, { waitUntil: 'load' });
            await right(who.page, 'Sub');
            assert.equal(who.page.url(), host.url + end);
          }
        }
      });
    });

    test("an unknown path gives the origin's 404", { timeout: 120_000 }, async (t) => {
      const { host, who } = await arrived(t);
      await explained([who], async () => {
        const answer = await who.page.goto(`${host.url}no/such/page`, { waitUntil: 'load' });
        assert.equal(answer?.status(), 404);
        assert.equal(await who.page.title(), 'Not found');
        assert.equal((await fetchIn(who.page, `${host.url}no/such.png`)).status, 404);
        for (const path of ['__proto__', 'constructor', 'toString', '%2e%2e/%2e%2e/etc/passwd', 'a%5Cb', 'a%00b']) {
          assert.ok((await fetchIn(who.page, host.url + path)).status >= 400, path);
        }
      });
    });

    test('POST and cross-origin requests are untouched', { timeout: 120_000 }, async (t) => {
      const { site, host, who } = await arrived(t);
      const other = await echo(t);
      await explained([who], async () => {
        host.rules = [
          (path, request) =>
            request.method === 'POST' && path === 'js/classic.js' ? { status: 201, body: 'posted' } : undefined,
        ];
        const posted = await fetchIn(who.page, `${host.url}js/classic.js`, { method: 'POST', body: 'x' });
        assert.deepEqual([posted.status, posted.text], [201, 'posted']);
        const got = await fetchIn(who.page, `${host.url}js/classic.js`);
        assert.equal(got.sha256, site.hash('js/classic.js'));
        const foreign = await fetchIn(who.page, `${other}js/classic.js`, { headers: { 'x-mine': 'yes' } });
        assert.deepEqual(JSON.parse(foreign.text), { method: 'GET', url: '/js/classic.js', mine: 'yes' });
      });
    });

    test('a new release is seen on the first navigation after it', { timeout: 180_000 }, async (t) => {
      const { site, host, who } = await arrived(t);
      await explained([who], async () => {
        await open(who.page, `${host.url}second.html`);
        await right(who.page, 'Second');
        /** Whether it is: where this machine stalls, and the manifest with it, a page begins with the release before. */
        const seen = async (release: number): Promise<boolean> => {
          const old = await who.page.evaluate(() => window.planktos.snapshot);
          const title = `Second, release ${release}`;
          await site.write('img/new.png', site.files.get('img/front-1.png')!);
          await site.write('js/classic.js', `(window.runs ??= {}).classic = 1; window.release = ${release};\n`);
          await site.write('second.html', page(title, ['img/new.png'])); // what is packed with it has the others, too
          await serverHas(host, 'second.html', title);

          const beganMs = performance.now();
          await open(who.page, `${host.url}second.html`);
          if ((await who.page.title()) !== title) {
            assert.ok(performance.now() - beganMs > patienceMs, 'the manifest was not waited for');
            return false;
          }
          await right(who.page, title);
          assert.equal(await who.page.evaluate(() => Reflect.get(window, 'release')), release);
          assert.notEqual(await who.page.evaluate(() => window.planktos.snapshot), old);
          await who.page.reload({ waitUntil: 'load' });
          await right(who.page, title);
          return true;
        };
        assert.ok((await seen(2)) || (await seen(3)) || (await seen(4)), 'three releases were seen later');
      });
    });

    test('where browsers may keep a page, it waits for nobody; the next one is of the release, whole', async (t) => {
      const { site, host, who } = await arrived(t);
      const second = `${host.url}second.html`;
      host.rules = [(path) => (path.includes('planktos') ? undefined : { headers: { 'cache-control': 'max-age=3600' } })];
      await explained([who], async () => {
        // From now on the browser has the two in its HTTP cache, for an hour.
        await open(who.page, second);
        for (const path of ['second.html', 'js/classic.js']) await fetchIn(who.page, host.url + path, { cache: 'reload' });
        await who.page.reload({ waitUntil: 'load' });
        await keeps(who.page, host.url, ['second.html', 'js/classic.js']);
        const title = 'Second, released';
        await site.write('js/classic.js', '(window.runs ??= {}).classic = 1; window.release = 2;\n');
        await site.write('second.html', page(title, ['img/front-1.png']));
        await serverHas(host, 'second.html', title);
        await open(who.page, second);
        await right(who.page, 'Second');
        const isNext = async (): Promise<boolean> => {
          await open(who.page, second);
          return (await who.page.title()) === title;
        };
        await until('the release to be seen', isNext, { timeoutMs: 60_000 });
        await right(who.page, title);
        // Not what the page has run: Chromium may have that in memory, of the page before, and asks nobody.
        assert.match((await fetchIn(who.page, `${host.url}js/classic.js`)).text, /release = 2/);
        await keeps(who.page, host.url, ['second.html', 'js/classic.js']);
      });
    });

    test('a page loaded before a release keeps its own files', { timeout: 120_000 }, async (t) => {
      const site = await makeSite(t, { pictureSide: 48, large: false });
      await site.write('late.js', 'window.late = 1;\n');
      await pack(site.dir, '--inject');
      const host = await origin(t, await staticHost(t, site.dir));
      const who = await visitor(t, browser);
      await explained([who], async () => {
        await open(who.page, host.url);
        await open(who.page, `${host.url}second.html`);
        await site.write('late.js', 'window.late = 2;\n');
        const { snapshot } = await pack(site.dir, '--inject');
        const other = await who.tab();
        const isNewer = async (): Promise<boolean> => {
          await open(other, `${host.url}gallery.html`);
          return (await other.evaluate(() => window.planktos.snapshot)) === snapshot;
        };
        await until('the other page to be of the release', isNewer, { timeoutMs: 60_000 });
        assert.match((await fetchIn(other, `${host.url}late.js`)).text, /late = 2/);
        assert.match((await fetchIn(who.page, `${host.url}late.js`)).text, /late = 1/);
      });
    });

    test('no request of these went astray', { timeout: 120_000 }, async (t) => {
      const { host, who } = await arrived(t);
      await explained([who], async () => {
        await open(who.page, `${host.url}gallery.html`);
        const failed = host.requests.filter(({ path, status }) => isContent(path) && status >= 400);
        assert.deepEqual(
          failed.map(({ url, status }) => `${status} ${url}`),
          [],
        );
      });
    });
  });
}

/** A server of another origin that tells what it was asked. */
async function echo(t: TestContext): Promise<string> {
  const server = http.createServer((request, response) => {
    response.writeHead(200, {
      'content-type': 'application/json',
      'access-control-allow-origin': '*',
      'access-control-allow-headers': '*',
    });
    response.end(JSON.stringify({ method: request.method, url: request.url, mine: request.headers['x-mine'] }));
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  onEnd(t, () => (server.closeAllConnections(), server.close()));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

/** Waits until the server itself, asked from outside a browser, serves the new file under a new manifest. */
async function serverHas(host: Origin, path: string, text: string): Promise<void> {
  const has = async (): Promise<boolean> => (await (await fetch(host.url + path)).text()).includes(text);
  await until(`the server to serve the new ${path}`, has, { timeoutMs: 60_000 });
}
