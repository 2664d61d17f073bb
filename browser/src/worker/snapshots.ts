/** The snapshots this browser knows: the newest that the origin has shown, and older ones that pages still live on. */
import type { FileRow, Root } from '../shared/manifest.ts';
import { candidates, lookup, parseRoot, parseShard, shardFor } from '../shared/manifest.ts';
import type { EngineSnapshot } from '../shared/messages.ts';
import { post } from './clients.ts';
import { forget, idOf, verifiedContent } from './content.ts';
import { patienceMs } from '../shared/policy.ts';
import { permissionChanged } from './messages.ts';
import type { Site } from './site.ts';
import { manifestGone, purge } from './wayout.ts';

export interface Snapshot {
  id: string;
  root: Root;
  firstSeenMs: number;
  /** rows of the shards seen so far, by the shard's hash */
  shards: Map<string, FileRow[]>;
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
/** How long a failed origin is taken to be down without asking it. */
const downMs = 10_000;

export class Snapshots {
  readonly live = new Map<string, Snapshot>();
  current: Snapshot | undefined;
  readonly #site: Site;
  #validating: Promise<boolean> | undefined;
  #validatedMs = 0;
  #askedMs = 0;
  #downMs = 0;

  constructor(site: Site) {
    this.#site = site;
  }

  /** Brings back the snapshots that were known before the worker was stopped. */
  async load(current: string | undefined): Promise<void> {
    const ids = new Set([current, ...[...this.#site.clients.values()].map((client) => client.snapshot)]);
    for (const id of ids) {
      const kept = id && (await this.#site.records.get<{ root: Root; firstSeenMs: number }>('snapshot ' + id));
      if (id && kept) this.live.set(id, { id, ...kept, shards: new Map() });
    }
    this.current = this.live.get(current ?? '');
  }

  get originDown(): boolean {
    return Date.now() - this.#downMs < downMs;
  }
  set originDown(down: boolean) {
    this.#downMs = down ? Date.now() : 0;
  }

  get fresh(): boolean {
    return Date.now() - this.#validatedMs < freshMs;
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
    const signal = AbortSignal.timeout(manifestMs);
    let response: Response;
    let text = '';
    try {
      response = await fetch(this.#site.scope + 'planktos/manifest.json', { cache: 'no-cache', signal });
      if (response.ok) text = await response.text();
      if (response.status >= 500) throw response;
    } catch {
      this.originDown = true;
      return false;
    }
    this.originDown = false;
    this.#validatedMs = Date.now();
    if (response.status === 401 || response.status === 403) await purge(this.#site);
    else if (response.status === 404 || response.status === 410) await manifestGone(this.#site);
    try {
      await this.#adopt(parseRoot(text));
    } catch {
      // Absent, or not a manifest that this version reads: plain HTTP.
      this.current = undefined;
    }
    return true;
  }

  async #adopt(root: Root): Promise<void> {
    const site = this.#site;
    const id = root.snapshot;
    const known = this.live.get(id);
    const newer = this.current?.id !== id;
    site.goneMs = 0;
    if (known && JSON.stringify(known.root) === JSON.stringify(root)) {
      this.current = known;
    } else {
      const firstSeenMs = known?.firstSeenMs ?? Date.now();
      this.current = { id, root, firstSeenMs, shards: known?.shards ?? new Map() };
      this.live.set(id, this.current);
      await site.records.set('snapshot ' + id, { root, firstSeenMs });
      site.engines.tell({ type: 'rows', id, root, rows: rowsOf(this.current) });
      permissionChanged(site);
    }
    if (!newer) return;
    site.altered.clear();
    void site.save();
    for (const [client, { snapshot }] of site.clients) {
      if (snapshot && snapshot !== id) post(client, { type: 'update', snapshot: id });
    }
  }

  /** The row of a path of the site. Loads the shard that holds it. */
  async row(snapshot: Snapshot, path: string): Promise<FileRow | undefined> {
    const table = this.#table(snapshot, path) ?? (await this.#loadShard(snapshot, path));
    return table && lookup(table, path);
  }

  /** The table that holds a path, if it is in memory. */
  #table(snapshot: Snapshot, path: string): FileRow[] | undefined {
    const shard = shardFor(snapshot.root, path);
    return shard ? snapshot.shards.get(shard[1]) : (snapshot.root.files ?? []);
  }

  async #loadShard(snapshot: Snapshot, path: string): Promise<FileRow[] | undefined> {
    const [, hash, size, piece] = shardFor(snapshot.root, path)!;
    const row: FileRow = [`planktos/shards/${hash}.json`, hash, size, piece];
    const blob = await verifiedContent(this.#site, snapshot, row);
    if (!blob) return undefined;
    const rows = parseShard(await blob.text(), snapshot.root);
    snapshot.shards.set(hash, rows);
    this.#site.engines.tell({ type: 'rows', id: snapshot.id, rows });
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

  /**
   * Forgets a snapshot that is not the newest and that no page uses, and the contents that only it names. A content
   * that the newest snapshot has under the same path stays, so that only what changed is fetched again.
   */
  async remove(id: string): Promise<boolean> {
    const site = this.#site;
    const snapshot = this.live.get(id);
    if (!snapshot || snapshot === this.current) return false;
    if ([...site.clients.values()].some((client) => client.snapshot === id)) return false;
    this.live.delete(id);
    const others = new Set([...this.live.values()].flatMap((other) => rowsOf(other).map(([, hash]) => hash)));
    for (const row of rowsOf(snapshot)) {
      if (others.has(row[1]) || !(await site.store.has(idOf(row)))) continue;
      // The newest may have it in a shard that nobody has asked for yet.
      const now = this.current && (await this.row(this.current, row[0]).catch(() => undefined));
      if (now?.[1] !== row[1]) await forget(site, row);
    }
    site.engines.tell({ type: 'forget', id });
    await site.records.delete('snapshot ' + id);
    return true;
  }
}

const rowsOf = (snapshot: Snapshot): FileRow[] => snapshot.root.files ?? [...snapshot.shards.values()].flat();
