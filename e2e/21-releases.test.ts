/**
 * What a release leaves of those before it: a page that was loaded two releases ago still has its own files, also where
 * each release is packed in a fresh checkout and takes the place of all that was published; and going back is seen on
 * the next navigation. The releases are signed, which changes nothing for browsers. Of a large site's release, only files
 * that have changed are fetched, and the tables of the pages that are opened.
 */
import assert from 'node:assert/strict';
import { cp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Page } from 'puppeteer-core';
import { launchAll, visitor } from './harness/browsers.ts';
import { temporaryFolder } from './harness/cleanup.ts';
import { isContent, origin } from './harness/origin.ts';
import { brokenPictures, explained, fetchIn, kept, open, openNewest } from './harness/page.ts';
import { binary, pack } from './harness/planktos.ts';
import { check } from './harness/process.ts';
import { makeLargeSite, makeSite, page } from './harness/site.ts';
import type { Site } from './harness/site.ts';
import { staticHost } from './harness/static.ts';
import { until } from './harness/wait.ts';

const browsers = launchAll({ after });

/** Browsers have a page's icon when it pleases them. */
const isAsked = (path: string): boolean => isContent(path) && path !== 'favicon.ico';

/** Makes a key that signs releases. */
async function keygen(t: TestContext): Promise<string> {
  const file = join(await temporaryFolder(t), 'site.key');
  await check(await binary(), ['keygen', file]);
  return file;
}

/** The next release of a site: a page, and a file that pages of it have not asked for yet, say its number. */
async function write(site: Site, number: number): Promise<void> {
  await site.write('late.txt', `late ${number}`);
  await site.write('second.html', page(`Second ${number}`, []));
}

/** What a page has of a file that it asks for now: of its own release. */
async function late(who: Page, url: string): Promise<string> {
  return (await fetchIn(who, `${url}late.txt`)).text;
}

for (const [kind, browser] of browsers) {
  describe(kind, () => {
    test('a page of two releases ago has its own files, and going back is a release', { timeout: 90_000 }, async (t) => {
      const site = await makeSite(t, { pictureSide: 48, large: false });
      const args = ['--inject', '--keep', '2', '--sign', await keygen(t)];
      const release = async (number: number): Promise<string> => {
        await write(site, number);
        return (await pack(site.dir, ...args))['snapshot'] as string;
      };
      const first = await release(1);
      const host = await origin(t, await staticHost(t, site.dir));
      const who = await visitor(t, browser);
      await explained([who], async () => {
        await open(who.page, host.url);
        await open(who.page, `${host.url}gallery.html`);
        await release(2);
        const third = await release(3);
        assert.equal(await late(who.page, host.url), 'late 1');

        const tab = await who.tab();
        await openNewest(tab, `${host.url}second.html`, third);
        assert.equal(await tab.title(), 'Second 3');
        await check(await binary(), ['rollback', site.dir, first.slice(0, 12), '--sign', args[4]!]);
        assert.equal(await late(tab, host.url), 'late 3');
        await openNewest(tab, `${host.url}second.html`, first);
        assert.equal(await tab.title(), 'Second 1');
        assert.equal(await late(tab, host.url), 'late 1');
        assert.equal(await tab.evaluate(() => window.planktos.snapshot), first);
      });
    });

    test('a release from a fresh checkout leaves what pages before it need', { timeout: 180_000 }, async (t) => {
      const site = await makeSite(t, { pictureSide: 48, large: false });
      const published = await temporaryFolder(t);
      const host = await origin(t, await staticHost(t, published));
      const key = await keygen(t);
      /** As CI does: everything that was published goes, and what comes was packed where nothing of it was known. */
      const deploy = async (number: number): Promise<Record<string, unknown>> => {
        await write(site, number);
        const fresh = await temporaryFolder(t);
        await cp(site.dir, fresh, { recursive: true });
        const done = await pack(fresh, '--inject', '--keep', '2', '--sign', key, '--previous', host.url);
        for (const name of await readdir(published)) await rm(join(published, name), { recursive: true });
        await cp(fresh, published, { recursive: true });
        return done;
      };
      const first = await deploy(1);
      assert.equal(first['first'], true);
      const who = await visitor(t, browser);
      await explained([who], async () => {
        await open(who.page, host.url);
        await open(who.page, `${host.url}gallery.html`);
        const second = await deploy(2);
        assert.deepEqual([second['previous'], second['lost']], [first['snapshot'], []]);
        const third = await deploy(3);
        assert.deepEqual(third['superseded'], [second['snapshot'], first['snapshot']]);
        assert.equal((third['signed'] as { sequence: number }).sequence, 3);
        assert.equal(await late(who.page, host.url), 'late 1');
        const tab = await who.tab();
        await openNewest(tab, `${host.url}second.html`, third['snapshot'] as string);
        assert.equal(await tab.title(), 'Second 3');
        assert.equal(await late(tab, host.url), 'late 3');
      });
    });

    test('a release of a large site costs what has changed, and open pages keep theirs', { timeout: 90_000 }, async (t) => {
      const site = await makeLargeSite(t);
      await pack(site.dir, '--inject');
      const host = await origin(t, await staticHost(t, site.dir));
      const [seen, unseen] = ['f15/p155.png', 'f15/p157.png'];
      const before = [seen, unseen].map((path) => site.hash(path));
      const who = await visitor(t, browser);
      await explained([who], async () => {
        for (const path of ['', 'f00/p0.html', 'f15/p155.html']) await open(who.page, host.url + path);
        const isKept = async (): Promise<boolean> => {
          const { files } = await kept(who.page);
          return ['f00/p0.png', seen].every((path) => files.some((name) => name.includes(`/${site.hash(path)}-`)));
        };
        await until('the pictures to be kept', isKept, { timeoutMs: 45_000 });
        const anew = (path: string): Buffer => Buffer.concat([site.files.get(path)!, Buffer.from('anew')]);
        for (const path of [seen, unseen]) await site.write(path, anew(path));
        await pack(site.dir, '--inject', '--keep', '1');
        const { shards: all } = JSON.parse(await (await fetch(`${host.url}planktos/manifest.json`)).text());

        host.reset();
        const tab = await who.tab();
        for (const path of ['f00/p0.html', 'f15/p155.html']) {
          await open(tab, host.url + path);
          assert.deepEqual(await brokenPictures(tab), []);
        }
        assert.equal((await fetchIn(tab, host.url + seen)).sha256, site.hash(seen));
        assert.deepEqual([...new Set(host.requests.map(({ path }) => path).filter(isAsked))], [seen]);
        const tables = new Set(host.requests.map(({ path }) => path).filter((path) => path.includes('/shards/')));
        assert.ok(tables.size < all.length, `${tables.size} of ${all.length} tables for two pages`);

        const old = [seen, unseen].map(async (path) => (await fetchIn(who.page, host.url + path)).sha256);
        assert.deepEqual(await Promise.all(old), before);
      });
    });
  });
}
