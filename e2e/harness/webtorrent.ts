/** A page that is a WebTorrent client: the npm package's browser bundle, unchanged, on an origin of its own. */
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Page } from 'puppeteer-core';
import { onEnd } from './cleanup.ts';
import type { Scope } from './cleanup.ts';
import { root } from './planktos.ts';
import { until } from './wait.ts';

/** What the page's script uses of the library. */
interface Torrent {
  files: Array<{ path: string; progress: number; arrayBuffer(): Promise<ArrayBuffer> }>;
  on(event: string, listener: (...args: unknown[]) => void): void;
}
interface Client {
  add(torrent: Uint8Array, options: object, added?: (torrent: Torrent) => void): Torrent;
  on(event: string, listener: (...args: unknown[]) => void): void;
}

/** Serves the client's page. */
export async function webTorrentHost(scope: Scope): Promise<string> {
  const bundle = await readFile(join(root, 'node_modules/webtorrent/dist/webtorrent.min.js'));
  const server = http.createServer((request, response) => {
    const script = request.url === '/webtorrent.min.js';
    response.writeHead(200, { 'content-type': script ? 'text/javascript' : 'text/html' });
    response.end(script ? bundle : '<!doctype html><link rel="icon" href="data:,"><title>WebTorrent</title>');
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  onEnd(scope, () => (server.closeAllConnections(), server.close()));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

/**
 * Adds a torrent, given its tracker and no web seed, so that all it has comes from peers. Resolves when the client has
 * read the metadata; `has` waits for the rest.
 */
export async function addTorrent(page: Page, torrent: Buffer, tracker: string): Promise<void> {
  await page.evaluate(
    async (encoded, announce) => {
      const { default: WebTorrent } = (await import('/webtorrent.min.js' as string)) as {
        default: new (options: object) => Client;
      };
      const bytes = Uint8Array.from(atob(encoded), (char) => char.charCodeAt(0));
      // Host candidates suffice on one machine: no STUN server of the public network.
      const client = new WebTorrent({ tracker: { rtcConfig: { iceServers: [] } }, dht: false, lsd: false });
      const failures: string[] = [];
      client.on('error', (error) => failures.push(String(error)));
      const torrent = client.add(bytes, { announce: [announce] });
      torrent.on('warning', (error) => failures.push(String(error)));
      Object.assign(window, { torrent, failures });
      await new Promise((ready, failed) => {
        torrent.on('ready', ready as () => void);
        client.on('error', failed);
      });
    },
    torrent.toString('base64'),
    tracker,
  );
}

/** SHA-256 in hex of the files wanted, by their paths in the torrent. */
function hashesOf(page: Page, wanted: readonly string[]): Promise<Record<string, string>> {
  return page.evaluate(async (paths) => {
    const { torrent } = window as unknown as { torrent: Torrent };
    const hashes: Array<[string, string]> = [];
    for (const file of torrent.files) {
      if (!paths.includes(file.path)) continue;
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await file.arrayBuffer()));
      hashes.push([file.path, [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('')]);
    }
    return Object.fromEntries(hashes);
  }, wanted);
}

/** Waits until the client has all the files wanted, and gives their hashes. */
export async function has(page: Page, wanted: readonly string[]): Promise<Record<string, string>> {
  const complete = async (): Promise<boolean> => {
    const all = await page.evaluate((paths) => {
      const { torrent } = window as unknown as { torrent: Torrent };
      return torrent.files.filter((file) => paths.includes(file.path) && file.progress === 1).length;
    }, wanted);
    return all === wanted.length;
  };
  const failures = (): Promise<string[]> => page.evaluate(() => (window as unknown as { failures: string[] }).failures);
  try {
    await until('WebTorrent to have the files', complete, { timeoutMs: 90_000, everyMs: 100 });
  } catch (error) {
    throw new Error(`${String(error)}; WebTorrent says: ${(await failures()).join('; ') || 'nothing'}`);
  }
  return hashesOf(page, wanted);
}
