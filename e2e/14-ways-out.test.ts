/**
 * What ends Planktos, and what must not end a page: a site that is rid of its worker, a worker that fails to start or is
 * killed, a visitor who saves data. Chromium alone lets a test move a worker's clock, and stop a worker.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { TestContext } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { launchAll, visitor } from './harness/browsers.ts';
import type { Visitor } from './harness/browsers.ts';
import { noise } from './harness/bytes.ts';
import { isByEngine, origin } from './harness/origin.ts';
import type { Origin, Rule } from './harness/origin.ts';
import { brokenPictures, connected, controlled, disconnected, explained, fetchIn } from './harness/page.ts';
import { holds, kept, loaded, open, runs } from './harness/page.ts';
import { binary, pack, serve, tracker } from './harness/planktos.ts';
import { check } from './harness/process.ts';
import { galleryBytes, galleryLoads, galleryPictures, makeSite, scripts, sound } from './harness/site.ts';
import type { Site } from './harness/site.ts';
import { staticHost } from './harness/static.ts';
import { keeps } from './harness/store.ts';
import { until } from './harness/wait.ts';
import { advanceClock, stopWorker } from './harness/worker.ts';

const browsers = launchAll({ after });
const browser = browsers.find(([kind]) => kind === 'chrome')![1];
const once = Object.fromEntries(scripts.map((name) => [name, 1]));
const minutes = 60_000;

/** A visitor of a packed site who has its gallery, and shares. */
async function settled(t: TestContext, by = browser): Promise<{ site: Site; host: Origin; who: Visitor }> {
  const site = await makeSite(t, { pictureSide: 64, large: false });
  await pack(site.dir, '--inject');
  const host = await origin(t, await staticHost(t, site.dir));
  const who = await visitor(t, by);
  await open(who.page, host.url);
  await open(who.page, `${host.url}gallery.html`);
  await keeps(who.page, host.url, galleryLoads);
  return { site, host, who };
}

for (const status of [404, 410]) {
  test(
    `worker and manifest answer ${status}, twice, ten minutes apart: all is gone`,
    { timeout: 180_000 },
    async (t) => {
      const { host, who } = await settled(t);
      const gone: Rule = (path) => (/^planktos(\.sw\.min\.js|\/manifest\.json)$/.test(path) ? { status } : undefined);
      const reload = async (): Promise<void> => {
        await who.page.reload({ waitUntil: 'load' });
        await loaded(who.page);
        assert.deepEqual(await brokenPictures(who.page), []);
        assert.deepEqual(await runs(who.page), once);
      };
      await explained([who], async () => {
        host.rules = [gone];
        for (const later of [0, 9 * minutes]) {
          if (later) await advanceClock(who, later);
          await reload();
          await until('the worker to have noted it', () => who.page.evaluate(isNoted, host.url));
          const { files, workers } = await kept(who.page);
          assert.ok(files.length > 0 && workers === 1, `after ${later} ms: ${files.length} files, ${workers} workers`);
        }
        await advanceClock(who, 2 * minutes);
        await reload();
        const nothing = async (): Promise<true> => {
          assert.deepEqual(await kept(who.page), { files: [], caches: [], workers: 0 });
          return true;
        };
        await until('the worker and all that it kept to be gone', nothing);
        await reload();
        assert.equal(await controlled(who.page), false);
        // The page's script, which its HTML still names, has tried to register the worker anew.
        await until('no worker to have come back', nothing);
      });
    },
  );
}

/** Has another script take over. */
async function replaceWorker(who: Visitor, host: Origin, body: string): Promise<void> {
  // The browser may look for a new script by itself as soon as there is one.
  await who.page.evaluate(() => {
    navigator.serviceWorker.addEventListener('controllerchange', () => Reflect.set(window, 'taken', true));
  });
  const headers = { 'content-type': 'text/javascript' };
  host.rules = [(path) => (path === 'planktos.sw.min.js' ? { status: 200, body, headers } : undefined)];
  await who.page.evaluate(async () => void (await (await navigator.serviceWorker.getRegistration())!.update()));
  await until('the new worker to take over', () => who.page.evaluate(() => Reflect.has(window, 'taken')));
}

