/**
 * What the worker finds around it, for the tests of this folder: Cache Storage in memory, an origin, clients. (A test
 * file by name alone, so that no build takes it up.)
 */
import assert from 'node:assert/strict';
import type { FileRow, Root, ShardRow } from '../shared/manifest.ts';
import { Hasher } from '../shared/merkle.ts';

export const scope = 'https://a.example/';

/** Cache Storage, as far as the worker uses it. */
export class FakeCaches {
  readonly all = new Map<string, Map<string, Response>>();
  /** how often something was kept */
  writes = 0;

  async open(name: string) {
    const entries = this.all.get(name) ?? new Map<string, Response>();
    this.all.set(name, entries);
    return {
      match: async (url: string) => entries.get(url)?.clone(),
      put: async (url: string, response: Response) => {
        this.writes++;
        entries.set(url, response);
      },
    };
  }

  async delete(name: string): Promise<boolean> {
    return this.all.delete(name);
  }
}

export interface Around {
  fetch(url: string | Request, init?: RequestInit): Promise<Response>;
  /** the pages that there are */
  pages?: { id: string; postMessage(message: never): void }[];
  unregister?(): Promise<unknown>;
  deleteDatabase?(name: string): void;
  /** the browser's quota, in bytes */
  quota?(): number;
  getDirectory?(): Promise<never>;
}

/** Makes the global scope that of a worker without a file system; before the worker's modules are imported. */
export function asWorker(around: Around): FakeCaches {
  const { fetch, pages = [], unregister, deleteDatabase = () => {}, quota = () => 1e9 } = around;
  const { getDirectory = () => Promise.reject(new Error('no file system here')) } = around;
  const caches = new FakeCaches();
  // As in browsers: a fraction of a millisecond is passed over.
  const { timeout } = AbortSignal;
  AbortSignal.timeout = (ms) => timeout.call(AbortSignal, Math.floor(ms));
  Object.assign(globalThis, {
    caches,
    fetch,
    indexedDB: { deleteDatabase },
    self: {
      location: { href: `${scope}planktos.sw.min.js` },
      registration: { unregister: unregister ?? (() => assert.fail('the worker leaves')) },
      clients: { matchAll: async () => pages, get: async (id: string) => pages.find((page) => page.id === id) },
    },
  });
  const storage = { getDirectory, estimate: async () => ({ quota: quota() }) };
  Object.defineProperty(globalThis, 'navigator', { value: { storage } });
  return caches;
}

/** Lets what waits for nothing but promises happen; timers are the test's own. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise(setImmediate);
}

/** A manifest's root. */
export const rootOf = (snapshot: string, table: Pick<Root, 'files' | 'shards'> = { files: [] }): Root => ({
  format: 1,
  snapshot,
  policy: { mode: 'auto', prefer: 'speed', prefetch: 0 },
  trackers: [],
  ice: [],
  webSeeds: [],
  torrent: { infoHash: 'a'.repeat(40), infoHashV2: 'b'.repeat(64), pieceLength: 1 << 14, pieces: 100 },
  copies: true,
  types: [['html', 'text/html; charset=utf-8'], ['css', 'text/css; charset=utf-8']],
  headers: [],
  ...table,
});

/** A snapshot's id, told by its number. */
export const idOf = (n: number): string => String(n).padStart(64, '0');

export const bytes = (text: string) => new TextEncoder().encode(text);

/** The content of a row. */
export async function contentOf(data: Uint8Array<ArrayBuffer>): Promise<[hash: string, size: number, piece: number]> {
  const hasher = new Hasher(async (block) => new Uint8Array(await crypto.subtle.digest('SHA-256', block)));
  await hasher.push(data);
  return [await hasher.finish(), data.length, 0];
}

/** The row of a file of so much text. */
export async function rowOf(path: string, text: string, loads?: number[]): Promise<FileRow> {
  const content = await contentOf(bytes(text));
  return loads ? [path, ...content, loads] : [path, ...content];
}

/** The document of a shard from a path on, and its row. */
export async function shardOf(from: string, files: FileRow[]): Promise<[ShardRow, Uint8Array<ArrayBuffer>]> {
  const document = bytes(JSON.stringify({ format: 1, files }));
  return [[from, ...(await contentOf(document))], document];
}
