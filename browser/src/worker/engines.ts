/** The engines that pages run, each at the end of a MessagePort, and what is being had from them. */
import type { FileRow } from '../shared/manifest.ts';
import type { FromEngine, ToEngine, Totals } from '../shared/messages.ts';
import { chunkBytes, chunksOutstanding, protocol } from '../shared/messages.ts';
import type { Budget } from '../shared/policy.ts';
import type { ByteRange } from '../shared/ranges.ts';
import { broadcast, post } from './clients.ts';
import type { Site } from './site.ts';
import type { Delivery } from './streams.ts';
import { within } from './streams.ts';

declare const self: ServiceWorkerGlobalScope;

/** An engine that promised bytes and sends none for so long is given up. */
const stallMs = 8000;

/** What a request allows an engine; the times are those of its budget. */
export interface Wish extends Budget {
  client: string;
  /** when the request began, by `performance.now()` */
  beganMs: number;
  /** peers or nothing: the origin is down */
  peersOnly: boolean;
}

interface Get {
  client: string;
  path: string;
  /** takes what the engine says of it; undefined: the engine is gone */
  take(message?: FromEngine): void;
}

interface Engine {
  port: MessagePort;
  gets: Map<number, Get>;
  connections: number;
}

export class Engines {
  readonly #site: Site;
  /** by the client that runs it */
  readonly #all = new Map<string, Engine>();
  #waiting = new Set<() => void>();
  #lastId = 0;

  constructor(site: Site) {
    this.#site = site;
  }

