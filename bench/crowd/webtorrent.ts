/**
 * The same site by WebTorrent, as its own documentation does it: the npm package's browser bundle and its service
 * worker that serves a torrent's files, our tracker, and the origin as web seed. All options are the library's
 * defaults, but that no public STUN server is contacted.
 */
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Page } from 'puppeteer-core';
import { temporaryFolder } from '../../e2e/harness/cleanup.ts';
import type { Scope } from '../../e2e/harness/cleanup.ts';
import { root } from '../../e2e/harness/planktos.ts';
import { player } from '../harness/sites.ts';
import type { Site } from '../harness/sites.ts';

type CreateTorrent = (
  input: string,
  options: object,
  done: (error: Error | null, torrent: Uint8Array) => void,
) => void;

/** A folder with the files that the page needs, the page itself among them, their torrent, and a page that joins it. */
export async function torrentSite(scope: Scope, site: Site): Promise<string> {
  const dir = await temporaryFolder(scope, 'bench-webtorrent');
  const media = site.media === undefined ? [] : [site.media];
  for (const path of [site.page, ...site.resources.keys(), ...media]) {
    const to = join(dir, 'site', path);
    await mkdir(dirname(to), { recursive: true });
    await copyFile(join(site.dir, path), to);
  }
  const dist = join(root, 'node_modules/webtorrent/dist');
  for (const script of ['webtorrent.min.js', 'sw.min.js']) await copyFile(join(dist, script), join(dir, script));
  const { default: createTorrent } = (await import('create-torrent' as string)) as { default: CreateTorrent };
  const torrent = await new Promise<Uint8Array>((resolve, reject) =>
    createTorrent(join(dir, 'site'), { name: 'site', announceList: [] }, (error, bytes) =>
      error ? reject(error) : resolve(bytes),
    ),
  );
  await writeFile(join(dir, 'site.torrent'), torrent);
  await writeFile(join(dir, 'index.html'), page([...site.resources], site.media));
  return dir;
}

/** Where WebTorrent's worker serves the site's files, in the page that has them. */
export function torrentUrls(page: Page, paths: string[]): Promise<string[]> {
  return page.evaluate((list) => list.map((path) => Reflect.get(window, 'streams')[path] as string), paths);
}

/** A string as a script in a page may have it: a closing tag would end the script. */
const inScript = (text: string): string => JSON.stringify(text).replaceAll('</', '<\\/');

const page = (resources: Array<[string, number]>, media: string | undefined): string => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>WebTorrent</title><link rel="icon" href="data:,">
<script type="module">
import WebTorrent from './webtorrent.min.js';
const resources = new Map(${JSON.stringify(resources)});
const controlled = new Promise((resolve) => {
  if (navigator.serviceWorker.controller) resolve();
  else navigator.serviceWorker.addEventListener('controllerchange', resolve, { once: true });
});
await navigator.serviceWorker.register('sw.min.js');
const registration = await navigator.serviceWorker.ready;
const torrentFile = fetch('site.torrent').then((response) => response.arrayBuffer());
await controlled;
const client = new WebTorrent({ tracker: { rtcConfig: { iceServers: [] } } });
client.createServer({ controller: registration });
const announce = [new URL('planktos/tracker', location.href.replace(/^http/, 'ws')).href];
client.add(new Uint8Array(await torrentFile), { announce, urlList: [location.origin + '/'] }, async (torrent) => {
  const wrong = [];
  const files = new Map(torrent.files.map((file) => [file.path.replace(/^site\\//, ''), file]));
  window.streams = Object.fromEntries([...files].map(([path, file]) => [path, file.streamURL]));
  await Promise.all([...resources].map(async ([path, size]) => {
    const { byteLength } = await (await fetch(window.streams[path])).arrayBuffer();
    if (byteLength !== size) wrong.push(path + ': ' + byteLength + ' of ' + size + ' bytes');
  }));
  const media = ${JSON.stringify(media ?? null)};
  if (media) {
    document.body.innerHTML = ${inScript(player('MEDIA'))}.replace('MEDIA', window.streams[media]);
    const video = document.querySelector('video');
    video.playbackRate = 4;
    await new Promise((resolve) => {
      video.addEventListener('ended', resolve);
      video.addEventListener('error', () => resolve(wrong.push(video.error.message)));
    });
  }
  window.benchArrived('', JSON.stringify({ endMs: performance.timeOrigin + performance.now(), wrong }));
});
</script></head><body></body></html>
`;
