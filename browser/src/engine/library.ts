/**
 * The contents that this browser holds whole. The store is writable by any script of the origin, so every piece that
 * leaves here was verified when it was read: a content longer than a piece against its piece layer, which is computed
 * from the file on first use and must itself lead to the content's hash.
 */
import type { Tree } from './tree.ts';
import type { Bytes } from '../shared/wire.ts';
import { nameOf, type ContentId, type Store } from '../store/store.ts';

const cacheBytes = 8 << 20;
const layersBytes = 8 << 20;

export class Library {
  readonly #store: Store;
  readonly #tree: Tree;
  readonly #contents = new Map<string, ContentId>();
  /** verified pieces and layers, the longest unused first; a promise, so that simultaneous readers share one read */
  readonly #pieces = new Cache<Bytes>(cacheBytes);
  readonly #layers = new Cache<Bytes>(layersBytes);

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
    this.#pieces.drop((key) => key.startsWith(name));
    this.#layers.drop((key) => key.startsWith(name));
    return this.#contents.delete(name);
  }

  /**
   * Piece `index` of the content. Undefined if the content is gone, or is not what its name says: it is forgotten then,
   * and deleted from the store.
   */
  async piece(content: ContentId, pieceLength: number, index: number): Promise<Bytes | undefined> {
    if (!this.has(content)) return undefined;
    const key = `${nameOf(content)}:${pieceLength}:${index}`;
    return this.#pieces.get(key, Math.min(pieceLength, content.size), async () => {
      const layer = await this.layer(content, pieceLength);
      const file = layer && (await this.#file(content));
      if (!layer || !file) return undefined;
      const start = index * pieceLength;
      const data = await bytesOf(file.slice(start, start + pieceLength));
      if (data && (await this.#tree.verifyPiece(content, pieceLength, layer, index, data))) return data;
      await this.#discredit(content);
      return undefined;
    });
  }

  /** The content's piece layer, verified; empty for one that is not longer than a piece. */
  async layer(content: ContentId, pieceLength: number): Promise<Bytes | undefined> {
    if (content.size <= pieceLength) return new Uint8Array(0);
    if (!this.has(content)) return undefined;
    const count = Math.ceil(content.size / pieceLength);
    return this.#layers.get(`${nameOf(content)}:${pieceLength}`, 32 * count, async () => {
      const file = await this.#file(content);
      if (!file) return undefined;
      const layer = new Uint8Array(32 * count);
      for (let i = 0; i < count; i++) {
        const data = await bytesOf(file.slice(i * pieceLength, (i + 1) * pieceLength));
        if (!data) return undefined;
        layer.set(await this.#tree.pieceRoot(data, pieceLength), 32 * i);
      }
      if (await this.#tree.verifyLayer(content, pieceLength, layer)) return layer;
      await this.#discredit(content);
      return undefined;
    });
  }

  /** Keeps the layer that a download has verified. */
  keepLayer(content: ContentId, pieceLength: number, layer: Bytes): void {
    void this.#layers.get(`${nameOf(content)}:${pieceLength}`, layer.length, async () => layer);
  }

  /** The stored file; one that has left the store is forgotten. */
  async #file(content: ContentId): Promise<Blob | undefined> {
    const file = await this.#store.get(content);
    if (!file) this.drop(content);
    return file;
  }

  async #discredit(content: ContentId): Promise<void> {
    this.drop(content);
    await this.#store.delete(content);
  }
}

async function bytesOf(blob: Blob): Promise<Bytes | undefined> {
  try {
    return new Uint8Array(await blob.arrayBuffer());
  } catch {
    // The file was deleted or written to since it was opened.
    return undefined;
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
