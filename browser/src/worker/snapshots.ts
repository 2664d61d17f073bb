/** The snapshots this browser knows: the newest that the origin has shown, and older ones that pages still live on. */
import type { FileRow, Root, ShardRow } from '../shared/manifest.ts';
import { candidates, isDisabled, isManifest, lookup, parseRoot, parseShard, shardFor } from '../shared/manifest.ts';
import { typeOf } from '../shared/manifest.ts';
import type { EngineSnapshot } from '../shared/messages.ts';
import { post } from './clients.ts';
import { idOf, stored, verifiedContent } from './content.ts';
import { isActive, patienceMs } from '../shared/policy.ts';
import { documentAndLoads } from '../shared/prefetch.ts';
import { permissionChanged } from './messages.ts';
import { originIs } from './outage.ts';
import { nameOf } from '../store/store.ts';
import type { Table } from './records.ts';
import type { Site } from './site.ts';
import { isGone, leave, manifestGone, purge, statusOf } from './wayout.ts';

/** A snapshot's record. */
interface Kept {
  root: Root;
  firstSeenMs: number;
}

export interface Snapshot extends Kept {
  id: string;
  /** rows of the shards seen so far, by the shard's hash */
  shards: Map<string, FileRow[]>;
  /** how often another took its place as the newest */
  left?: number;
  /** the document that a page was given last */
  given?: FileRow | undefined;
}

/** A file that a request path may stand for. */
export interface Target {
  row: FileRow;
  /** false where only the host's habits decide (`/a` as `a.html`) */
  certain: boolean;
}

/** How long a validation is good for. */
const freshMs = 10_000;
/** The longest a manifest is waited for by anyone. */
const manifestMs = 15_000;
/** An origin that has not answered by then is down, though it may yet answer. */
const hangMs = 5000;
/** An upload takes no longer; a host that alters every page lets none be whole. */
const uploadMs = 24 * 3600 * 1000;
/** How long an origin that failed is taken to be failing without asking it. */
const failingMs = 10_000;

let early: Promise<Response> | undefined;

export const fetchManifest = (scope: string): Promise<Response> =>
  fetch(scope + 'planktos/manifest.json', { cache: 'no-cache', signal: AbortSignal.timeout(manifestMs) });

/** Asks for the manifest; a worker that is woken by a navigation does so before it has opened what it stores. */
export function askManifest(scope: string): void {
  early = fetchManifest(scope);
  early.catch(() => {});
}

/** A site may go back; a host that shows now one release, now another, does not have pages told for ever. */
export const isWavering = ({ left = 0 }: Snapshot): boolean => left > 1;

export class Snapshots {
  readonly live = new Map<string, Snapshot>();
  current: Snapshot | undefined;
  /** id of the last snapshot of which a page was had whole: it stays until a newer one takes its place */
  proven: string | undefined;
  readonly #site: Site;
  /** by id, superseded ones until their contents are settled */
  readonly #kept: Table<Kept>;
  /** shards on their way, by snapshot and hash: a page asks for many of their files at once */
  readonly #loading = new Map<string, Promise<FileRow[] | undefined>>();
  #validating: Promise<boolean> | undefined;
  #validatedMs = 0;
  #askedMs = 0;
  #failedMs = 0;

  constructor(site: Site) {
    this.#site = site;
    this.#kept = site.records.table('snapshots', 0);
  }

