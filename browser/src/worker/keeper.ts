/**
 * What stays in the store. Contents that no live snapshot names are deleted; beyond the store's limit, and where the
 * browser has no more room, those that have been unused the longest. A sweep lists the store, so it is made when there
 * is a reason to, and after a page that begins has had its time.
 */
import { expendable } from '../store/eviction.ts';
import type { ContentId } from '../store/store.ts';
import { nameOf } from '../store/store.ts';
import type { Table } from './records.ts';
import type { Site } from './site.ts';
import { sleep } from './streams.ts';

/** A sweep is due after so long, or after so many bytes have come. */
const sweepMs = 24 * 3600 * 1000;
const sweepBytes = 64 << 20;
/** How long a page is left alone before a sweep. */
const restMs = 5000;
/** Uses are noted together: a write costs more than a read. */
const saveMs = 1000;
/** For so long a response may be reading what it was given: browsers fail it when the file goes. */
const readingMs = 5 * 60_000;
/** How long nothing is tried again once there is no room to be made. */
const fullMs = 60_000;

/** So much of a hash tells the contents of a site apart. */
const keyOf = ({ hash }: ContentId): string => hash.slice(0, 12);

export class Keeper {
  readonly #site: Site;
  /** the hour (since the epoch) in which a content was last used */
  readonly #used: Table<number>;
  /** when (ms) a content was last given to somebody by this worker */
  readonly #givenMs = new Map<string, number>();
  #sweeping: Promise<unknown> = Promise.resolve();
  #due = false;
  #fullMs = -Infinity;

  constructor(site: Site) {
    this.#site = site;
    this.#used = site.records.table('used', saveMs);
    site.store.makeRoom = (bytes) => this.#makeRoom(bytes);
  }

  /** A content has been given to a page, or stored. */
  async used(content: ContentId): Promise<void> {
    const key = keyOf(content);
    this.#givenMs.set(key, Date.now());
    const hour = Math.floor(Date.now() / 3_600_000);
    if ((await this.#used.get(key)) !== hour) await this.#used.set(key, hour);
  }

  /** A snapshot has gone: what only it named is to follow. */
  release(): void {
    this.#due = true;
  }

  /** Forgets what is superseded, and sweeps if it is time to. Called when a page begins. */
  async tidy(): Promise<void> {
    const { snapshots, swept } = this.#site;
    snapshots.tidy();
    this.#due ||= this.#bytes - swept.bytes > sweepBytes || Date.now() - swept.atMs > sweepMs;
    if (!this.#due && !snapshots.unproven) return;
    await sleep(restMs);
    // The page has what it loads by now.
    await snapshots.prove();
    snapshots.tidy();
    if (this.#due) await this.sweep();
  }

  /** What has come to this browser so far. */
  get #bytes(): number {
    const { origin, peers } = this.#site.totals;
    return origin + peers;
  }

  /** Deletes what has no use any more. Gives the bytes that were freed. */
  sweep(neededBytes = 0): Promise<number> {
    const sweeping = this.#sweeping.then(() => this.#sweep(neededBytes));
    this.#sweeping = sweeping.catch(() => {});
    return sweeping;
  }

  async #makeRoom(bytes: number): Promise<void> {
    if (Date.now() - this.#fullMs > fullMs && (await this.sweep(bytes)) < bytes) this.#fullMs = Date.now();
  }

  async #sweep(neededBytes: number): Promise<number> {
    const { store, snapshots, engines } = this.#site;
    this.#due = false;
    const used = await this.#used.rows();
    const entries = await store.list();
    const all = new Set(entries.map(nameOf));
    // Without the newest manifest, or an origin to ask for its shards, nobody knows what is named.
    const named = snapshots.current && !snapshots.originDown ? await snapshots.settle(all) : all;
    const limit = await store.limit();
    const nowMs = Date.now();
    for (const [key, ms] of this.#givenMs) if (nowMs - ms > readingMs) this.#givenMs.delete(key);
    const usedAt = (content: ContentId): number =>
      this.#givenMs.has(keyOf(content)) ? Infinity : (used.get(keyOf(content)) ?? 0);
    const kept = new Set(entries.map(keyOf));
    let freedBytes = 0;
    for (const entry of expendable(entries, { named, usedAt, limit, neededBytes, nowMs })) {
      if (await store.delete(entry)) freedBytes += entry.size;
      if (entry.suffix) continue;
      kept.delete(keyOf(entry));
      engines.tell({ type: 'drop', content: { hash: entry.hash, size: entry.size, piece: 0 } });
    }
    await this.#used.forget((key) => !kept.has(key));
    this.#site.swept = { atMs: nowMs, bytes: this.#bytes };
    void this.#site.save();
    return freedBytes;
  }
}
