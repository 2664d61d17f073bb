/**
 * Peers without a browser. `planktos seed` has a site from its host, and gives it to visitors while the host refuses
 * everything, after a restart too; to clients that nobody here wrote; and `planktos get` has a site from such a client.
 * `planktos mirror` serves new visitors while the host is gone, and has Planktos leave its own when the site does.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { launchAll, visitor } from './harness/browsers.ts';
import { sha256 } from './harness/bytes.ts';
import { temporaryFolder } from './harness/cleanup.ts';
import { isContent, isHashed, origin } from './harness/origin.ts';
import type { Origin } from './harness/origin.ts';
import { brokenPictures, connected, explained, fetchIn, holds, kept } from './harness/page.ts';
import { open, ready, stats, titled } from './harness/page.ts';
import { binary, pack, tracker } from './harness/planktos.ts';
import { check, start } from './harness/process.ts';
import type { Running } from './harness/process.ts';
import { galleryBytes, galleryPictures, makeSite } from './harness/site.ts';
import type { Site } from './harness/site.ts';
import { staticHost } from './harness/static.ts';
import { manifest } from './harness/swarm.ts';
import { withoutWebSeeds } from './harness/torrent.ts';
import { until } from './harness/wait.ts';
import { addTorrent, has, webTorrentHost } from './harness/webtorrent.ts';

const browsers = new Map(launchAll({ after }));
const pictures = new Set(galleryPictures);

interface Packed {
  site: Site;
  host: Origin;
  tracker: string;
}

/** A packed site on a plain host, with a tracker that stays up. */
async function packed(t: TestContext): Promise<Packed> {
  const site = await makeSite(t, { pictureSide: 96, large: false });
  const { url } = await tracker(t);
  await pack(site.dir, '--inject', '--prefer', 'offload', '--prefetch', '0', '--tracker', url);
  return { site, host: await origin(t, await staticHost(t, site.dir)), tracker: url };
}

/** Starts a seeder, and waits until it has all of the site. */
async function seed(t: TestContext, url: string, dir: string): Promise<Running> {
  const running = start(t, await binary(), ['seed', url, '--dir', dir]);
  await running.line((line) => line.startsWith('seeding '));
  return running;
}

for (const [kind, browser] of browsers) {
  describe(kind, () => {
    test('a visitor has from the seeder what the host refuses', { timeout: 180_000 }, async (t) => {
      const { site, host } = await packed(t);
      await seed(t, host.url, await temporaryFolder(t, 'seeder'));
      const who = await visitor(t, browser);
      await explained([who], async () => {
        assert.equal(await open(who.page, host.url), 'peers');
        await connected(who.page);
        host.rules = [(path) => (pictures.has(path) || isHashed(path) ? { status: 503, body: 'no' } : undefined)];
        assert.equal(await open(who.page, `${host.url}gallery.html`), 'peers');
        assert.deepEqual(await brokenPictures(who.page), []);
        const needed = galleryBytes(site);
        await holds(who.page, needed);
        const { peers } = await stats(who.page);
        assert.ok(peers >= needed, `peers gave ${peers} of ${needed} bytes`);
        for (const path of galleryPictures) {
          assert.equal((await fetchIn(who.page, path)).sha256, site.hash(path), path);
        }
      });
    });

    test('the host is gone: a seeder that was restarted serves an unvisited page', { timeout: 180_000 }, async (t) => {
      const { site, host } = await packed(t);
      const dir = await temporaryFolder(t, 'seeder');
      assert.equal(await (await seed(t, host.url, dir)).stop(), 0);
      const who = await visitor(t, browser);
      await explained([who], async () => {
        await open(who.page, host.url);
        host.rules = [() => ({ status: 503, body: 'overloaded' })];
        host.reset();
        await seed(t, host.url, dir);
        assert.equal(host.bytes(isContent), 0, 'the seeder downloaded what it had');
        // The loader page comes first, and reloads itself once it has the document.
        await who.page.goto(`${host.url}gallery.html`, { waitUntil: 'domcontentloaded' });
        await titled(who.page, 'Gallery');
        await ready(who.page);
        assert.deepEqual(await brokenPictures(who.page), []);
        for (const path of galleryPictures) {
          assert.equal((await fetchIn(who.page, path)).sha256, site.hash(path), path);
        }
      });
    });

    test('a mirror serves a new visitor while the host is gone', { timeout: 180_000 }, async (t) => {
      const { site, host } = await packed(t);
      const dir = await temporaryFolder(t, 'mirror');
      const mirror = start(t, await binary(), ['mirror', host.url, '--dir', dir, '--addr', '127.0.0.1:0']);
      const url = await mirror.line((line) => line.startsWith('http'));
      await until('the mirror to have everything', async () => mirror.output().includes(': all of '));
      host.rules = [() => ({ refuse: true })];
      const who = await visitor(t, browser);
      await explained([who], async () => {
        assert.equal(await open(who.page, url), 'peers');
        assert.equal(await open(who.page, `${url}gallery.html`), 'peers');
        assert.deepEqual(await brokenPictures(who.page), []);
        for (const path of galleryPictures) {
          assert.equal((await fetchIn(who.page, path)).sha256, site.hash(path), path);
        }
      });
    });

    test("a site that disables Planktos: it leaves its mirror's visitors too", { timeout: 180_000 }, async (t) => {
      const { site, host } = await packed(t);
      const args = ['--dir', await temporaryFolder(t, 'mirror'), '--addr', '127.0.0.1:0', '--check', '300ms'];
      const mirror = start(t, await binary(), ['mirror', host.url, ...args]);
      const url = await mirror.line((line) => line.startsWith('http'));
      await until('the mirror to have everything', async () => mirror.output().includes(': all of '));
      const who = await visitor(t, browser);
      await explained([who], async () => {
        await open(who.page, url);
        assert.equal((await kept(who.page)).workers, 1);
        await check(await binary(), ['disable', site.dir]);
        await until('the mirror to hear of it', async () => mirror.output().includes('disabled Planktos'));
        await who.page.goto(`${url}gallery.html`, { waitUntil: 'load' });
        await until('the worker and all that it kept to be gone', async () => {
          assert.deepEqual(await kept(who.page), { files: [], caches: [], workers: 0 });
          return true;
        });
        await who.page.goto(`${url}gallery.html`, { waitUntil: 'load' });
        assert.deepEqual([await who.page.title(), await brokenPictures(who.page)], ['Gallery', []]);
      });
    });
  });
}