  /** Brings back the snapshots that were known before the worker was stopped. */
  async load(current: string | undefined, proven: string | undefined): Promise<void> {
    const ids = new Set([current, proven, ...[...this.#site.clients.values()].map(({ snapshot }) => snapshot)]);
    for (const [id, kept] of await this.#kept.rows()) {
      if (ids.has(id)) this.live.set(id, { id, ...kept, shards: new Map() });
    }
    this.current = this.live.get(current ?? '');
    this.proven = proven;
  }

  /** Whether the origin has failed a moment ago, at whatever it was asked. */
  get failing(): boolean {
    return Date.now() - this.#failedMs < failingMs;
  }
  set failing(failing: boolean) {
    // Is it this one path, or an outage?
    if (failing && !this.originDown && !this.#validating) void this.validate();
    this.#failedMs = failing ? Date.now() : 0;
  }

  get originDown(): boolean {
    return this.#site.originState === 'down' || this.failing;
  }

  /** Whether nobody can tell just now if the newest snapshot known is still the origin's. */
  get stale(): boolean {
    return this.#site.originState === 'down' || (!!this.#validating && Date.now() - this.#askedMs > patienceMs - 50);
  }

  /** The last that was whole, where the newest is one that the origin has shown and may not have all of yet. */
  get older(): Snapshot | undefined {
    const { current, live, proven } = this;
    const shown = current && this.unproven && current.firstSeenMs <= this.#site.shownMs;
    return shown ? live.get(proven!) : undefined;
  }

  get fresh(): boolean {
    return Date.now() - this.#validatedMs < freshMs;
  }
  /** Resolves when the manifest is not being asked for. */
  async settled(): Promise<void> {
    await this.#validating;
  }
  /** Something the origin sent did not match: the next navigation asks for the manifest. */
  doubt(): void {
    this.#validatedMs = 0;
  }

  /**
   * Asks the origin for the manifest. Resolves to whether it answered. Concurrent calls share one request, unless that
   * hangs.
   */
  validate(): Promise<boolean> {
    const now = Date.now();
    if (!this.#validating || now - this.#askedMs > patienceMs) {
      this.#askedMs = now;
      const asking = this.#validate().finally(() => {
        if (this.#validating === asking) this.#validating = undefined;
      });
      this.#validating = asking;
    }
    return this.#validating;
  }

  async #validate(): Promise<boolean> {
    const site = this.#site;
    let response: Response | undefined;
    let text = '';
    let root: Root | undefined;
    /** what the site's own page answers, where there is no manifest */
    let front: number | undefined;
    const late = setTimeout(originIs, hangMs, site, 'down');
    try {
      const asking = early ?? fetchManifest(site.scope);
      early = undefined;
      response = await asking;
      if (response.ok) text = await response.text();
      root = rootOf(text);
      // What is no manifest, nor says that there is none: an overloaded host, a captive portal, a parked domain.
      if (response.ok ? !root && !isManifest(text) : !/40[134]|410/.test(`${response.status}`)) throw response;
      if (isGone(response.status)) front = await statusOf(site.scope);
      // The host has lost the site, rather than Planktos alone.
      if (/404|410|5../.test(`${front}`) && !this.knowsNot('')) throw response;
    } catch {
      if (!response?.ok) this.#failedMs = Date.now();
      originIs(site, 'down');
      return false;
    } finally {
      clearTimeout(late);
    }
    this.#failedMs = 0;
    this.#validatedMs = Date.now();
    originIs(site, 'up');
    const { status } = response;
    if (status === 401 || status === 403) await purge(site);
    else if (front !== undefined) await manifestGone(site, front);
    else if (isDisabled(text)) await leave(site);
    // Absent, or not a manifest that this version reads: plain HTTP.
    if (root) {
      await this.adopt(root);
      void site.releases.shown(text);
    } else this.current = undefined;
    site.shownMs = Date.now();
    return true;
  }

  /** Makes a snapshot the newest. */
  async adopt(root: Root): Promise<void> {
    const site = this.#site;
    const id = root.snapshot;
    const known = this.live.get(id);
    const before = this.current;
    const newer = before?.id !== id;
    if (newer && before) before.left = (before.left ?? 0) + 1;
    site.goneMs = 0;
    if (known && JSON.stringify(known.root) === JSON.stringify(root)) {
      this.current = known;
    } else {
      const firstSeenMs = known?.firstSeenMs ?? Date.now();
      this.current = { id, left: 0, shards: new Map(), ...known, root, firstSeenMs };
      this.live.set(id, this.current);
      await this.#kept.set(id, { root, firstSeenMs });
      site.engines.tell({ type: 'rows', id, root, rows: rowsOf(this.current) });
      permissionChanged(site);
    }
    if (!newer) return;
    if (!this.live.has(this.proven!)) this.proven = before?.id;
    site.altered.clear();
    void site.save();
    if (isWavering(this.current)) return;
    for (const [client, { snapshot }] of site.clients) {
      if (snapshot && snapshot !== id) post(client, { type: 'update', snapshot: id });
    }
  }

  /** The row of a path of the site. Loads the shard that holds it. */
  async row(snapshot: Snapshot, path: string): Promise<FileRow | undefined> {
    const table = this.#table(snapshot, path) ?? (await this.#load(snapshot, shardFor(snapshot.root, path)!));
    return table && lookup(table, path);
  }

  /** Whether the newest snapshot has another content at the row's path, and so the origin. */
  async supersedes(snapshot: Snapshot, [path, hash]: FileRow): Promise<boolean> {
    const { current } = this;
    return !!current && current !== snapshot && (await this.row(current, path))?.[1] !== hash;
  }

  /** The table that holds a path, if it is in memory. */
  #table(snapshot: Snapshot, path: string): FileRow[] | undefined {
    const shard = shardFor(snapshot.root, path);
    return shard ? snapshot.shards.get(shard[1]) : (snapshot.root.files ?? []);
  }

  #load(snapshot: Snapshot, shard: ShardRow): Promise<FileRow[] | undefined> {
    const key = snapshot.id + shard[1];
    const known = this.#loading.get(key);
    const loading = known ?? this.#loadShard(snapshot, shard).finally(() => this.#loading.delete(key));
    this.#loading.set(key, loading);
    return loading;
  }