for (const [does, rule] of [
  ['refuses', () => ({ refuse: true })],
  ['hangs', () => ({ stall: true })],
] satisfies Array<[string, Rule]>) {
  test(`a worker that takes seconds to open its store: the origin ${does}`, { timeout: 180_000 }, async (t) => {
    const { host, who } = await settled(t);
    const script = await (await fetch(`${host.url}planktos.sw.min.js`)).text();
    const slow = `const opfs = navigator.storage.getDirectory.bind(navigator.storage);
      navigator.storage.getDirectory = async () => {
        if (await caches.has('slow')) await new Promise((open) => setTimeout(open, 4000));
        return opfs();
      };`;
    await explained([who], async () => {
      await replaceWorker(who, host, `${slow}\n${script}`);
      await open(who.page, `${host.url}gallery.html`);
      await who.page.evaluate(() => caches.open('slow'));
      host.rules = [rule];
      await stopWorker(who);
      await open(who.page, `${host.url}gallery.html`);
      assert.equal(await who.page.title(), 'Gallery');
      assert.deepEqual(await brokenPictures(who.page), []);
      assert.deepEqual(await runs(who.page), once);
    });
  });
}

test('a worker that fails to start three times switches itself off until a release', { timeout: 300_000 }, async (t) => {
  const { site, host, who } = await settled(t);
  // A worker that cannot open the store any more, once the test says so: the same script in every release from now on.
  const script = await (await fetch(`${host.url}planktos.sw.min.js`)).text();
  const failing = `const opfs = navigator.storage.getDirectory.bind(navigator.storage);
    navigator.storage.getDirectory = async () => (await caches.has('fail')) ? new Promise(() => {}) : opfs();`;
  const visit = async (): Promise<boolean> => {
    const answer = await who.page.goto(`${host.url}gallery.html`, { waitUntil: 'load' });
    await loaded(who.page);
    assert.equal(await who.page.title(), 'Gallery');
    assert.deepEqual(await brokenPictures(who.page), []);
    assert.deepEqual(await runs(who.page), once);
    return answer!.fromServiceWorker();
  };
  await explained([who], async () => {
    await replaceWorker(who, host, `${failing}\n${script}`);
    assert.equal(await visit(), true);
    await who.page.evaluate(() => caches.open('fail'));
    for (let start = 0; start < 3; start++) {
      await stopWorker(who);
      await visit();
    }
    // Starts that are a minute apart are not taken to be a loop: as they may be on a busy machine.
    await until('the worker to be off', async () => {
      await stopWorker(who);
      await visit();
      return !(await visit());
    }, { timeoutMs: 120_000 });
    assert.equal((await fetchIn(who.page, 'js/classic.js')).status, 200);

    await who.page.evaluate(() => caches.delete('fail'));
    assert.equal(await visit(), false, 'what failed is not tried again');
    await stopWorker(who);
    await visit();
    assert.equal(await visit(), false, 'nor by the worker that is started next');
    await site.write(galleryPictures[0]!, site.files.get('img/front-0.png')!);
    await pack(site.dir, '--inject');
    await stopWorker(who);
    await visit();
    await until('the next release to serve', visit, { timeoutMs: 60_000 });
    assert.equal(await controlled(who.page), true);
    assert.equal((await fetchIn(who.page, galleryPictures[0]!)).sha256, site.hash(galleryPictures[0]!));
  });
});

