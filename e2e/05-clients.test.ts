/**
 * Clients that nobody here wrote. WebTorrent's browser bundle joins through our tracker, downloads the site from our
 * visitor, and seeds it to one. libtorrent downloads root.torrent by its web seed alone, from a plain static server.
 */
import assert from 'node:assert/strict';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { launch, visitor } from './harness/browsers.ts';
import { sha256 } from './harness/bytes.ts';
import { temporaryFolder } from './harness/cleanup.ts';
import { isContent, origin, quiet } from './harness/origin.ts';
import { brokenPictures, connected, explained, fetchIn, holds, open, stats } from './harness/page.ts';
import { pack, root, serve } from './harness/planktos.ts';
import { run } from './harness/process.ts';
import { galleryPictures, makeSite, page } from './harness/site.ts';
import type { Site } from './harness/site.ts';
import { nginxHost } from './harness/static.ts';
import { manifest, swarmOf } from './harness/swarm.ts';
import { withoutWebSeeds } from './harness/torrent.ts';
import { until } from './harness/wait.ts';
import { addTorrent, has, webTorrentHost } from './harness/webtorrent.ts';

const browser = await launch({ after }, 'chrome');

/** A torrent file without web seeds, its tracker, and for each of the site's files the name it has in the torrent. */
async function torrentOf(url: string): Promise<{ torrent: Buffer; tracker: string; names: Map<string, string> }> {
  const { files } = (await manifest(url)) as unknown as { files: Array<[string, string, number, number]> };
  const torrent = Buffer.from(await (await fetch(`${url}planktos/root.torrent`)).arrayBuffer());
  const names = new Map(files.map(([path, hash]) => [path, `planktos/${hash}`]));
  return { torrent: withoutWebSeeds(torrent), tracker: (await swarmOf(url)).tracker, names };
}

test('WebTorrent downloads from our visitor', { timeout: 120_000 }, async (t) => {
  const site = await makeSite(t, { large: false });
  const host = await origin(t, (await serve(t, site.dir, '--prefer', 'offload')).url);
  const ours = await visitor(t, browser);
  const theirs = await visitor(t, browser);
  const needed = galleryPictures.reduce((total, path) => total + site.size(path), 0);
  await explained([ours, theirs], async () => {
    await open(ours.page, host.url);
    await open(ours.page, `${host.url}gallery.html`);
    assert.deepEqual(await brokenPictures(ours.page), []);
    await holds(ours.page, needed);

    await theirs.page.goto(await webTorrentHost(t));
    const { torrent, tracker, names } = await torrentOf(host.url);
    host.reset();
    await addTorrent(theirs.page, torrent, tracker);
    // Our visitor has the gallery, and the rest of the torrent only as far as it has seen it.
    const files = await has(
      theirs.page,
      galleryPictures.map((path) => names.get(path)!),
    );
    for (const path of galleryPictures) assert.equal(files[names.get(path)!], site.hash(path), path);
    assert.equal(host.bytes(isContent), 0, 'WebTorrent asked the origin');
    await until('our visitor to have counted its uploads', async () => (await stats(ours.page)).uploaded >= needed);
  });
});

test('WebTorrent seeds to our visitor', { timeout: 120_000 }, async (t) => {
  const site = await makeSite(t, { large: false });
  const host = await origin(t, (await serve(t, site.dir, '--prefer', 'offload')).url);
  const ours = await visitor(t, browser);
  const theirs = await visitor(t, browser);
  const needed = galleryPictures.reduce((total, path) => total + site.size(path), 0);
  const { torrent, tracker, names } = await torrentOf(host.url);
  await explained([ours, theirs], async () => {
    // WebTorrent gets the gallery from a visitor that reads every file, which then leaves.
    const giver = await visitor(t, browser);
    await open(giver.page, host.url);
    for (const path of site.files.keys())
      await fetchIn(giver.page, host.url + path.split('/').map(encodeURIComponent).join('/'));
    await theirs.page.goto(await webTorrentHost(t));
    await addTorrent(theirs.page, torrent, tracker);
    const files = await has(
      theirs.page,
      galleryPictures.map((path) => names.get(path)!),
    );
    for (const path of galleryPictures) assert.equal(files[names.get(path)!], site.hash(path), path);
    await giver.close();

    await open(ours.page, host.url);
    await connected(ours.page);
    await quiet(host, isContent);
    await open(ours.page, `${host.url}gallery.html`);
    assert.deepEqual(await brokenPictures(ours.page), []);
    const { page: had } = await stats(ours.page);
    assert.ok(had.peers >= needed * 0.9, `peers gave ${had.peers} of ${needed} bytes: ${JSON.stringify(had)}`);
    for (const path of galleryPictures) assert.equal((await fetchIn(ours.page, path)).sha256, site.hash(path), path);
  });
});

for (const [name, shape] of [
  ['the fixture site', (_site: Site) => Promise.resolve()],
  ['a site of one file', oneFile],
] as const) {
  test(`libtorrent downloads ${name} by its web seed alone`, { timeout: 120_000 }, async (t) => {
    const site = name === 'a site of one file' ? await emptySite(t) : await makeSite(t);
    await shape(site);
    const url = await nginxHost(t, site.dir);
    await pack(site.dir, '--webseed', url);
    const into = await temporaryFolder(t, 'libtorrent');
    const got = await run('/usr/bin/python3', [
      join(root, 'e2e/fixtures/libtorrent_get.py'),
      join(site.dir, 'planktos/root.torrent'),
      into,
    ]);
    const told = JSON.parse(got.stdout || '{}') as { complete?: boolean; v1?: string };
    assert.equal(told.complete, true, got.stdout + got.stderr);
    const { torrent, ...rest } = await manifest(url);
    assert.equal(told.v1, torrent.infoHash);
    const { files } = rest as unknown as { files: Array<[string, string, number, number]> };
    for (const [path, hash, size] of files) {
      if (size === 0) continue;
      assert.equal(sha256(await readFile(join(into, 'planktos', hash))), site.hash(path), path);
    }
    assert.ok((await readdir(join(into, 'planktos'))).includes('engine.min.js'));
  });
}

async function emptySite(t: Parameters<typeof temporaryFolder>[0]): Promise<Site> {
  const dir = await temporaryFolder(t);
  const files = new Map<string, Buffer>();
  await mkdir(dir, { recursive: true });
  return {
    dir,
    files,
    write: async (path, content) => {
      files.set(path, Buffer.from(content));
      await writeFile(join(dir, path), content);
    },
    hash: (path) => sha256(files.get(path)!),
    size: (path) => files.get(path)!.length,
  };
}

async function oneFile(site: Site): Promise<void> {
  await site.write('index.html', page('Alone', []));
}
