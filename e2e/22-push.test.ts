/**
 * A release reaches a page that is open, by the tracker: nobody navigates. An unsigned one is a reason to ask the origin;
 * a signed one is believed even while the origin is gone, and so is a signed word that Planktos is to leave.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Page } from 'puppeteer-core';
import { launchAll, visitor } from './harness/browsers.ts';
import type { Launched } from './harness/browsers.ts';
import { temporaryFolder } from './harness/cleanup.ts';
import { origin, quiet } from './harness/origin.ts';
import { explained, kept, open } from './harness/page.ts';
import { binary, pack, serve, tracker } from './harness/planktos.ts';
import { check } from './harness/process.ts';
import { makeSite, page as pageOf } from './harness/site.ts';
import type { Site } from './harness/site.ts';
import { staticHost } from './harness/static.ts';
import { until } from './harness/wait.ts';

const browsers = launchAll({ after });

declare global {
  interface Window {
    updates?: string[];
  }
}

/** Has a page note the updates that it is told of, and gives the last. */
async function watch(page: Page): Promise<() => Promise<string | undefined>> {
  await page.evaluate(() => {
    const updates: string[] = (window.updates = []);
    window.planktos.addEventListener('update', (event) => updates.push(event.detail.snapshot));
  });
  return () => page.evaluate(() => window.updates?.at(-1));
}

const write = (site: Site, number: number): Promise<void> => site.write('second.html', pageOf(`Second ${number}`, []));

/** A packed site on a host of its own, whose tracker is on another, and a page of it that is open and has met that. */
async function opened(t: TestContext, browser: Launched, ...args: string[]) {
  const site = await makeSite(t, { pictureSide: 48, large: false });
  const meeting = await origin(t, (await tracker(t)).url.replace(/^ws/, 'http'));
  const release = async (number: number): Promise<string> => {
    await write(site, number);
    const trackers = ['--tracker', meeting.url.replace(/^http/, 'ws')];
    return (await pack(site.dir, '--inject', ...trackers, ...args))['snapshot'] as string;
  };
  const publish = async (): Promise<Record<string, unknown>> =>
    JSON.parse(await check(await binary(), ['publish', '--json', site.dir])) as Record<string, unknown>;
  const first = await release(1);
  const host = await origin(t, await staticHost(t, site.dir));
  const who = await visitor(t, browser);
  await open(who.page, host.url);
  assert.equal(await who.page.evaluate(() => window.planktos.snapshot), first);
  await until('the page to meet the tracker', () => meeting.sockets > 0, { timeoutMs: 45_000 });
  return { site, host, who, release, publish, updated: await watch(who.page) };
}

for (const [kind, browser] of browsers) {
  describe(kind, () => {
    test('planktos publish has an open page told of a release', { timeout: 180_000 }, async (t) => {
      const { host, who, release, publish, updated } = await opened(t, browser);
      await explained([who], async () => {
        const second = await release(2);
        await quiet(host, () => true); // what the page was still to have when it was loaded, such as its icon
        host.reset();
        const done = await publish();
        assert.deepEqual([done['snapshot'], done['signed'], done['superseded']], [second, false, 1]);
        await until('the page to be told', async () => (await updated()) === second);
        // Browsers look for a newer worker, and for an icon, when it pleases them.
        const own = ['planktos.sw.min.js', 'favicon.ico'];
        const asked = host.requests.map(({ path }) => path).filter((path) => !own.includes(path));
        assert.deepEqual(asked, ['planktos/manifest.json'], 'the origin is asked once, and for nothing else');
        assert.equal(await who.page.evaluate(() => performance.getEntriesByType('navigation').length), 1);
      });
    });

    test('a signed release is handed over by the tracker, though the origin is gone', { timeout: 90_000 }, async (t) => {
      const key = join(await temporaryFolder(t), 'site.key');
      await check(await binary(), ['keygen', key]);
      const { host, who, release, publish, updated } = await opened(t, browser, '--sign', key);
      await explained([who], async () => {
        await host.stop();
        const second = await release(2);
        assert.equal((await publish())['signed'], true);
        await until('the page to be told', async () => (await updated()) === second);
      });
    });

    test('a signed disable while the origin is gone: nothing of the site is kept', { timeout: 180_000 }, async (t) => {
      const key = join(await temporaryFolder(t), 'site.key');
      await check(await binary(), ['keygen', key]);
      const { site, host, who, publish } = await opened(t, browser, '--sign', key);
      await explained([who], async () => {
        assert.equal((await kept(who.page)).workers, 1);
        await host.stop();
        await check(await binary(), ['disable', site.dir, '--sign', key]);
        const done = await publish();
        assert.deepEqual([done['snapshot'], done['signed']], ['', true]);
        await until('the worker and all that it kept to be gone', async () => {
          assert.deepEqual(await kept(who.page), { files: [], caches: [], workers: 0 });
          return true;
        });
      });
    });

    test('planktos serve notices a release by itself', { timeout: 180_000 }, async (t) => {
      const site = await makeSite(t, { pictureSide: 48, large: false });
      const host = await origin(t, (await serve(t, site.dir)).url);
      const who = await visitor(t, browser);
      await explained([who], async () => {
        await open(who.page, host.url);
        const updated = await watch(who.page);
        await until('the page to meet the tracker', () => host.sockets > 0, { timeoutMs: 45_000 });
        await write(site, 2);
        await until('the page to be told', async () => (await updated()) !== undefined);
      });
    });
  });
}
