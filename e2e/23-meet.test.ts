/**
 * A swarm outlives its tracker: visitors who are connected stay so, introduce those to each other who have met nobody
 * but them, and a page that is left finds its way back, by a reload or to a page that it never saw.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { hosted, leaveOneRope, roped, trio } from './harness/alone.ts';
import { kinds, launch, visitor } from './harness/browsers.ts';
import type { Kind } from './harness/browsers.ts';
import { temporaryFolder } from './harness/cleanup.ts';
import { crash } from './harness/crash.ts';
import { origin } from './harness/origin.ts';
import type { Origin } from './harness/origin.ts';
import { brokenPictures, connected, connections, explained, fetchIn, holds, open } from './harness/page.ts';
import { ready, titled } from './harness/page.ts';
import { binary, pack, tracker } from './harness/planktos.ts';
import { start } from './harness/process.ts';
import { galleryBytes, galleryPictures, makeSite } from './harness/site.ts';
import { staticHost } from './harness/static.ts';
import { until } from './harness/wait.ts';

declare global {
  interface Window {
    peerEvents?: boolean;
  }
}

const chrome = await launch({ after }, 'chrome');
const browsers: Record<Kind, typeof chrome> = { chrome, firefox: await launch({ after }, 'firefox') };
const picture = galleryPictures[0]!;

for (const third of kinds) {
  test(`origin and tracker die: a third peer (${third}) is met through the second`, { timeout: 180_000 }, async (t) => {
    const { site, visitors } = await trio(t, [chrome, chrome, browsers[third]]);
    const [a, b, c] = visitors;
    await explained(visitors, async () => {
      await a.page.reload({ waitUntil: 'load' });
      await ready(a.page);
      await connected(a.page, 2);
      await b.close();
      assert.equal((await fetchIn(a.page, picture)).sha256, site.hash(picture));
      // Who is gone without a word is noticed in a while.
      const isOne = async (): Promise<boolean> => (await connections(c.page)) === 1;
      await until('the third to be connected to the first alone', isOne, { timeoutMs: 60_000 });
    });
  });
}

test('origin and tracker die: a page goes back by one way, and is introduced', { timeout: 180_000 }, async (t) => {
  const { site, visitors } = await trio(t, [chrome, chrome, chrome]);
  const [{ page }] = visitors;
  await explained(visitors, async () => {
    await leaveOneRope(page);
    await page.reload({ waitUntil: 'load' });
    await connected(page, 2);
    assert.equal(await page.evaluate(() => window.ropes), 2);
    assert.equal((await fetchIn(page, picture)).sha256, site.hash(picture));
  });
});

for (const kind of kinds) {
  test(`origin and tracker die: a page never seen (${kind}) comes from a peer`, { timeout: 180_000 }, async (t) => {
    const { site, hosts } = await hosted(t, 2);
    const [hostA, hostB] = hosts as [Origin, Origin];
    const [giver, who] = [await visitor(t, chrome), await visitor(t, browsers[kind])];
    await explained([giver, who], async () => {
      await open(giver.page, hostB.url);
      await open(giver.page, `${hostB.url}gallery.html`);
      assert.deepEqual(await brokenPictures(giver.page), []);
      await holds(giver.page, galleryBytes(site));
      await open(who.page, hostA.url);
      await Promise.all([connected(who.page), connected(giver.page)]);
      await Promise.all([hostA.stop(), hostB.stop()]);
      await roped(who.page, 1);
      await who.page.goto(`${hostA.url}gallery.html`, { waitUntil: 'domcontentloaded' });
      await titled(who.page, 'Gallery');
      assert.deepEqual(await brokenPictures(who.page), []);
      for (const path of galleryPictures) assert.equal((await fetchIn(who.page, path)).sha256, site.hash(path), path);
    });
  });
}

test('origin and tracker die, and a page crashes: it finds its way back', { timeout: 180_000 }, async (t) => {
  const { site, hosts } = await hosted(t, 2);
  const [hostA, hostB] = hosts as [Origin, Origin];
  const [a, b] = [await visitor(t, chrome), await visitor(t, chrome)];
  await explained([a, b], async () => {
    await open(b.page, hostB.url);
    assert.equal((await fetchIn(b.page, picture)).sha256, site.hash(picture));
    await open(a.page, hostA.url);
    await Promise.all([connected(a.page), connected(b.page)]);
    await Promise.all([hostA.stop(), hostB.stop()]);
    await roped(a.page, 1);
    await crash(a.page);
    await a.page.reload({ waitUntil: 'load' });
    await ready(a.page);
    await connected(a.page);
    assert.equal((await fetchIn(a.page, picture)).sha256, site.hash(picture));
  });
});

test('origin and tracker die: a page, in firefox, finds its way back to a seeder', { timeout: 180_000 }, async (t) => {
  const site = await makeSite(t, { large: false });
  const introducer = await tracker(t);
  await pack(site.dir, '--inject', '--prefetch', '0', '--tracker', introducer.url);
  const host = await origin(t, await staticHost(t, site.dir));
  const seeder = start(t, await binary(), ['seed', host.url, '--dir', await temporaryFolder(t, 'seeder')]);
  await seeder.line((line) => line.startsWith('seeding '));
  const who = await visitor(t, browsers.firefox);
  await explained([who], async () => {
    await open(who.page, host.url);
    await connected(who.page);
    await Promise.all([introducer.process.stop(), host.stop()]);
    await roped(who.page, 1);
    await who.page.reload({ waitUntil: 'load' });
    await ready(who.page);
    await connected(who.page);
    assert.equal((await fetchIn(who.page, picture)).sha256, site.hash(picture));
  });
});

test('origin and tracker die: a page is reloaded while another tab has the engine', { timeout: 180_000 }, async (t) => {
  const { site, hosts } = await hosted(t, 1);
  const [host] = hosts as [Origin];
  const [giver, who] = [await visitor(t, chrome), await visitor(t, chrome)];
  await explained([giver, who], async () => {
    await open(giver.page, host.url);
    assert.equal((await fetchIn(giver.page, picture)).sha256, site.hash(picture));
    await open(who.page, host.url);
    await connected(who.page);
    // An engine does not stay in a tab that is not looked at.
    const second = await who.tab({ background: true });
    await open(second, host.url);
    await connected(second);
    await host.stop();
    await giver.page.evaluate(() => window.planktos.addEventListener('peer', () => (window.peerEvents = true)));
    await second.reload({ waitUntil: 'load' });
    await ready(second);
    await connected(second);
    assert.equal((await fetchIn(second, picture)).sha256, site.hash(picture));
    assert.equal(await giver.page.evaluate(() => window.peerEvents), undefined, 'the connection is the same');
  });
});