  get connections(): number {
    return Math.max(0, ...[...this.#all.values()].map((engine) => engine.connections));
  }

  tell(message: ToEngine): void {
    for (const { port } of this.#all.values()) port.postMessage(message);
  }

  /** Takes the port to a page's engine, in place of an earlier one. */
  attach(client: string, port: MessagePort): void {
    this.detach(client);
    const { scope, snapshots } = this.#site;
    const policy = snapshots.current?.root.policy;
    if (!policy || !this.#site.mayShare()) return port.close();
    const engine: Engine = { port, gets: new Map(), connections: 0 };
    this.#all.set(client, engine);
    port.onmessage = ({ data }) => this.#hear(engine, data as FromEngine);
    // Where ports tell (Chromium), a page that crashed is noticed at once; elsewhere by its silence.
    port.addEventListener('close', () => this.#all.get(client) === engine && this.detach(client));
    const known = snapshots.forEngine();
    port.postMessage({ type: 'configure', protocol, scope, policy, snapshots: known } satisfies ToEngine);
    for (const ready of this.#waiting) ready();
  }

  /** The page's engine is gone: what was being had from it fails, and another page may take over. */
  detach(client: string): void {
    const engine = this.#all.get(client);
    if (!engine) return;
    this.#all.delete(client);
    engine.port.close();
    for (const get of engine.gets.values()) get.take();
    broadcast({ type: 'status', connections: this.connections });
    if (this.#site.mayShare()) broadcast({ type: 'engine?' }, client);
  }

  /** Closes every port: sharing has ended. */
  close(): void {
    for (const client of [...this.#all.keys()]) this.detach(client);
  }

  #hear(engine: Engine, message: FromEngine): void {
    switch (message.type) {
      case 'accept':
      case 'decline':
      case 'chunk':
      case 'end':
      case 'fail':
        return engine.gets.get(message.id)?.take(message);
      case 'count': {
        const { totals } = this.#site;
        const keys = ['origin', 'peers', 'uploaded'] satisfies (keyof Totals)[];
        for (const key of keys) totals[key] += Number(message[key]) || 0;
        void this.#site.save();
        const { path, size = 0 } = message;
        if (path === undefined) return;
        const pages = new Set([...engine.gets.values()].filter((get) => get.path === path).map((get) => get.client));
        for (const source of ['origin', 'peers'] as const) {
          const bytes = message[source];
          if (bytes) for (const page of pages) post(page, { type: 'progress', path, size, bytes, source });
        }
        return;
      }
      case 'stored':
        return;
      case 'status':
        engine.connections = message.connections;
        return broadcast({ type: 'status', connections: this.connections });
      case 'peer':
        return broadcast(message);
      default:
        message satisfies never;
    }
  }

  /** The engine for a client's request: its own page's, else the best connected; waits `waitMs` for one to appear. */
  async #pick(client: string, waitMs: number): Promise<Engine | undefined> {
    // A page that was left without a word, or lies in the back/forward cache, is no longer among the clients.
    const alive = new Set((await self.clients.matchAll({ includeUncontrolled: true })).map(({ id }) => id));
    for (const id of this.#all.keys()) if (!alive.has(id)) this.detach(id);
    if (!this.#all.size && waitMs > 0) {
      let ready = (): void => {};
      const attached = new Promise<void>((resolve) => this.#waiting.add((ready = resolve)));
      await within(waitMs, attached);
      this.#waiting.delete(ready);
    }
    return this.#all.get(client) ?? [...this.#all.values()].sort((a, b) => b.connections - a.connections)[0];
  }

  /**
   * Asks an engine for bytes of a content. Resolves once the first of them are there; undefined if that does not happen
   * within the request's budget.
   */
  async ask(row: FileRow, range: ByteRange, wish: Wish): Promise<Delivery | undefined> {
    const [path, hash, size, piece] = row;
    const { start, end } = range;
    const { client, peersOnly } = wish;
    const leftMs = (byMs: number): number => wish.beganMs + byMs - performance.now();
    const engine = this.#site.mayShare() && (await this.#pick(client, leftMs(wish.engineMs)));
    if (!engine) return undefined;
    const { port, gets } = engine;
    const tell = (message: ToEngine): void => port.postMessage(message);
    const id = ++this.#lastId;
    let missing = end - start;
    let queued = 0;
    let lost = false;
    let accept = (_: boolean): void => {};
    const accepted = new Promise<boolean>((resolve) => (accept = resolve));
    let controller!: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
    const reader = new ReadableStream<Uint8Array<ArrayBuffer>>({ start: (own) => void (controller = own) }).getReader();
    const fail = (): void => {
      if (!gets.delete(id)) return;
      accept(false);
      controller.error(new Error('the engine stopped'));
    };
    const cancel = (): void => {
      if (gets.has(id)) tell({ type: 'cancel', id });
      fail();
    };
    const next = async (timeoutMs: number): Promise<Uint8Array<ArrayBuffer> | undefined> => {
      const read = await within(timeoutMs, reader.read());
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
      take(message) {
        if (message?.type === 'accept') return accept(true);
        if (message?.type === 'chunk') {
          const { data } = message;
          missing -= data instanceof ArrayBuffer ? data.byteLength : Infinity;
          // More than was asked, or than the credit allows, is no engine of ours.
          if (missing < 0 || ++queued > chunksOutstanding || data.byteLength > chunkBytes) return cancel();
          return controller.enqueue(new Uint8Array(data));
        }
        lost = !message;
        if (message?.type !== 'end' || missing) return fail();
        gets.delete(id);
        controller.close();
      },
    });
    const deadlineMs = Math.max(1, leftMs(wish.doneMs));
    tell({ type: 'get', id, content: { hash, size, piece }, path, start, end, deadlineMs, peersOnly });
    const taken = await within(leftMs(wish.answerMs), accepted);
    if (!taken) cancel();
    let first = taken ? await next(leftMs(wish.doneMs)).catch(() => undefined) : undefined;
    // The engine's page was left, perhaps for the very page that asks: its engine is about to come.
    if (!first && lost && leftMs(wish.engineMs) > 0) return this.ask(row, range, wish);
    return (
      first && {
        async next() {
          const chunk = first ?? (await next(stallMs));
          first = undefined;
          return chunk;
        },
        cancel,
      }
    );
  }
}
