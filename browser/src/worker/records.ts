/**
 * The worker's small memory across restarts, in one Cache of the site: JSON under made-up URLs, and the runtime's own
 * scripts under theirs. Reads and writes never reject: without storage the worker knows less, and asks the origin more.
 */
export class Records {
  readonly #name: string;
  readonly #scope: string;
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

  /** No file of a site has such a URL: paths under `planktos/` are not the site's. */
  #url(key: string): string {
    return `${this.#scope}planktos/:${encodeURIComponent(key)}`;
  }

  get<T>(key: string): Promise<T | undefined> {
    return this.#with<T | undefined>(async (cache) => (await cache.match(this.#url(key)))?.json());
  }

  set(key: string, value: unknown): Promise<void> {
    return this.#with((cache) => cache.put(this.#url(key), new Response(JSON.stringify(value))));
  }

  async delete(key: string): Promise<void> {
    await this.#with((cache) => cache.delete(this.#url(key)));
  }

  /** A script kept as the response it came in. */
  script(url: string): Promise<Response | undefined> {
    return this.#with((cache) => cache.match(url));
  }

  keepScript(url: string, response: Response): Promise<void> {
    return this.#with((cache) => cache.put(url, response));
  }

  async clear(): Promise<void> {
    this.#cache = undefined;
    await caches.delete(this.#name).catch(() => {});
  }
}