test(
  'a worker killed in the middle of a response: no short body, and all is right again',
  { timeout: 240_000 },
  async (t) => {
    const site = await makeSite(t);
    const host = await origin(t, (await serve(t, site.dir)).url);
    const [who, other] = [await visitor(t, browser), await visitor(t, browser)];
    await explained([who, other], async () => {
      for (const { page } of [who, other]) {
        await open(page, host.url);
        await open(page, `${host.url}gallery.html`);
      }
      await Promise.all([connected(who.page), connected(other.page)]);
      host.rules = [(path) => (path === sound ? { slowMs: 6_000 } : undefined)];
      await who.page.evaluate((url) => {
        const read = async (): Promise<number> => {
          const reader = (await fetch(url)).body!.getReader();
          let length = 0;
          for (let part; !(part = await reader.read()).done;) {
            length += part.value.length;
            Reflect.set(window, 'begun', true);
          }
          return length;
        };
        read().then(
          (length) => Reflect.set(window, 'ended', length),
          (error: Error) => Reflect.set(window, 'ended', error.name),
        );
      }, sound);
      await who.page.waitForFunction(() => Reflect.get(window, 'begun') as boolean, { polling: 50 });
      await stopWorker(who);
      const ended = await who.page.waitForFunction(() => Reflect.get(window, 'ended') as string | number, {
        polling: 50,
      });
      const how = await ended.jsonValue();
      assert.ok(how === site.size(sound) || typeof how === 'string', `ended after ${how} bytes, as if whole`);
      host.rules = [];
      assert.equal((await fetchIn(who.page, sound)).sha256, site.hash(sound));
      for (const path of galleryPictures) assert.equal((await fetchIn(who.page, path)).sha256, site.hash(path), path);
      // Its page still has its engine, which the new worker asks for.
      await Promise.all([connected(who.page), connected(other.page)]);
      await who.page.reload({ waitUntil: 'load' });
      await loaded(who.page);
      assert.deepEqual(await brokenPictures(who.page), []);
      assert.deepEqual(await runs(who.page), once);
    });
  },
);

test('a worker that is stopped while peers come and go runs again to tell its page', { timeout: 240_000 }, async (t) => {
  const site = await makeSite(t, { large: false });
  const host = await origin(t, (await serve(t, site.dir)).url);
  const [who, other] = [await visitor(t, browser), await visitor(t, browser)];
  await explained([who, other], async () => {
    for (const { page } of [who, other]) await open(page, host.url);
    await Promise.all([connected(who.page), connected(other.page)]);
    await stopWorker(who);
    await other.page.goto('about:blank');
    await disconnected(who.page);
    await stopWorker(who);
    await open(other.page, host.url);
    await connected(who.page);
  });
});

/** Whether the worker's records say that the site has lost it. */
async function isNoted(scope: string): Promise<boolean> {
  const record = await caches.match(`${scope}planktos/:state`);
  return ((await record?.json()) ?? {}).goneMs > 0;
}

/** Asks for the worker's script; the page may be none of the worker's any more. */
const update = (): Promise<unknown> =>
  navigator.serviceWorker.getRegistration().then((each) => each?.update().catch(() => undefined));

/** A page as over plain HTTP, of a site that has Planktos no more. */
async function isPlain(who: Visitor, host: Origin): Promise<void> {
  await who.page.goto(`${host.url}gallery.html`, { waitUntil: 'load' });
  // Chromium loads a page anew by itself when the load before it had failed.
  await until('the page to be there', async () => isDeepStrictEqual(await runs(who.page), once));
  assert.equal(await controlled(who.page), false);
  assert.deepEqual(await brokenPictures(who.page), []);
}
const nothingIsKept = (who: Visitor): Promise<unknown> =>
  until('the worker and all that it kept to be gone', async () => {
    assert.deepEqual(await kept(who.page), { files: [], caches: [], workers: 0 });
    return true;
  });

