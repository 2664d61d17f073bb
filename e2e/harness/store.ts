/** What a visitor's browser keeps of a site, read as the page itself can read it. */
import assert from 'node:assert/strict';
import type { Page } from 'puppeteer-core';
import { kept } from './page.ts';
import type { Site } from './site.ts';
import { until } from './wait.ts';

/** The store's files by name: what a complete one holds, as SHA-256; '' for the others. */
export const stored = (page: Page): Promise<Record<string, string>> =>
  page.evaluate(async () => {
    const files: Record<string, string> = {};
    const all = await (await navigator.storage.getDirectory()).getDirectoryHandle('planktos');
    const own = await all.getDirectoryHandle(encodeURIComponent('/'));
    for await (const name of own.keys()) {
      files[name] = '';
      if (!/^[0-9a-f]{64}-\d+$/.test(name)) continue;
      const data = await (await (await own.getFileHandle(name)).getFile()).arrayBuffer();
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', data));
      files[name] = [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    }
    return files;
  });

interface Table {
  files?: Array<[path: string, hash: string, size: number]>;
  shards?: Array<[from: string, hash: string]>;
}

/** The manifest's files: path → the store's name of it. */
export async function table(url: string): Promise<Map<string, string>> {
  const read = async (path: string): Promise<Table> => (await (await fetch(`${url}planktos/${path}`)).json()) as Table;
  const { files, shards = [] } = await read('manifest.json');
  const tables = await Promise.all(shards.map(([, hash]) => read(`shards/${hash}.json`)));
  const rows = files ?? tables.flatMap((shard) => shard.files ?? []);
  return new Map(rows.map(([path, hash, size]) => [path, `${hash}-${size}`]));
}

/** Waits until the visitor has stored these files of the site, as it does a moment after its page was given them. */
export async function keeps(page: Page, url: string, paths: readonly string[]): Promise<void> {
  const names = await table(url);
  const all = async (): Promise<boolean> => {
    const files = new Set((await kept(page)).files.map((path) => path.slice(path.lastIndexOf('/') + 1)));
    return paths.every((path) => files.has(names.get(path)!));
  };
  await until('the files to be stored', all, { timeoutMs: 45_000, everyMs: 100 });
}

/** Fails unless what is stored is what its name says. Gives the paths, but for pages, which the pack has altered. */
export async function storedPaths(page: Page, site: Site, url: string): Promise<string[]> {
  const files = await stored(page);
  const paths: string[] = [];
  for (const [path, name] of await table(url)) {
    if (!files[name] || path.endsWith('.html')) continue;
    assert.equal(files[name], site.hash(path), path);
    paths.push(path);
  }
  return paths;
}
