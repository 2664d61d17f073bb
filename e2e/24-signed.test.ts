/**
 * A signed release spreads from peer to peer while the origin is gone, with no word of the tracker: an open page is told,
 * and a navigation shows it, verified. One that somebody else has signed goes no further. A signed word that Planktos is to
 * leave spreads in the same way.
 */
import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { launchAll, visitor } from './harness/browsers.ts';
import { temporaryFolder } from './harness/cleanup.ts';
import { origin } from './harness/origin.ts';
import { connected, explained, kept, open, titled } from './harness/page.ts';
import { binary, pack, tracker } from './harness/planktos.ts';
import { check, start } from './harness/process.ts';
import { makeSite, page as pageOf } from './harness/site.ts';
import { staticHost } from './harness/static.ts';
import { until } from './harness/wait.ts';

const browsers = new Map(launchAll({ after }));

for (const [kind, browser] of browsers) {
  test(`${kind}: peers hand on a signed release, and no forged one`, { timeout: 180_000 }, async (t) => {
    const site = await makeSite(t, { pictureSide: 48, large: false });
    const folder = await temporaryFolder(t);
    const program = await binary();
    for (const name of ['ours', 'theirs']) await check(program, ['keygen', join(folder, `${name}.key`)]);
    const { url } = await tracker(t);
    const release = async (dir: string, key: string): Promise<string> => {
      const done = await pack(dir, '--inject', '--tracker', url, '--sign', join(folder, `${key}.key`));
      return done['snapshot'] as string;
    };
    const first = await release(site.dir, 'ours');
    const host = await origin(t, await staticHost(t, site.dir));
    const seeders = new Map<string, { dir: string; has(snapshot: string): Promise<string> }>();
    for (const name of ['ours', 'theirs']) {
      const dir = join(folder, name);
      await cp(site.dir, dir, { recursive: true });
      const running = start(t, program, ['seed', dir, '--url', host.url, '--check', '300ms']);
      const has = (snapshot: string) => running.line((line) => line.endsWith(`snapshot ${snapshot.slice(0, 12)}`));
      await has(first);
      seeders.set(name, { dir, has });
    }

    const who = await visitor(t, browser);
    await explained([who], async () => {
      await open(who.page, host.url);
      await connected(who.page, 2);
      await who.page.evaluate(() => {
        const updates: string[] = (window.updates = []);
        window.planktos.addEventListener('update', (event) => updates.push(event.detail.snapshot));
      });
      const told = (): Promise<string[] | undefined> => who.page.evaluate(() => window.updates);
      host.rules = [() => ({ refuse: true })];
      const publish = async (name: string, title: string): Promise<string> => {
        const { dir, has } = seeders.get(name)!;
        await site.write('second.html', pageOf(title, []));
        await cp(join(site.dir, 'second.html'), join(dir, 'second.html'));
        const snapshot = await release(dir, name);
        await has(snapshot);
        return snapshot;
      };
      await publish('theirs', 'Forged');
      const second = await publish('ours', 'Second, signed');
      await until('the page to be told', async () => !!(await told())?.length);
      assert.deepEqual(await told(), [second]);
      assert.equal(await who.page.evaluate(() => window.planktos.snapshot), first, 'the page stays on its snapshot');

      // The loader page comes first, and reloads itself once it has the document.
      await who.page.goto(`${host.url}second.html`, { waitUntil: 'domcontentloaded' });
      await titled(who.page, 'Second, signed');
      assert.equal(await who.page.evaluate(() => window.planktos.ready.then(() => window.planktos.snapshot)), second);
    });
  });

  test(`${kind}: a peer hands on that Planktos is disabled, and nothing is kept`, { timeout: 180_000 }, async (t) => {
    const site = await makeSite(t, { pictureSide: 48, large: false });
    const key = join(await temporaryFolder(t), 'site.key');
    const program = await binary();
    await check(program, ['keygen', key]);
    await pack(site.dir, '--inject', '--tracker', (await tracker(t)).url, '--sign', key);
    const published = await temporaryFolder(t);
    await cp(site.dir, published, { recursive: true });
    const host = await origin(t, await staticHost(t, published));
    start(t, program, ['seed', site.dir, '--url', host.url, '--check', '300ms']);
    const [who, other] = [await visitor(t, browser), await visitor(t, browser)];
    await explained([who, other], async () => {
      for (const { page } of [who, other]) await open(page, host.url);
      await Promise.all([connected(who.page, 2), connected(other.page, 2)]);
      host.rules = [() => ({ refuse: true })];
      await check(program, ['disable', site.dir, '--sign', key]);
      for (const { page } of [who, other]) {
        await until('the worker and all that it kept to be gone', async () => {
          assert.deepEqual(await kept(page), { files: [], caches: [], workers: 0 });
          return true;
        });
      }
    });
  });
}