for (const [kind, by] of browsers) {
  test(`${kind}: removed, and then an outage: the last worker needs nobody to go`, { timeout: 180_000 }, async (t) => {
    const { site, host, who } = await settled(t, by);
    await explained([who], async () => {
      await check(await binary(), ['remove'], { cwd: site.dir });
      let fetched = false;
      host.rules = [
        (path) => {
          if (fetched) return { refuse: true };
          fetched = path === 'planktos.sw.min.js';
          return undefined;
        },
      ];
      await who.page.evaluate(update);
      assert.equal(fetched, true);
      await nothingIsKept(who);
      await assert.rejects(who.page.goto(`${host.url}gallery.html`), /ERR(OR)?_/, 'as over plain HTTP');
      host.rules = [];
      await isPlain(who, host);
    });
  });

  test(`${kind}: removed in an outage: the site goes on, and goes when its server is back`, { timeout: 180_000 }, async (t) => {
    const { site, host, who } = await settled(t, by);
    await explained([who], async () => {
      host.rules = [() => ({ refuse: true })];
      await check(await binary(), ['remove'], { cwd: site.dir });
      await who.page.evaluate(update);
      await open(who.page, `${host.url}gallery.html`);
      assert.equal(await controlled(who.page), true);
      assert.deepEqual(await brokenPictures(who.page), []);
      assert.deepEqual(await runs(who.page), once);
      host.rules = [];
      await who.page.evaluate(update);
      await nothingIsKept(who);
      await isPlain(who, host);
    });
  });
}

/** How a site's owner has Planktos leave. */
const leavings: Array<[string, string[]]> = [
  ['disabled', ['disable']],
  ['removed', ['remove']],
];
for (const [kind, by] of browsers) {
  for (const [how, args] of leavings) {
    test(`${kind}: ${how} while a tab fetches a large file: nothing of that stays`, { timeout: 240_000 }, async (t) => {
      const site = await makeSite(t, { large: false });
      const large = [0, 1, 2, 3].map((i) => `media/${i}.bin`);
      for (const path of large) await site.write(path, noise(path, 5_000_000));
      await pack(site.dir, '--inject', '--prefer', 'offload', '--tracker', (await tracker(t)).url);
      const host = await origin(t, await staticHost(t, site.dir));
      const [other, who] = [await visitor(t, by), await visitor(t, by)];
      await explained([who], async () => {
        for (const { page } of [other, who]) {
          await open(page, host.url);
          await open(page, `${host.url}second.html`);
        }
        // With somebody to share with, the engine fetches it.
        await connected(who.page);
        const slow: Rule = (_, request) => (isByEngine(request) ? { slowMs: 60_000 } : undefined);
        host.rules = [slow];
        const isPart = async (): Promise<boolean> => (await kept(who.page)).files.some((name) => name.endsWith('.part'));
        // What the engine does not take within two seconds is had from the host: then the next one.
        for (const path of large) {
          await who.page.evaluate((url) => void fetch(url).then((got) => got.arrayBuffer()).catch(() => {}), path);
          if (await until('a part to be written', isPart, { timeoutMs: 8_000 }).catch(() => false)) break;
        }
        assert.ok(await isPart(), 'nothing was being written');
        await check(await binary(), [...args], { cwd: site.dir });
        const second = await who.tab();
        await second.goto(`${host.url}gallery.html`, { waitUntil: 'load' });
        await second.evaluate(update);
        who.page = second;
        await nothingIsKept(who);
      });
    });
  }
}

const savers: Array<[string, (who: Visitor) => Promise<unknown>]> = [
  ['by the header of its requests', ({ page }) => page.setExtraHTTPHeaders({ 'save-data': 'on' })],
  [
    'by what it tells its pages',
    ({ page }) =>
      page.evaluateOnNewDocument(() => {
        Object.defineProperty(Object.getPrototypeOf(Reflect.get(navigator, 'connection')), 'saveData', { value: true });
      }),
  ],
];
for (const [how, save] of savers) {
  test(`Save-Data, ${how}, means no sharing`, { timeout: 180_000 }, async (t) => {
    const site = await makeSite(t, { large: false });
    const host = await origin(t, (await serve(t, site.dir)).url);
    const who = await visitor(t, browser);
    await save(who);
    await explained([who], async () => {
      await open(who.page, host.url);
      assert.equal(await open(who.page, `${host.url}gallery.html`), 'worker');
      // By then an engine that was let would long have asked the tracker.
      await holds(who.page, galleryBytes(site));
      assert.equal(host.sockets, 0, 'the tracker was contacted');
      assert.deepEqual(await brokenPictures(who.page), []);
    });
  });
}
