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
  peersOnly: boolean;
  /** when the page needs it: what comes first in the order of need */
  dueMs: number;
  post: (message: FromEngine, transfer: ArrayBuffer[]) => void;
  /** called once, when the request has ended in whatever way */
  done: (request: Request) => void;
}

export class Request {
  readonly path: string;
  readonly end: number;
  readonly peersOnly: boolean;
  readonly dueMs: number;
  /** everything before it has been delivered */
  cursor: number;
  source: Source | undefined;

  readonly #options: RequestOptions;
  #credit = chunksOutstanding;
  #pumping = false;
  #over = false;

  constructor(options: RequestOptions) {
    this.#options = options;
    this.path = options.path;
    this.cursor = options.start;
    this.end = options.end;
    this.peersOnly = options.peersOnly;
    this.dueMs = options.dueMs;
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
        const readable = Math.min(source?.available(this.cursor) ?? 0, this.end, this.cursor + chunkBytes);
        if (!source || this.#credit === 0 || readable <= this.cursor) return;
        const data = await source.read(this.cursor, readable);
        if (this.#over) return;
        // The source was exchanged while it was read: the content has moved into the store.
        if (source !== this.source) continue;
        if (!data) return this.fail();
        this.#credit--;
        this.cursor = readable;
        const { buffer } = data.length === data.buffer.byteLength ? data : data.slice();
        this.#options.post({ type: 'chunk', id: this.#options.id, data: buffer }, [buffer]);
      }
      this.#finish('end');
    } finally {
      this.#pumping = false;
    }
  }

  #finish(type?: 'end' | 'fail'): void {
    if (this.#over) return;
    this.#over = true;
    if (type) this.#options.post({ type, id: this.#options.id }, []);
    this.#options.done(this);
  }
}
