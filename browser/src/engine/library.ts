/**
 * The contents that this browser holds whole. The store is writable by any script of the origin, so every piece that
 * leaves here was verified when it was read: a content longer than a piece against its piece layer, which is computed
 * from the file on first use and must itself lead to the content's hash.
 */
import type { Tree } from './tree.ts';
import { join, type Bytes } from '../shared/bytes.ts';
import { openReader, type Reader } from '../store/reader.ts';
import { nameOf, type ContentId, type Store } from '../store/store.ts';

/** Read at a time, if pieces are not longer. */
export const stretchBytes = 256 * 1024;
/** of stretches, and of layers */
const cacheBytes = 8 << 20;
/** How long a content stays open that is no longer read. */
const openMs = 1000;

export class Library {
  readonly #store: Store;
  readonly #tree: Tree;
  readonly #contents = new Map<string, ContentId>();
  /** verified stretches and layers, the longest unused first; promises, so that simultaneous readers share one read */
  readonly #stretches = new Cache<Bytes>(cacheBytes);
  readonly #layers = new Cache<Bytes>(cacheBytes);
  /** the content that was read last */
  #open: { name: string; reader: Promise<Reader | undefined>; timer?: ReturnType<typeof setTimeout> } | undefined;

  constructor(store: Store, tree: Tree) {
    this.#store = store;
    this.#tree = tree;
  }

  has(content: ContentId): boolean {
    return this.#contents.has(nameOf(content));
  }

  contents(): Iterable<ContentId> {
    return this.#contents.values();
  }

  /** Returns whether it is new. */
  add(content: ContentId): boolean {
    const name = nameOf(content);
    if (this.#contents.has(name)) return false;
    this.#contents.set(name, { hash: content.hash, size: content.size });
    return true;
  }

  /** Forgets the content; true if it was here. */
  drop(content: ContentId): boolean {
    const name = nameOf(content);
    if (this.#open?.name === name) void this.#close();
    this.#stretches.drop((key) => key.startsWith(name));
    this.#layers.drop((key) => key.startsWith(name));
    return this.#contents.delete(name);
  }

  /**
   * Verified bytes of the content, perhaps as a view of what others are given. Undefined if it is gone, or is not what
   * its name says: it is forgotten then, and deleted from the store.
   */
  async read(content: ContentId, pieceLength: number, start: number, end: number): Promise<Bytes | undefined> {
    const size = Math.max(pieceLength, stretchBytes);
    const parts: Bytes[] = [];
    for (let at = start; at < end; ) {
      const from = at - (at % size);
      const stretch = await this.#stretch(content, pieceLength, from, Math.min(from + size, content.size));
      if (!stretch) return undefined;
      parts.push(stretch.subarray(at - from, end - from));
      at += parts.at(-1)!.length;
    }
    return join(parts);
  }

  async #stretch(content: ContentId, pieceLength: number, from: number, to: number): Promise<Bytes | undefined> {
    if (!this.has(content)) return undefined;
    return this.#stretches.get(`${nameOf(content)}:${pieceLength}:${from}`, to - from, async () => {
      const layer = await this.layer(content, pieceLength);
      const data = layer && (await this.#bytes(content, from, to));
      for (let at = from; data && at < to; at += pieceLength) {
        const piece = data.subarray(at - from, at - from + pieceLength);
        if (await this.#tree.verifyPiece(content, pieceLength, layer, at / pieceLength, piece)) continue;
        await this.#discredit(content);
        return undefined;
      }
      return data;
    });
  }

  /** The content's piece layer, verified; empty for one that is not longer than a piece. */
  async layer(content: ContentId, pieceLength: number): Promise<Bytes | undefined> {
    if (content.size <= pieceLength) return new Uint8Array(0);
    if (!this.has(content)) return undefined;
    const count = Math.ceil(content.size / pieceLength);
    return this.#layers.get(`${nameOf(content)}:${pieceLength}`, 32 * count, async () => {
      const layer = new Uint8Array(32 * count);
      for (let i = 0; i < count; i++) {
        const data = await this.#bytes(content, i * pieceLength, Math.min((i + 1) * pieceLength, content.size));
        if (!data) return undefined;
        layer.set(await this.#tree.pieceRoot(data, pieceLength), 32 * i);
      }
      if (await this.#tree.verifyLayer(content, pieceLength, layer)) return layer;
      await this.#discredit(content);
      return undefined;
    });
  }

  /** Keeps what a download has verified: the layer and, if it is at hand, the content. */
  keep(content: ContentId, pieceLength: number, layer: Bytes, data: Bytes | undefined): void {
    const key = `${nameOf(content)}:${pieceLength}`;
    if (layer.length) void this.#layers.get(key, layer.length, async () => layer);
    const size = Math.max(pieceLength, stretchBytes);
    for (let from = 0; data && from < data.length; from += size) {
      const stretch = data.subarray(from, from + size);
      void this.#stretches.get(`${key}:${from}`, stretch.length, async () => stretch);
    }
  }

  /** Bytes of the stored file. One that has left the store is forgotten, one that cannot be read deleted. */
  async #bytes(content: ContentId, start: number, end: number): Promise<Bytes | undefined> {
    // Who waits for the reader reads before anything closes it: that waits for it, too, and came later.
    const reader = await this.#reader(content);
    const data = await reader?.read(start, end);
    if (!reader) this.drop(content);
    else if (!data) await this.#discredit(content);
    return data;
  }

  /** Opens the content, or finds it open. */
  #reader(content: ContentId): Promise<Reader | undefined> {
    const name = nameOf(content);
    if (this.#open?.name !== name) {
      void this.#close();
      this.#open = { name, reader: openReader(this.#store, content) };
    }
    clearTimeout(this.#open!.timer);
    this.#open!.timer = setTimeout(() => void this.#close(), openMs);
    return this.#open!.reader;
  }

  async #close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    clearTimeout(open?.timer);
    (await open?.reader)?.close();
  }

  async #discredit(content: ContentId): Promise<void> {
    const closed = this.#close();
    this.drop(content);
    await closed;
    await this.#store.delete(content);
  }
}

/** Promised values by key, at most so many bytes of them, the longest unused dropped first. */
class Cache<V> {
  readonly #entries = new Map<string, { size: number; value: Promise<V | undefined> }>();
  readonly #limit: number;
  #bytes = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The value under `key`, made if it is not there. What turns out undefined is not kept. */
  async get(key: string, size: number, make: () => Promise<V | undefined>): Promise<V | undefined> {
    let entry = this.#entries.get(key);
    if (entry) this.#entries.delete(key);
    else {
      entry = { size, value: make() };
      this.#bytes += size;
      entry.value.then(
        (value) => value === undefined && this.drop((other) => other === key),
        () => this.drop((other) => other === key),
      );
    }
    this.#entries.set(key, entry);
    for (const [old, { size: oldSize }] of this.#entries) {
      if (this.#bytes <= this.#limit || old === key) break;
      this.#entries.delete(old);
      this.#bytes -= oldSize;
    }
    return entry.value;
  }

  drop(match: (key: string) => boolean): void {
    for (const [key, { size }] of this.#entries) {
      if (match(key) && this.#entries.delete(key)) this.#bytes -= size;
    }
  }
}