  /** @param here takes it from the store or not at all */
  async #loadShard(
    snapshot: Snapshot,
    [, hash, size, piece]: ShardRow,
    here = false,
  ): Promise<FileRow[] | undefined> {
    const row: FileRow = [`planktos/shards/${hash}.json`, hash, size, piece];
    const blob = await (here ? stored(this.#site, row, true) : verifiedContent(this.#site, snapshot, row));
    if (!blob) return undefined;
    const rows = parseShard(await blob.text(), snapshot.root);
    snapshot.shards.set(hash, rows);
    if (this.live.has(snapshot.id)) this.#site.engines.tell({ type: 'rows', id: snapshot.id, rows });
    return rows;
  }

  /** Files that a request path may stand for, best first; undefined while it takes a shard to know. */
  peek(snapshot: Snapshot, path: string): Target[] | undefined {
    const targets: Target[] = [];
    for (const file of candidates(path)) {
      const table = this.#table(snapshot, file);
      if (!table) return undefined;
      const row = lookup(table, file);
      if (row) targets.push({ row, certain: file === path || file === path + 'index.html' });
    }
    return targets;
  }

  async targets(snapshot: Snapshot, path: string): Promise<Target[]> {
    for (const file of candidates(path)) await this.row(snapshot, file);
    return this.peek(snapshot, path) ?? [];
  }

  /** Whether no page's snapshot has a file for this path, as far as that is known without asking anyone. */
  knowsNot(path: string): boolean {
    return [...this.live.values()].every((snapshot) => this.peek(snapshot, path)?.length === 0);
  }

  /** What engines are told of everything. */
  forEngine(): EngineSnapshot[] {
    return [...this.live.values()].map((each) => ({ id: each.id, root: each.root, rows: rowsOf(each) }));
  }

  /** What is not stored of a document and what it loads that runs or styles it. */
  async lacking(snapshot: Snapshot, row: FileRow): Promise<FileRow[]> {
    const rows: FileRow[] = [];
    for (const each of documentAndLoads(row, this.#table(snapshot, row[0]) ?? [])) {
      if (isActive(typeOf(snapshot.root, each[0]), '') && !(await this.#site.store.has(idOf(each)))) rows.push(each);
    }
    return rows;
  }

  /** Whether no page of the newest has been here whole yet, as far as it is known. */
  get unproven(): boolean {
    return !!this.current && this.current.id !== this.proven;
  }
  /** Looks whether the newest's page is here whole, or has had its time to be. */
  async prove(): Promise<void> {
    const { current } = this;
    if (!current) return;
    const { given, firstSeenMs, id } = current;
    const old = Date.now() - firstSeenMs > uploadMs;
    if (old || (given && !(await this.lacking(current, given))[0])) this.proven = id;
  }

  /** Forgets the snapshots that no page uses, but for the last that was whole. */
  tidy(): void {
    for (const id of [...this.live.keys()]) if (id !== this.proven) this.remove(id);
  }

  /** Forgets a snapshot that is not the newest and that no page uses; the next sweep, the contents only it names. */
  remove(id: string): boolean {
    const site = this.#site;
    const used = [...site.clients.values()].some((client) => client.snapshot === id);
    if (used || id === this.current?.id || !this.live.delete(id)) return false;
    site.engines.tell({ type: 'forget', id });
    site.keeper.release();
    return true;
  }

  /**
   * Of `stored` contents (by `nameOf`) those that a live snapshot names, shards included. Superseded snapshots are gone
   * for good afterwards. What one of them named the newest may name in a shard that nobody has asked for yet: that is
   * loaded, so that only what changed is fetched again.
   */
  async settle(stored: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    for (const [id, kept] of await this.#kept.rows()) {
      if (this.live.has(id)) continue;
      const named = await this.#names();
      for (const row of await this.#rows({ id, ...kept, shards: new Map() })) {
        const name = nameOf(idOf(row));
        const moved = this.current && stored.has(name) && !named.has(name);
        if (moved) await this.row(this.current!, row[0]).catch(() => undefined);
      }
    }
    await this.#kept.forget((id) => !this.live.has(id));
    const named = await this.#names();
    if (!this.current) return stored;
    await this.#site.known.forget((path) => this.knowsNot(path));
    return named;
  }

  /** Names of the contents of live snapshots, as far as their tables are here. */
  async #names(): Promise<Set<string>> {
    const names = new Set<string>();
    for (const snapshot of this.live.values()) {
      const rows = await this.#rows(snapshot);
      for (const row of [...(snapshot.root.shards ?? []), ...rows]) names.add(nameOf(idOf(row)));
    }
    return names;
  }

  /** A snapshot's rows, as far as they are here: in memory, or in a stored shard. */
  async #rows(snapshot: Snapshot): Promise<FileRow[]> {
    for (const shard of snapshot.root.shards ?? []) {
      if (!snapshot.shards.has(shard[1])) await this.#loadShard(snapshot, shard, true).catch(() => undefined);
    }
    return rowsOf(snapshot);
  }
}

const rootOf = (text: string): Root | undefined => {
  try {
    return parseRoot(text);
  } catch {
    return undefined;
  }
};
const rowsOf = (snapshot: Snapshot): FileRow[] => snapshot.root.files ?? [...snapshot.shards.values()].flat();
