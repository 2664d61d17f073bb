/**
 * Where contents lie in a torrent. Every content begins on a piece (docs/manifest.md), so a torrent is a list of
 * contents with gaps for what is not known yet: shards not loaded, and files that no browser asks peers for.
 */
import type { ContentId } from '../store/store.ts';
import { nameOf } from '../store/store.ts';

export interface Placed extends ContentId {
  /** the content's first piece */
  piece: number;
}

export class Torrent {
  readonly infoHash: string;
  /** bytes */
  readonly pieceLength: number;
  readonly pieces: number;
  readonly #placed = new Map<string, Placed>();
  #sorted: Placed[] | undefined;

  constructor(info: { infoHash: string; pieceLength: number; pieces: number }) {
    this.infoHash = info.infoHash;
    this.pieceLength = info.pieceLength;
    this.pieces = info.pieces;
  }

  /** Places a content; one that is empty, or does not fit the torrent, is passed over. True if it is new. */
  add(hash: string, size: number, piece: number): boolean {
    const placed = { hash, size, piece };
    const name = nameOf(placed);
    if (size === 0 || piece + Math.ceil(size / this.pieceLength) > this.pieces || this.#placed.has(name)) return false;
    this.#placed.set(name, placed);
    this.#sorted = undefined;
    return true;
  }

  /** @param name as by `nameOf` */
  get(name: string): Placed | undefined {
    return this.#placed.get(name);
  }

  contents(): Iterable<Placed> {
    return this.#placed.values();
  }

  /** The content that piece `index` belongs to. */
  at(index: number): Placed | undefined {
    this.#sorted ??= [...this.#placed.values()].sort((a, b) => a.piece - b.piece);
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#sorted[middle]!.piece <= index) low = middle + 1;
      else high = middle;
    }
    const placed = this.#sorted[low - 1];
    return placed && (index - placed.piece) * this.pieceLength < placed.size ? placed : undefined;
  }
}
