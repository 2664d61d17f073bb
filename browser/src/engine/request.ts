/**
 * One request of the worker that has been taken on: delivers bytes [start, end) of a content in order, as they become
 * readable and as the worker's credit allows.
 */
import { chunkBytes, chunksOutstanding, type FromEngine } from '../shared/messages.ts';
import type { Bytes } from '../shared/wire.ts';

/** Where a request's bytes come from. */
export interface Source {
  /** the end of the readable bytes that begin at `from` */
  available(from: number): number;
  /** bytes [start, end), all of them available; undefined if they cannot be read after all */
  read(start: number, end: number): Promise<Bytes | undefined>;
}

export interface RequestOptions {
  id: number;
  path: string;
  start: number;
  end: number;
  /** not from the origin: it is down, and web seeds on other hosts may be asked */
  peersOnly: boolean;
  /** prefetching: no web seed may be asked */
  background: boolean;
  /** when the page needs it: what comes first in the order of need */
  dueMs: number;
  post: (message: FromEngine, transfer: ArrayBuffer[]) => void;
  /** called once, when the request has ended in whatever way */
  done: (request: Request) => void;
}

/** So long after a chunk what would not fill another waits for more: each costs worker and page several messages. */
const gatherMs = 20;

export interface Request extends Readonly<RequestOptions> {}

export class Request {
  /** everything before it has been delivered */
  cursor: number;
  source: Source | undefined;

  #credit = chunksOutstanding;
  #pumping = false;
  #over = false;
  /** runs while little is not delivered: not before the first bytes, nor when the next have waited */
  #gathering: ReturnType<typeof setTimeout> | undefined;

  constructor(options: RequestOptions) {
    Object.assign(this, options);
    this.cursor = options.start;
  }

  /** Whether it is for now, and could be given more than is here. */
  get pressing(): boolean {
    return !this.background && this.#credit > 0 && (this.source?.available(this.cursor) ?? 0) < this.end;
  }

  /** The worker has consumed a chunk. */
  pull(): void {
    this.#credit = Math.min(this.#credit + 1, chunksOutstanding);
    this.pump();
  }

  /** Delivers what can be. */
  pump(): void {
    if (this.#pumping || this.#over) return;
    this.#pumping = true;
    this.#deliver().catch(() => this.fail());
  }

  fail(): void {
    this.#finish('fail');
  }

  /** The worker wants no more; it is told nothing. */
  cancel(): void {
    this.#finish();
  }

  async #deliver(): Promise<void> {
    try {
      while (!this.#over && this.cursor < this.end) {
        const { source } = this;
        const full = Math.min(this.end, this.cursor + chunkBytes);
        const readable = Math.min(source?.available(this.cursor) ?? 0, full);
        if (!source || this.#credit === 0 || readable <= this.cursor) return;
        if (readable < full && this.#gathering) return;
        const data = await source.read(this.cursor, readable);
        if (this.#over) return;
        // The source was exchanged while it was read: the content has moved into the store.
        if (source !== this.source) continue;
        if (!data) return this.fail();
        this.#credit--;
        this.cursor = readable;
        this.#gather();
        const { buffer } = data.length === data.buffer.byteLength ? data : data.slice();
        this.post({ type: 'chunk', id: this.id, data: buffer }, [buffer]);
      }
      this.#finish('end');
    } finally {
      this.#pumping = false;
    }
  }

  #gather(): void {
    clearTimeout(this.#gathering);
    this.#gathering = setTimeout(() => {
      this.#gathering = undefined;
      this.pump();
    }, gatherMs);
  }

  #finish(type?: 'end' | 'fail'): void {
    if (this.#over) return;
    this.#over = true;
    if (type) this.post({ type, id: this.id }, []);
    this.done(this);
  }
}
