/**
 * A piece that peers are filling: its bytes in memory, and a note of who was asked for which block and who sent it.
 * When a piece that several peers filled turns out bad, the note says in the end who lied.
 */
import { blockBytes, type Bytes } from '../shared/wire.ts';
import type { Download } from './download.ts';
import type { Peer } from './peer.ts';

/** Where a block stands: what a peer's outstanding request is tagged with. */
export interface Slot {
  assembly: Assembly;
  block: number;
}

export class Assembly {
  readonly download: Download;
  /** of the piece in its content */
  readonly index: number;
  readonly data: Bytes;
  /** when it was begun, or its last block came */
  lastMs: number;
  dropped = false;
  /** the only peer to ask, after a bad piece of several */
  #only: Peer | undefined;
  readonly #from: (Peer | undefined)[];
  /** whom each block has been asked of and may still come from */
  readonly #asked: Set<Peer>[];
  /** of the blocks, those that nobody who counts is asked for */
  readonly #open: Set<number>;
  #missing: number;

  constructor(download: Download, index: number, size: number, nowMs: number, only?: Peer) {
    const blocks = Math.ceil(size / blockBytes);
    this.download = download;
    this.index = index;
    this.data = new Uint8Array(size);
    this.lastMs = nowMs;
    this.#only = only;
    this.#from = new Array<undefined>(blocks);
    this.#asked = Array.from({ length: blocks }, () => new Set<Peer>());
    this.#open = new Set(this.#asked.keys());
    this.#missing = blocks;
  }

  get complete(): boolean {
    return this.#missing === 0;
  }

  /** Who sent the blocks. */
  get authors(): Set<Peer> {
    return new Set(this.#from.filter((peer) => peer !== undefined));
  }

  /**
   * Takes blocks for a peer, of those that `holds` says it has: ones that nobody is asked for or, in the end-game, that
   * one other peer alone is asked for, of which `slow` tells; the last first, so that the two meet.
   */
  *take(peer: Peer, holds: (block: number) => boolean, slow?: (other: Peer) => boolean): Generator<Slot> {
    if (this.#only?.closed) this.#only = peer;
    if (this.#only && this.#only !== peer) return;
    for (const block of slow ? [...this.#asked.keys()].reverse() : this.#open) {
      const asked = this.#asked[block]!;
      const [other] = asked;
      if (asked.has(peer) || !holds(block) || (slow && (asked.size !== 1 || !slow(other!)))) continue;
      this.#open.delete(block);
      asked.add(peer);
      yield { assembly: this, block };
    }
  }

  /** The block will not come from this peer, or (`late`) perhaps too late: it may be asked of others. */
  release(block: number, peer: Peer, late: boolean): void {
    if (!late) this.#asked[block]!.delete(peer);
    if (!this.#from[block] && !this.dropped) this.#open.add(block);
    if (this.#only === peer) this.#only = undefined;
  }

  /** A block has come. Returns the other peers it was asked of; undefined if it is of no use. */
  put(block: number, peer: Peer, data: Bytes, nowMs: number): Set<Peer> | undefined {
    const asked = this.#asked[block]!;
    asked.delete(peer);
    if (this.dropped || this.#from[block] || (this.#only && this.#only !== peer)) return undefined;
    this.data.set(data, block * blockBytes);
    this.#from[block] = peer;
    this.#open.delete(block);
    this.#missing--;
    this.lastMs = nowMs;
    this.#asked[block] = new Set();
    return asked;
  }

  /** Gives the piece up, and cancels what is outstanding of it. */
  drop(): void {
    this.dropped = true;
    for (const peer of new Set(this.#asked.flatMap((peers) => [...peers]))) peer.cancelPiece(this);
  }

  /** Those who sent other bytes than the good piece has. */
  liars(good: Bytes): Peer[] {
    return this.#from.filter((peer, block): peer is Peer => {
      const start = block * blockBytes;
      const sent = this.data.subarray(start, start + blockBytes);
      return peer !== undefined && sent.some((byte, i) => byte !== good[start + i]);
    });
  }
}
