/** The engines that pages run, each at the end of a MessagePort, and what is being had from them. */
import type { FileRow } from '../shared/manifest.ts';
import type { FromEngine, ToEngine } from '../shared/messages.ts';
import { chunkBytes, chunksOutstanding, protocol } from '../shared/messages.ts';
import type { ByteRange } from '../shared/ranges.ts';
import { broadcast, post } from './clients.ts';
import { depose, summon } from './leader.ts';
import type { Site } from './site.ts';
import type { Delivery } from './streams.ts';
import { begun, within } from './streams.ts';

declare const self: ServiceWorkerGlobalScope;

/** An engine that promised bytes and sends none for so long is given up. */
const stallMs = 8000;
/** A request that was declined asks again when an engine has news of its peers, or after this. */
const againMs = 1000;
/** An engine that has not answered a beat by then hangs, or its page does. */
const beatMs = 5000;

/** What a request wants of engines, and how long it stands there. */
export interface Wish {
  client: string;
  /** peers or nothing: the origin is down, and an engine's `decline` is the end */
  peersOnly: boolean;
  /** prefetch: never in the way of others */
  background?: boolean;
  /** by `performance.now()`: until then an engine may yet come */
  engineByMs: number;
  /** when the origin alone would have brought the bytes, in ms from now */
  dueMs(): number;
  /** aborted when it has waited long enough: only an engine that has accepted goes on */
  until: AbortSignal;
  /** aborted when nobody wants the bytes any more */
  signal?: AbortSignal;
  /** hears what engines say */
  hear?(news: 'accept' | boolean): void;
}

interface Get {
  client: string;
  path: string;
  background: boolean;
  /** whether the engine may send more: the page reads what it is given */
  hasCredit(): boolean;
  /** takes what the engine says of it; undefined: the engine is gone */
  take(message?: FromEngine): void;
}

interface Engine {
  sinceMs: number;
  port: MessagePort;
  gets: Map<number, Get>;
  connections: number;
  /** until when a beat is waited for; `silent` until it comes */
  watch?: ReturnType<typeof setTimeout> | undefined;
  silent: boolean;
  /** ids of the peers it is connected to */
  peers: Set<string>;
}

export class Engines {
  readonly #site: Site;
  /** by the client that runs it */
  readonly #all = new Map<string, Engine>();
  #watchers = new Set<() => void>();
  #alive: Promise<void> | undefined;
  #lastId = 0;

  constructor(site: Site) {
    this.#site = site;
  }

  get size(): number {
    return this.#all.size;
  }

