/**
 * Idle prefetch: while no page asks for anything, the documents that a page's visible links lead to, and what these
 * load, are taken into the store, from other visitors only.
 */
import type { FileRow } from '../shared/manifest.ts';
import { candidates, requestPath, shardFor, typeOf } from '../shared/manifest.ts';
import { documentAndLoads } from '../shared/prefetch.ts';
import { idOf } from './content.ts';
import type { Wish } from './engines.ts';
import { mayHost } from './leader.ts';
import type { Client, Site } from './site.ts';
import type { Snapshot } from './snapshots.ts';
import type { Delivery } from './streams.ts';
import { sleep } from './streams.ts';

declare const self: ServiceWorkerGlobalScope;

/** What a page may prefetch where the manifest does not say. */
const defaultBytes = 2_000_000;
/** No page has asked for anything for so long. */
const quietMs = 400;
/** How long quiet, and then somebody who has it, are waited for. */
const patienceMs = 30_000;
/** A page names no more than this. */
const urlLimit = 50;
/** The most contents that one page waits for: the engine has the first of them that somebody has. */
const contentLimit = 128;

/** Whose links are followed. */
interface Links {
  id: string;
  client: Client;
  snapshot: Snapshot;
}
interface Needs {
  table?: FileRow;
  rows: FileRow[];
}

export class Prefetch {
  readonly #site: Site;
  /** of the page that spoke last; its earlier ones are given up */
  #links: Links | undefined;
  /** what ends each transfer that is under way */
  readonly #transfers = new Set<AbortController>();
  #askedMs = -Infinity;
  #quiet: Promise<boolean> | undefined;

  constructor(site: Site) {
    this.#site = site;
  }

  /** A page asks for something: what is under way gives way. */
  giveWay(): void {
    this.#askedMs = performance.now();
    this.#stop();
  }

  /** Resolves when this wish is done with, or another has taken its place. */
  async want(id: string, urls: string[]): Promise<void> {
    const { clients, scope, snapshots } = this.#site;
    const client = clients.get(id);
    const snapshot = snapshots.current;
    if (!client || !snapshot || !mayHost(this.#site, client)) return;
    const links = (this.#links = { id, client, snapshot });
    this.#stop();
    const asked = new Set<string>();
    const take = async (row: FileRow): Promise<void> => {
      const isNew = asked.size < contentLimit && asked.size < asked.add(row[1]).size;
      if (isNew) await this.#take(links, row).catch(() => {}); // storage failed
    };
    const taken: Promise<unknown>[] = [];
    for (const url of urls.slice(0, urlLimit)) {
      const path = requestPath(scope, url);
      if (path === undefined) continue;
      const needs = async (): Promise<Needs> => this.#needs(snapshot, path).catch(() => ({ rows: [] }));
      const { table, rows } = await needs();
      taken.push(...rows.map(take));
      if (table) taken.push(take(table).then(async () => Promise.all((await needs()).rows.map(take))));
    }
    await Promise.all(taken);
  }

  #stop(): void {
    for (const transfer of this.#transfers) transfer.abort();
    this.#transfers.clear();
  }

  /** What a visitor of a path needs; of a large site's path, first the table that tells. */
  async #needs(snapshot: Snapshot, path: string): Promise<Needs> {
    const { snapshots, store } = this.#site;
    for (const file of candidates(path)) {
      const shard = shardFor(snapshot.root, file);
      if (shard) {
        const [, hash, size, piece] = shard;
        const table: FileRow = [`planktos/shards/${hash}.json`, hash, size, piece];
        if (!snapshot.shards.has(hash) && !(await store.has(idOf(table)))) return { table, rows: [] };
      }
      const row = await snapshots.row(snapshot, file);
      const table = shard ? snapshot.shards.get(shard[1]) : snapshot.root.files;
      if (!row || !table || !/html/.test(typeOf(snapshot.root, file))) continue;
      // A document whose headers nobody has told comes from the origin all the same.
      const told = snapshot.root.headers.length || (await this.#site.known.get(path));
      return { rows: documentAndLoads(row, table).filter((each) => told || each !== row) };
    }
    return { rows: [] };
  }

  /** Has the engine store a content, if the page's allowance and the peers permit. */
  async #take(links: Links, row: FileRow): Promise<void> {
    const { engines, store } = this.#site;
    const { id, client, snapshot } = links;
    const [, hash, size] = row;
    const allowance = snapshot.root.policy.prefetch ?? defaultBytes;
    while (await (this.#quiet ??= this.#becomesQuiet().finally(() => (this.#quiet = undefined)))) {
      if (snapshot.shards.has(hash) || (await store.has(idOf(row)))) return;
      if (links !== this.#links || (client.prefetched ?? 0) + size > allowance) return;
      const transfer = new AbortController();
      let counted = 0;
      const count = (bytes: number): number => {
        counted += bytes;
        return (client.prefetched = (client.prefetched ?? 0) + bytes);
      };
      const wish: Wish = {
        client: id,
        peersOnly: true,
        background: true,
        engineByMs: 0,
        dueMs: () => patienceMs,
        until: AbortSignal.timeout(patienceMs),
        signal: transfer.signal,
        // It counts once somebody begins to give it.
        hear: (news) => void (news === 'accept' && count(size) > allowance && transfer.abort()),
      };
      this.#transfers.add(transfer);
      const delivery = await engines.ask(row, { start: 0, end: size }, wish);
      const came = delivery && (await drained(delivery));
      if (!came) count(-counted);
      if (this.#transfers.delete(transfer) || came) return;
    }
  }

  /** Waits until nothing is asked for, and peers are there; false if that does not happen, or the page is gone. */
  async #becomesQuiet(): Promise<boolean> {
    const { engines, turns } = this.#site;
    const end = performance.now() + patienceMs;
    while (performance.now() < end) {
      const pages = await self.clients.matchAll({ type: 'window' });
      if (!pages.some((page) => page.id === this.#links?.id && page.visibilityState === 'visible')) break;
      const leftMs = this.#askedMs + quietMs - performance.now();
      if (leftMs <= 0 && !turns.busy && engines.connections) return true;
      await sleep(Math.max(leftMs, quietMs / 4));
    }
    return false;
  }
}

/** Whether all of it comes: it may give way to a page's request, or its peers leave. */
async function drained(delivery: Delivery): Promise<boolean> {
  try {
    while (await delivery.next());
    return true;
  } catch {
    return false;
  }
}
