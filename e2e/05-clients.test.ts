/**
 * Clients that nobody here wrote. WebTorrent's browser bundle joins through our tracker, downloads the site from our
 * visitor, and seeds it to one. libtorrent downloads root.torrent by its web seed alone, from a plain static server.
 */
import assert from 'node:assert/strict';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Page } from 'puppeteer-core';
import { launch, visitor } from './harness/browsers.ts';
import { sha256 } from './harness/bytes.ts';
import { temporaryFolder } from './harness/cleanup.ts';
import { oneOfNewcomers } from './harness/newcomers.ts';
import { isContent, origin, quiet } from './harness/origin.ts';
import { brokenPictures, connected, explained, fetchIn, open, stats } from './harness/page.ts';
import { pack, root, serve } from './harness/planktos.ts';
import { run } from './harness/process.ts';
import { galleryBytes, galleryPictures, makeSite, page, urlPath } from './harness/site.ts';
import type { Site } from './harness/site.ts';
import { nginxHost } from './harness/static.ts';
import { atTracker, manifest, swarmOf } from './harness/swarm.ts';
import { withoutWebSeeds } from './harness/torrent.ts';
import { until } from './harness/wait.ts';
import { addTorrent, has, webTorrentHost } from './harness/webtorrent.ts';

const browser = await launch({ after }, 'chrome');

interface Wanted {
  /** a torrent file without web seeds */
  torrent: Buffer;
  tracker: string;
  /** for each of the site's files that is not empty: its name in the torrent, and the SHA-256 of what the host serves */
  files: Map<string, { name: string; sha256: string }>;
}

async function torrentOf(url: string): Promise<Wanted> {
  const torrent = Buffer.from(await (await fetch(`${url}planktos/root.torrent`)).arrayBuffer());
  const files: Wanted['files'] = new Map();
  for (const [path, hash, size] of (await manifest(url)).files) {
    const body = new Uint8Array(await (await fetch(url + urlPath(path))).arrayBuffer());
    if (size > 0) files.set(path, { name: `planktos/${hash}`, sha256: sha256(body) });
  }
  return { torrent: withoutWebSeeds(torrent), tracker: (await swarmOf(url)).tracker, files };
}

/** Waits until WebTorrent has every file of the site, and looks at every byte of them. */
async function hasAll(page: Page, { files }: Wanted): Promise<void> {
  // Files of the same content are one in the torrent.
  const names = new Set([...files.values()].map(({ name }) => name));
  const got = await has(page, [...names]);
  for (const [path, { name, sha256: want }] of files) assert.equal(got[name], want, path);
}

/** Reads every file of the site, as the page's own scripts would. */
async function readAll(page: Page, url: string, { files }: Wanted): Promise<void> {
  for (const [path, { sha256: want }] of files)
    assert.equal((await fetchIn(page, url + urlPath(path))).sha256, want, path);
}

test('WebTorrent downloads the whole site from our visitor', { timeout: 240_000 }, async (t) => {
  const site = await makeSite(t, { large: false });
  const host = await origin(t, (await serve(t, site.dir, '--prefer', 'offload')).url);
  const ours = await visitor(t, browser);
  const theirs = await visitor(t, browser);
  const wanted = await torrentOf(host.url);
  await explained([ours, theirs], async () => {
    await open(ours.page, host.url);
    await readAll(ours.page, host.url, wanted);
    await theirs.page.goto(await webTorrentHost(t));
    // Who lacks nothing makes no offers, and WebTorrent offers to those who are there when it comes, and not soon again.
    await atTracker(theirs.page, host.url, 1);
    await quiet(host, isContent);
    host.reset();
    await addTorrent(theirs.page, wanted.torrent, wanted.tracker);
    await hasAll(theirs.page, wanted);
    // For the icon a browser asks when it likes.
    const sent = host.bytes((path) => isContent(path) && path !== 'favicon.ico');
    assert.equal(sent, 0, 'WebTorrent asked the origin');
    const needed = galleryBytes(site);
    const counted = async (): Promise<boolean> => (await stats(ours.page)).uploaded >= needed;
    await until('our visitor to have counted its uploads', counted, { timeoutMs: 45_000 });
  });
});

test('WebTorrent seeds the whole site to our visitor', { timeout: 240_000 }, async (t) => {
  const site = await makeSite(t, { large: false });
  const host = await origin(t, (await serve(t, site.dir, '--prefer', 'offload')).url);
  const theirs = await visitor(t, browser);
  const needed = galleryBytes(site);
  const wanted = await torrentOf(host.url);
  await explained([theirs], async () => {
    // WebTorrent gets the site from a visitor that reads every file, which then leaves.
    const giver = await visitor(t, browser);
    await open(giver.page, host.url);
    await readAll(giver.page, host.url, wanted);
    await theirs.page.goto(await webTorrentHost(t));
    await atTracker(theirs.page, host.url, 1);
    await addTorrent(theirs.page, wanted.torrent, wanted.tracker);
    await hasAll(theirs.page, wanted);
    await giver.close();
    await atTracker(theirs.page, host.url, 1);
  });
  await oneOfNewcomers(t, browser, [theirs], async (ours) => {
    await open(ours.page, host.url);
    await connected(ours.page);
    for (const path of galleryPictures) assert.equal((await fetchIn(ours.page, path)).sha256, site.hash(path), path);
    const { page: had } = await stats(ours.page);
    await open(ours.page, `${host.url}gallery.html`);
    assert.deepEqual(await brokenPictures(ours.page), []);
    await readAll(ours.page, host.url, wanted);
    return had.peers >= needed * 0.9 ? undefined : `of ${needed} bytes had ${JSON.stringify(had)}`;
  });
});

for (const [name, shape] of [
  ['the fixture site', (_site: Site) => Promise.resolve()],
  ['a site of one file', oneFile],
] as const) {
  test(`libtorrent downloads ${name} by its web seed alone`, { timeout: 240_000 }, async (t) => {
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
    const { torrent, files } = await manifest(url);
    assert.equal(told.v1, torrent.infoHash);
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