  /** Whether a page is having anything that it reads. */
  get busy(): boolean {
    const gets = [...this.#all.values()].flatMap((engine) => [...engine.gets.values()]);
    return gets.some(({ background, hasCredit }) => !background && hasCredit());
  }

  has(client: string): boolean {
    return this.#all.has(client);
  }

  get connections(): number {
    return Math.max(0, ...[...this.#all.values()].map((engine) => engine.connections));
  }

  /** What pages are told of it. */
  readonly status = () => ({ type: 'status', connections: this.connections }) as const;

  /** how long there has been one; undefined if there is none */
  get ageMs(): number | undefined {
    const [oldest] = this.#all.values();
    return oldest && performance.now() - oldest.sinceMs;
  }

  tell(message: ToEngine): void {
    for (const { port } of this.#all.values()) port.postMessage(message);
  }

  /** Takes the port to a page's engine, in place of an earlier one, and the port that says when it is gone. */
  attach(client: string, port: MessagePort, bye: MessagePort): void {
    this.detach(client);
    const { scope, snapshots } = this.#site;
    const policy = snapshots.current?.root.policy;
    if (!policy || !this.#site.mayShare()) {
      post(client, { type: 'engine', act: 'stop' });
      return port.close();
    }
    const sinceMs = performance.now();
    const engine: Engine = { sinceMs, port, gets: new Map(), connections: 0, silent: false, peers: new Set() };
    this.#all.set(client, engine);
    port.onmessage = ({ data, ports }) => this.#hear(engine, data as FromEngine, ports[0]);
    const end = (leaves?: boolean): void => {
      if (this.#all.get(client) === engine) this.detach(client, leaves);
    };
    bye.onmessage = ({ data }) => end(!!data);
    // Where ports tell (Chromium), a page that crashed is noticed at once; elsewhere by its silence.
    port.addEventListener('close', () => end());
    const known = snapshots.forEngine();
    port.postMessage({ type: 'configure', protocol, scope, policy, snapshots: known } satisfies ToEngine);
    for (const content of this.#site.turns.fetching()) {
      port.postMessage({ type: 'fetching', content, active: true } satisfies ToEngine);
    }
    void this.#site.releases.introduce((message) => port.postMessage(message));
    this.#changed();
  }

  /** The page's engine is gone: what was being had from it fails, and another page may take over. */
  detach(client: string, leaves = false): void {
    const engine = this.#all.get(client);
    if (!engine) return;
    this.#all.delete(client);
    clearTimeout(engine.watch);
    engine.port.close();
    for (const get of engine.gets.values()) get.take();
    this.#changed();
    const except = leaves ? client : undefined;
    for (const id of engine.peers) broadcast({ type: 'peer', id, connected: false }, except);
    broadcast(this.status, except);
    if (!this.#all.size) void summon(this.#site, except);
  }

  /** A page's engine has to end: it may no longer share. */
  stop(client: string): void {
    if (this.#all.has(client)) post(client, { type: 'engine', act: 'stop' });
    this.detach(client);
  }

  close(): void {
    for (const client of [...this.#all.keys()]) this.stop(client);
  }

  #watch(client: string, engine: Engine): void {
    if (engine.watch) return;
    engine.silent = true;
    engine.port.postMessage({ type: 'beat' } satisfies ToEngine);
    engine.watch = setTimeout(() => {
      engine.watch = undefined;
      if (engine.silent) void depose(this.#site, client);
    }, beatMs);
  }

  #hear(engine: Engine, message: FromEngine, reply: MessagePort | undefined): void {
    switch (message.type) {
      case 'count': {
        const { totals } = this.#site;
        const { path, size = 0 } = message;
        const pages = new Set([...engine.gets.values()].filter((get) => get.path === path).map((get) => get.client));
        for (const source of ['origin', 'peers', 'uploaded'] as const) {
          const bytes = Number(message[source]) || 0;
          totals[source] += bytes;
          if (path === undefined || source === 'uploaded' || !bytes) continue;
          for (const page of pages) post(page, { type: 'progress', path, size, bytes, source });
        }
        return void this.#site.counted();
      }
      case 'stored':
        return void this.#site.keeper.used(message.content);
      case 'room': {
        const answer = (): void => reply?.postMessage(undefined);
        return void this.#site.store.makeRoom(message.bytes).then(answer, answer);
      }
      case 'beat':
        engine.silent = false;
        return;
      case 'status':
        engine.connections = message.connections;
        this.#changed();
        return broadcast(this.status);
      case 'peer':
        engine.peers[message.connected ? 'add' : 'delete'](message.id);
        return broadcast(message);
      case 'release':
        return this.#site.releases.heard(message);
      default:
        return engine.gets.get(message.id)?.take(message);
    }
  }

  /** Engines have come or gone, or their peers. */
  #changed(): void {
    for (const watcher of this.#watchers) watcher();
    this.#site.turns.look();
  }

  async #change(ms: number, signal: AbortSignal): Promise<void> {
    let woken = (): void => {};
    const change = new Promise<void>((resolve) => this.#watchers.add((woken = resolve)));
    signal.addEventListener('abort', woken);
    await within(ms, change);
    signal.removeEventListener('abort', woken);
    this.#watchers.delete(woken);
  }

  /** The engine for a client's request: its own page's, else the best connected. */
  async #pick(client: string): Promise<Engine | undefined> {
    // A page that was left without a word, or lies in the back/forward cache, is no longer among the clients.
    await this.weed();
    return this.#all.get(client) ?? [...this.#all.values()].sort((a, b) => b.connections - a.connections)[0];
  }

  /** Forgets the engines of pages that are gone, and asks the others whether they live. */
  weed(): Promise<void> {
    return (this.#alive ??= this.#weed().finally(() => (this.#alive = undefined)));
  }

  async #weed(): Promise<void> {
    if (!this.#all.size) return;
    const alive = new Set((await self.clients.matchAll({ includeUncontrolled: true })).map(({ id }) => id));
    for (const [id, engine] of this.#all) alive.has(id) ? this.#watch(id, engine) : this.detach(id);
  }

  /** Asks for bytes of a content. Resolves once the first of them are there; undefined if the wish ends before. */
  async ask(row: FileRow, range: ByteRange, wish: Wish): Promise<Delivery | undefined> {
    const { until, signal } = wish;
    for (;;) {
      const engine = this.#site.mayShare() ? await this.#pick(wish.client) : undefined;
      if (until.aborted || signal?.aborted) return undefined;
      const answer = engine && (await this.#get(engine, row, range, wish));
      if (typeof answer === 'object') return answer;
      const leftMs = wish.engineByMs - performance.now();
      // An engine whose page was left, perhaps for the very page that asks, is about to be followed by another.
      if (until.aborted || signal?.aborted || (answer === 'no' && wish.peersOnly) || leftMs <= 0) return undefined;
      if (answer === 'no') wish.hear?.(false);
      if (answer !== 'gone' || !this.#all.size) await this.#change(Math.min(leftMs, againMs), until);
    }
  }

  /** Asks one engine. */
  async #get(engine: Engine, row: FileRow, range: ByteRange, wish: Wish): Promise<Delivery | 'no' | 'gone'> {
    const [path, hash, size, piece] = row;
    const { start, end } = range;
    const { client, peersOnly, background = false, until, signal } = wish;
    const { port, gets } = engine;
    const tell = (message: ToEngine): void => port.postMessage(message);
    const id = ++this.#lastId;
    let missing = end - start;
    let queued = 0;
    let gone = false;
    let accept = (_: boolean): void => {};
    const accepted = new Promise<boolean>((resolve) => (accept = resolve));
    let controller!: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
    const reader = new ReadableStream<Uint8Array<ArrayBuffer>>({ start: (own) => void (controller = own) }).getReader();
    const fail = (): void => {
      if (!gets.delete(id)) return;
      accept(false);
      controller.error(new Error('stopped'));
    };
    const cancel = (): void => {
      if (gets.has(id)) tell({ type: 'cancel', id });
      fail();
    };
    const next = async (): Promise<Uint8Array<ArrayBuffer> | undefined> => {
      const read = await within(stallMs, reader.read());
      if (!read) cancel();
      else if (read.value) {
        queued--;
        if (gets.has(id)) tell({ type: 'pull', id });
      }
      return (read ?? (await reader.read())).value;
    };

    gets.set(id, {
      client,
      path,
      background,
      hasCredit: () => queued < chunksOutstanding,
      take(message) {
        if (message?.type === 'accept') return accept(true);
        if (message?.type === 'expect') return wish.hear?.(!!message.soon);
        if (message?.type === 'chunk') {
          const { data } = message;
          missing -= data instanceof ArrayBuffer ? data.byteLength : Infinity;
          // More than was asked, or than the credit allows, is no engine of ours.
          if (missing < 0 || ++queued > chunksOutstanding || data.byteLength > chunkBytes) return cancel();
          return controller.enqueue(new Uint8Array(data));
        }
        gone = !message;
        if (message?.type !== 'end' || missing) return fail();
        gets.delete(id);
        controller.close();
      },
    });
    const deadlineMs = Math.max(1, Math.round(wish.dueMs()));
    const content = { hash, size, piece };
    tell({ type: 'get', id, content, path, start, end, deadlineMs, peersOnly, background });
    signal?.addEventListener('abort', cancel);
    until.addEventListener('abort', cancel);
    const taken = await accepted;
    until.removeEventListener('abort', cancel);
    if (taken) wish.hear?.('accept');
    const first = taken ? await next().catch(() => undefined) : undefined;
    if (!first) return gone ? 'gone' : 'no';
    return begun(first, next, cancel);
  }
}
