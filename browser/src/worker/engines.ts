/** The engines that pages run, each at the end of a MessagePort, and what is being had from them. */
import type { FileRow } from '../shared/manifest.ts';
import type { FromEngine, ToEngine, Totals } from '../shared/messages.ts';
import { chunkBytes, chunksOutstanding, protocol } from '../shared/messages.ts';
import type { ByteRange } from '../shared/ranges.ts';
import { broadcast, post } from './clients.ts';
import type { Site } from './site.ts';

declare const self: ServiceWorkerGlobalScope;

/** A body in order, as it comes. Not to be read concurrently. */
export interface Delivery {
  /** the next bytes; undefined at the end; rejects if the rest will not come from here */
  next(): Promise<Uint8Array<ArrayBuffer> | undefined>;
  cancel(): void;
}

/** An engine that promised bytes and sends none for so long is given up. */
const stallMs = 8000;
/** What a message may take on top of a deadline that the engine keeps. */
const slackMs = 100;

interface Get {
  client: string;
  path: string;
  take(message: FromEngine | undefined): void;
}

class Engine {
  readonly port: MessagePort;
  readonly gets = new Map<number, Get>();
  connections = 0;

  constructor(port: MessagePort) {
    this.port = port;
  }

  tell(message: ToEngine): void {
    this.port.postMessage(message);
  }
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
    for (const engine of this.#all.values()) engine.tell(message);
  }

  /** Takes the port to a page's engine, in place of an earlier one. */
  attach(client: string, port: MessagePort): void {
    this.detach(client);
    const { scope, snapshots } = this.#site;
    const policy = snapshots.current?.root.policy;
    if (!policy || !this.#site.mayShare()) return port.close();
    const engine = new Engine(port);
    this.#all.set(client, engine);
    port.onmessage = ({ data }) => this.#hear(engine, data as FromEngine);
    // Where ports tell (Chromium), a page that crashed is noticed at once; elsewhere by its silence.
    port.addEventListener('close', () => this.#all.get(client) === engine && this.detach(client));
    engine.tell({ type: 'configure', protocol, scope, policy, snapshots: snapshots.forEngine() });
    for (const ready of this.#waiting) ready();
  }

  /** The page's engine is gone: what was being had from it fails, and another page may take over. */
  detach(client: string): void {
    const engine = this.#all.get(client);
    if (!engine) return;
    this.#all.delete(client);
    engine.port.close();
    for (const get of engine.gets.values()) get.take(undefined);
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
        for (const key of ['origin', 'peers', 'uploaded'] satisfies (keyof Totals)[]) totals[key] += Number(message[key]) || 0;
        void this.#site.save();
        const { path, size = 0 } = message;
        const pages = new Set([...engine.gets.values()].filter((get) => get.path === path).map((get) => get.client));
        for (const page of path === undefined ? [] : pages) {
          for (const source of ['origin', 'peers'] as const) {
            if (message[source]) post(page, { type: 'progress', path: path!, size, bytes: message[source], source });
          }
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
    const best = (): Engine | undefined =>
      this.#all.get(client) ?? [...this.#all.values()].sort((a, b) => b.connections - a.connections)[0];
    if (!best() && waitMs > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, waitMs);
        const waiting = this.#waiting;
        function done(): void {
          clearTimeout(timer);
          waiting.delete(done);
          resolve();
        }
        waiting.add(done);
      });
    }
    return best();
  }

  /**
   * Asks an engine for bytes of a content. Resolves once it accepts; undefined if none does in time. A page whose
   * engine answers nothing is gone, or as good as.
   */
  async ask(
    row: FileRow,
    { start, end }: ByteRange,
    wish: { client: string; deadlineMs: number; waitMs: number; peersOnly: boolean },
  ): Promise<Delivery | undefined> {
    const { client, deadlineMs, peersOnly } = wish;
    const began = Date.now();
    const engine = await this.#pick(client, wish.waitMs);
    if (!engine) return undefined;
    const [path, hash, size, piece] = row;
    const id = ++this.#lastId;
    const left = Math.max(1, deadlineMs - (Date.now() - began));
    const queue: Uint8Array<ArrayBuffer>[] = [];
    let received = start;
    let state: 'asked' | 'open' | 'ended' | 'failed' = 'asked';
    let wake = (): void => {};
    const finish = (how: 'ended' | 'failed'): void => {
      state = how;
      engine.gets.delete(id);
      wake();
    };
    const cancel = (): void => {
      if (state === 'ended' || state === 'failed') return;
      engine.tell({ type: 'cancel', id });
      finish('failed');
    };
    /** Resolves when something has changed, or after `ms`: false. */
    const changed = (ms: number): Promise<boolean> =>
      new Promise((resolve) => {
        const timer = setTimeout(() => resolve(false), ms);
        wake = () => {
          clearTimeout(timer);
          resolve(true);
        };
      });

    engine.gets.set(id, {
      client,
      path,
      take(message) {
        if (message?.type === 'accept' && state === 'asked') state = 'open';
        else if (message?.type === 'chunk' && state === 'open') {
          // More than was asked, or than the credit allows, is no engine of ours.
          const { data } = message;
          received += data instanceof ArrayBuffer ? data.byteLength : Infinity;
          if (received > end || queue.length >= chunksOutstanding || data.byteLength > chunkBytes) return cancel();
          queue.push(new Uint8Array(data));
        } else if (message?.type === 'end' && received === end) return finish('ended');
        else return finish('failed');
        wake();
      },
    });
    engine.tell({ type: 'get', id, content: { hash, size, piece }, path, start, end, deadlineMs: left, peersOnly });
    await changed(left + slackMs);
    if ((state as string) === 'asked') cancel();
    if ((state as string) === 'failed') return undefined;
    return {
      async next() {
        for (;;) {
          const data = queue.shift();
          if (data) {
            if (state === 'open') engine.tell({ type: 'pull', id });
            return data;
          }
          if (state === 'ended') return undefined;
          if (state === 'failed' || !(await changed(stallMs))) {
            cancel();
            throw new Error('the engine stopped');
          }
        }
      },
      cancel,
    };
  }
}
