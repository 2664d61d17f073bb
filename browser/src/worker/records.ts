/**
 * The worker's small memory across restarts, in one Cache of the site: JSON under made-up URLs, and the runtime's own
 * scripts under theirs. Reads and writes never reject: without storage the worker knows less, and asks the origin more.
 */
import { gathered } from './streams.ts';

export class Records {
  readonly #name: string;
  readonly #scope: string;
  readonly #tables: Table<unknown>[] = [];
  #cache: Promise<Cache> | undefined;

  constructor(scope: string) {
    this.#scope = scope;
    this.#name = 'planktos:' + new URL(scope).pathname;
  }

  async #with<T>(act: (cache: Cache) => Promise<T>): Promise<T | undefined> {
    try {
      return await act(await (this.#cache ??= caches.open(this.#name)));
    } catch {
      return undefined;
    }
  }

  /** A response kept under a URL. */
  match(url: string): Promise<Response | undefined> {
    return this.#with((cache) => cache.match(url));
  }

  keep(url: string, response: Response): Promise<void> {
    return this.#with((cache) => cache.put(url, response));
  }

  /** No file of a site has such a URL: paths under `planktos/` are not the site's. */
  #url(key: string): string {
    return `${this.#scope}planktos/:${key}`;
  }

  async get<T>(key: string): Promise<T | undefined> {
    return (await this.match(this.#url(key)))?.json().catch(() => undefined);
  }

  set(key: string, value: unknown): Promise<void> {
    return this.keep(this.#url(key), new Response(JSON.stringify(value)));
  }

  /** @param limit rows beyond it push those out that were set the longest ago */
  table<V>(key: string, saveMs: number, limit = Infinity): Table<V> {
    const table = new Table<V>(this, key, saveMs, limit);
    this.#tables.push(table as Table<unknown>);
    return table;
  }

  clear(): Promise<void> {
    return this.#empty(undefined);
  }

  /** @param next where records are to be kept from now on, if not in a new cache */
  async #empty(next: Promise<Cache> | undefined): Promise<void> {
    for (const table of this.#tables) table.clear();
    this.#cache = next;
    await caches.delete(this.#name).catch(() => {});
  }

  /** Forgets everything, and keeps nothing from now on. */
  close(): Promise<void> {
    const closed = Promise.reject<Cache>();
    closed.catch(() => {});
    return this.#empty(closed);
  }
}

/** A Map in one record, which is read when it is first wanted and written after a burst of changes. */
export class Table<V> {
  readonly #limit: number;
  readonly #save: () => Promise<void>;
  readonly #read: () => Promise<Map<string, V>>;
  #rows: Promise<Map<string, V>> | undefined;

  constructor(records: Records, key: string, saveMs: number, limit: number) {
    this.#limit = limit;
    this.#save = gathered(saveMs, async () => records.set(key, [...(await this.rows())]));
    // Any script of the origin can write to what is kept.
    this.#read = () => records.get<[string, V][]>(key).then((rows) => new Map(rows)).catch(() => new Map());
  }

  /** All rows, those first that were set the longest ago. */
  rows(): Promise<Map<string, V>> {
    return (this.#rows ??= this.#read());
  }

  async get(key: string): Promise<V | undefined> {
    return (await this.rows()).get(key);
  }

  async set(key: string, value: V): Promise<void> {
    const rows = await this.rows();
    rows.delete(key);
    rows.set(key, value);
    if (rows.size > this.#limit) rows.delete(rows.keys().next().value!);
    void this.#save();
  }

  /** Forgets the rows of which that is true. */
  async forget(unwanted: (key: string) => boolean): Promise<void> {
    const rows = await this.rows();
    for (const key of rows.keys()) if (unwanted(key)) rows.delete(key);
    void this.#save();
  }

  clear(): void {
    this.#rows = Promise.resolve(new Map());
  }
}
