/**
 * `window.planktos` as planktos.d.ts declares it: what it says is so, and what it is told is done. In both browsers.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Page } from 'puppeteer-core';
import { launchAll, visitor } from './harness/browsers.ts';
import type { Launched, Visitor } from './harness/browsers.ts';
import { sha256 } from './harness/bytes.ts';
import { isContent, isHashed, origin, quiet } from './harness/origin.ts';
import type { Origin } from './harness/origin.ts';
import { brokenPictures, connected, disconnected, explained, fetchIn, open, stats } from './harness/page.ts';
import { pack, serve } from './harness/planktos.ts';
import { galleryBytes, galleryLoads, galleryPictures, makeSite, sound } from './harness/site.ts';
import type { Site } from './harness/site.ts';
import { staticHost } from './harness/static.ts';
import { keeps } from './harness/store.ts';
import { manifest } from './harness/swarm.ts';
import { until } from './harness/wait.ts';

const browsers = launchAll({ after });

/** What `planktos` has dispatched in this page, in order. */
interface Happened {
  type: string;
  detail: Record<string, unknown>;
}

/** Makes every page of this tab keep what `planktos` dispatches, from before anything can have happened. */
async function listen(page: Page): Promise<(type: string) => Promise<Array<Happened['detail']>>> {
  await page.evaluateOnNewDocument(() => {
    const happened: Happened[] = [];
    Reflect.set(window, 'happened', happened);
    Object.defineProperty(window, 'planktos', {
      configurable: true,
      set(planktos: Window['planktos']) {
        Object.defineProperty(window, 'planktos', { value: planktos });
        for (const type of ['peer', 'progress', 'update', 'status', 'consent']) {
          planktos.addEventListener(type, (event) => {
            happened.push({ type, detail: (event as CustomEvent<Happened['detail']>).detail });
          });
        }
      },
    });
  });
  return (type) =>
    page.evaluate((wanted) => {
      const happened = Reflect.get(window, 'happened') as Happened[];
      return happened.filter((each) => each.type === wanted).map(({ detail }) => detail);
    }, type);
}

/** The bytes that `progress` told of, by the path and where they came from. */
function told(events: ReadonlyArray<Happened['detail']>, path: string, source: string): number {
  const of = events.filter((event) => event['path'] === path && event['source'] === source);
  return of.reduce((total, event) => total + (event['bytes'] as number), 0);
}