/** The torrent without its web seeds, and the name in it of each of the site's files that is not empty. */
async function torrentOf(url: string): Promise<{ torrent: Buffer; names: Map<string, string> }> {
  const torrent = Buffer.from(await (await fetch(`${url}planktos/root.torrent`)).arrayBuffer());
  const names = new Map<string, string>();
  for (const [path, hash, size] of (await manifest(url)).files) if (size > 0) names.set(path, `planktos/${hash}`);
  return { torrent: withoutWebSeeds(torrent), names };
}

/** SHA-256 of a file as it was packed, with the script tag in it. */
async function packedHash({ dir }: Site, path: string): Promise<string> {
  return sha256(await readFile(join(dir, path)));
}

test('WebTorrent downloads everything from the seeder, and seeds it to get', { timeout: 240_000 }, async (t) => {
  const { site, host, tracker } = await packed(t);
  const { torrent, names } = await torrentOf(host.url);
  const seeder = await seed(t, host.url, await temporaryFolder(t, 'seeder'));
  const theirs = await visitor(t, browsers.get('chrome')!);
  await explained([theirs], async () => {
    await theirs.page.goto(await webTorrentHost(t));
    host.rules = [() => ({ status: 503, body: 'overloaded' })];
    await addTorrent(theirs.page, torrent, tracker);
    // The engine's script, too, which no table of the site names: a seeder has the whole torrent.
    const got = await has(theirs.page, [...new Set([...names.values(), 'planktos/engine.min.js'])]);
    for (const [path, name] of names) assert.equal(got[name], await packedHash(site, path), path);
    assert.equal(await seeder.stop(), 0);

    // WebTorrent does not tell piece layers.
    host.rules = [(path) => (path.endsWith('.layer') ? undefined : { status: 503, body: 'overloaded' })];
    const into = join(await temporaryFolder(t, 'get'), 'out');
    const known = join(site.dir, 'planktos/manifest.json');
    const told = await check(await binary(), ['get', host.url, '-o', into, '-m', known, '--json']);
    for (const path of names.keys()) {
      assert.equal(sha256(await readFile(join(into, path))), await packedHash(site, path), path);
    }
    const { fromPeers, fromWebSeeds } = JSON.parse(told) as { fromPeers: number; fromWebSeeds: number };
    assert.ok(fromPeers > 0 && fromWebSeeds === 0, told);
  });
});