for (const [kind, browser] of browsers) {
  describe(kind, () => {
    test('stats, connections, peer and progress; pause and resume', { timeout: 300_000 }, async (t) => {
      const site = await makeSite(t, { large: false });
      // Nothing comes ahead of its request, which the events tell of.
      const host = await origin(t, (await serve(t, site.dir, '--prefer', 'offload', '--prefetch', '0')).url);
      const needed = galleryBytes(site);
      const [giver, taker] = [await visitor(t, browser), await visitor(t, browser)];
      const gave = await listen(giver.page);
      const took = await listen(taker.page);
      await explained([giver, taker], async () => {
        assert.equal(await open(giver.page, host.url), 'peers');
        assert.equal(await giver.page.evaluate(() => window.planktos.connections), 0);
        await open(giver.page, `${host.url}gallery.html`);
        assert.deepEqual(await brokenPictures(giver.page), []);
        await keeps(giver.page, host.url, galleryLoads);
        const counted = async () => {
          const now = await stats(giver.page);
          assert.ok(now.page.origin >= needed, JSON.stringify(now));
          return now;
        };
        const { page: alone, ...ever } = await until('the giver to have counted what it was given', counted);
        assert.ok(ever.origin >= alone.origin, JSON.stringify({ alone, ever }));
        assert.deepEqual([ever.peers, ever.uploaded], [0, 0]);
        const [first] = galleryPictures;
        const hears = async (): Promise<boolean> => told(await gave('progress'), first!, 'origin') === site.size(first!);
        await until('the giver to be told of a picture', hears);

        assert.equal(await open(taker.page, host.url), 'peers');
        await Promise.all([connected(giver.page), connected(taker.page)]);
        const { snapshot } = await manifest(host.url);
        assert.equal(await taker.page.evaluate(() => window.planktos.snapshot), snapshot);
        for (const heard of [gave, took]) {
          const [peer] = await until('the page to be told of its peer', async () => {
            const peers = await heard('peer');
            return peers.length > 0 && peers;
          });
          assert.equal(peer?.['connected'], true);
          assert.ok(peer['id']);
          await until('one connection', async () => (await heard('status')).at(-1)?.['connections'] === 1);
        }

        await quiet(host, isContent);
        // However busy the machine is, peers are quicker.
        const given = (path: string): boolean => galleryPictures.includes(path) || isHashed(path);
        host.rules = [(path) => (given(path) ? { delayMs: 10_000 } : undefined)];
        const before = await stats(taker.page);
        for (const path of galleryPictures) assert.equal((await fetchIn(taker.page, path)).sha256, site.hash(path));
        await until('the taker to have counted what peers gave', async () => {
          return (await stats(taker.page)).peers - before.peers >= needed * 0.9;
        });
        await until('the giver to have counted what it gave', async () => {
          return (await stats(giver.page)).uploaded >= needed * 0.9;
        });
        await until('the taker to be told where the pictures are from', async () => {
          const events = await took('progress');
          const whole = galleryPictures.filter((path) => told(events, path, 'peers') === site.size(path));
          assert.ok(whole.length >= galleryPictures.length * 0.9, `${whole.length} pictures told of as from peers`);
          for (const path of whole)
            assert.equal(events.find((event) => event['path'] === path)?.['size'], site.size(path));
          return true;
        });
        host.rules = [];
        await keeps(taker.page, host.url, galleryPictures);

        // The totals outlive a page, and the page's own begin anew.
        await open(taker.page, `${host.url}second.html`);
        const later = await stats(taker.page);
        assert.ok(later.peers >= needed * 0.9, JSON.stringify(later));
        assert.ok(later.page.peers < needed * 0.5, JSON.stringify(later));
        assert.equal((await fetchIn(taker.page, galleryPictures[1]!)).sha256, site.hash(galleryPictures[1]!));
        const { page } = await stats(taker.page);
        assert.ok(page.store >= site.size(galleryPictures[1]!), JSON.stringify(page));
        await until('the taker to be told of the store', async () => {
          return told(await took('progress'), galleryPictures[1]!, 'store') === site.size(galleryPictures[1]!);
        });

        await connected(taker.page);
        await taker.page.evaluate(() => window.planktos.pause());
        for (const { page: each } of [giver, taker]) {
          await disconnected(each);
        }
        for (const heard of [gave, took]) {
          await until('the page to be told', async () => (await heard('peer')).at(-1)?.['connected'] === false);
        }
        assert.equal((await fetchIn(taker.page, 'js/module.js')).sha256, site.hash('js/module.js'));
        await taker.page.evaluate(() => window.planktos.resume());
        await Promise.all([connected(giver.page), connected(taker.page)]);
        assert.deepEqual(giver.errors.concat(taker.errors), []);
      });
    });

    test('consent is asked for once, for all tabs', { timeout: 180_000 }, async (t) => {
      const { host, who } = await arrived(t, browser, '--mode', 'ask');
      const tab = await who.tab();
      const heard = await listen(tab);
      const state = (page: Page): Promise<string> => page.evaluate(() => window.planktos.consent.state);
      await explained([who], async () => {
        assert.equal(await open(tab, `${host.url}second.html`), 'worker');
        assert.equal(await state(tab), 'unset');
        for (const [act, now] of [
          ['grant', 'granted'],
          ['deny', 'denied'],
          ['revoke', 'unset'],
        ] as const) {
          await who.page.evaluate((name) => window.planktos.consent[name](), act);
          assert.equal(await state(who.page), now);
          await until(`the other tab to know: ${now}`, async () => (await state(tab)) === now);
          await until(`the other tab to hear: ${now}`, async () => (await heard('consent')).at(-1)?.['state'] === now);
        }
        assert.equal(await open(tab, host.url), 'worker');
      });
    });

    test('getFile and fetch', { timeout: 180_000 }, async (t) => {
      const { site, host, who } = await arrived(t, browser);
      await explained([who], async () => {
        await open(who.page, `${host.url}sub/`);
        for (const path of [sound, `odd/it's "quoted" & <b>.png`, 'odd/__proto__', 'css/empty.css', '/js/module.js']) {
          const got = await who.page.evaluate(async (name) => {
            const file = await window.planktos.getFile(name);
            const hash = async (bytes: ArrayBuffer): Promise<string> =>
              [...new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))].map(hex).join('');
            const hex = (byte: number): string => byte.toString(16).padStart(2, '0');
            const blob = await file.getBlob();
            const stream = new Response(await file.getStream());
            return {
              length: file.length,
              blob: await hash(await blob.arrayBuffer()),
              stream: await hash(await stream.arrayBuffer()),
            };
          }, path);
          const file = path.replace(/^\//, '');
          const want = { length: site.size(file), blob: site.hash(file), stream: site.hash(file) };
          assert.deepEqual(got, want, path);
        }
        const missing = await who.page.evaluate(
          async (names) => {
            const failures = names.map((name) =>
              window.planktos.getFile(name).then(String, (error: Error) => error.name),
            );
            return Promise.all(failures);
          },
          ['no/such.png', '__proto__', '../index.html', 'planktos/manifest.json', ''],
        );
        assert.deepEqual(
          missing.slice(0, 4),
          Array.from({ length: 4 }, () => 'NotFoundError'),
        );

        const fetched = await who.page.evaluate(async () => {
          const { planktos } = window;
          const texts = [];
          for (const request of ['js/classic.js', new URL('../js/classic.js', location.href)]) {
            texts.push(await (await planktos.fetch(request)).text());
          }
          texts.push(await (await planktos.fetch(new Request('../js/classic.js'))).text());
          return { texts, status: (await planktos.fetch('no/such.png')).status };
        });
        const script = site.files.get('js/classic.js')!.toString();
        assert.deepEqual(fetched, { texts: [script, script, script], status: 404 });
        const part = await who.page.evaluate(async (url) => {
          const response = await window.planktos.fetch(url, { headers: { range: 'bytes=100-199' } });
          return { status: response.status, bytes: [...new Uint8Array(await response.arrayBuffer())] };
        }, sound);
        assert.equal(part.status, 206);
        assert.equal(sha256(Uint8Array.from(part.bytes)), sha256(site.files.get(sound)!.subarray(100, 200)));
      });
    });

    test('update, its event, and the snapshots that are known', { timeout: 240_000 }, async (t) => {
      const site = await makeSite(t, { pictureSide: 48, large: false });
      const ids = [(await pack(site.dir, '--inject'))['snapshot'] as string];
      const host = await origin(t, await staticHost(t, site.dir));
      const who = await visitor(t, browser);
      const heard = await listen(who.page);
      const release = async (text: string): Promise<string> => {
        await site.write('late.js', text);
        ids.push((await pack(site.dir, '--inject'))['snapshot'] as string);
        return ids.at(-1)!;
      };
      const known = (page: Page): Promise<Array<[number, boolean]>> =>
        page
          .evaluate(() => window.planktos.getAllSnapshots())
          .then((all) => all.map(({ id, current }): [number, boolean] => [ids.indexOf(id), current]).sort());
      const remove = (index: number): Promise<boolean> =>
        who.page.evaluate((id) => window.planktos.removeSnapshot(id), ids[index]!);
      await explained([who], async () => {
        const begun = Date.now();
        await open(who.page, host.url);
        assert.equal(await who.page.evaluate(() => window.planktos.update()), ids[0]);
        assert.deepEqual(await heard('update'), [], 'nothing is new');
        assert.deepEqual(await known(who.page), [[0, true]]);
        const [{ firstSeenMs = 0 } = {}] = await who.page.evaluate(() => window.planktos.getAllSnapshots());
        assert.ok(firstSeenMs >= begun - 1000 && firstSeenMs <= Date.now() + 1000, `first seen at ${firstSeenMs}`);

        const next = async (): Promise<void> => {
          const id = await release(`window.late = ${ids.length};\n`);
          assert.equal(await who.page.evaluate(() => window.planktos.update()), id);
          await until(
            'the page to hear of the release',
            async () => (await heard('update')).at(-1)?.['snapshot'] === id,
          );
        };
        await next();
        // Some seconds after its page began the worker itself forgets what no page lives on: it may do so just now, once.
        const between = await until('a release that is neither the newest nor a page\'s to be removed', async () => {
          await next();
          const last = ids.length - 1;
          assert.equal(await who.page.evaluate(() => window.planktos.snapshot), ids[0], 'the page stays on its own');
          assert.deepEqual(await known(who.page), [
            [0, false],
            [last - 1, false],
            [last, true],
          ]);
          return (await remove(last - 1)) && last - 1;
        }, { timeoutMs: 60_000 });
        const last = between + 1;
        assert.equal(await remove(0), false, 'the page lives on it');
        assert.equal(await remove(last), false, 'it is the newest');
        assert.equal(await remove(between), false, 'it is gone');
        assert.equal(await who.page.evaluate(() => window.planktos.removeSnapshot('no such snapshot')), false);
        assert.deepEqual(await known(who.page), [
          [0, false],
          [last, true],
        ]);
        await until('a page of the newest', async () => {
          await open(who.page, `${host.url}second.html`);
          return (await who.page.evaluate(() => window.planktos.snapshot)) === ids[last];
        });
        assert.equal((await fetchIn(who.page, 'late.js')).text, `window.late = ${last};\n`);
        assert.deepEqual(who.errors, []);
      });
    });

    test('where Planktos is not, nothing throws', { timeout: 180_000 }, async (t) => {
      const { host, who } = await arrived(t, browser);
      await explained([who], async () => {
        assert.equal(await open(who.page, `${host.url}?planktos=off`), 'http');
        const got = await who.page.evaluate(async () => {
          const { planktos } = window;
          await planktos.pause();
          await planktos.resume();
          await planktos.consent.grant();
          return {
            stats: await planktos.stats(),
            connections: planktos.connections,
            snapshot: planktos.snapshot,
            snapshots: await planktos.getAllSnapshots(),
            removed: await planktos.removeSnapshot('x'),
            update: await planktos.update(),
            consent: planktos.consent.state,
            file: await planktos.getFile('js/classic.js').then(String, (error: Error) => error.name),
            status: (await planktos.fetch('/js/classic.js')).status,
          };
        });
        const none = { origin: 0, peers: 0, store: 0, uploaded: 0 };
        assert.deepEqual(got, {
          stats: { ...none, page: none },
          connections: 0,
          snapshot: '',
          snapshots: [],
          removed: false,
          update: '',
          consent: 'unset',
          file: 'NotFoundError',
          status: 200,
        });
      });
    });
  });
}

/** A visitor who has the site's front page open, under the worker. */
async function arrived(
  t: TestContext,
  browser: Launched,
  ...args: string[]
): Promise<{ site: Site; host: Origin; who: Visitor }> {
  const site = await makeSite(t, { pictureSide: 48 });
  const host = await origin(t, (await serve(t, site.dir, ...args)).url);
  const who = await visitor(t, browser);
  assert.notEqual(await open(who.page, host.url), 'http');
  return { site, host, who };
}
