/**
 * Uploads, in turns: a peer that asks for blocks has one of a few slots until what it was given has left its channel. So
 * little is under way at a time however many ask, a newcomer is served at once, and nobody's slowness keeps the others.
 */
import { slotMs, uploadSlots } from '../shared/scheduler.ts';
import type { Block, Bytes } from '../shared/wire.ts';
import type { Peer } from './peer.ts';

/** Blocks that a peer is given at a time while others wait, and while nobody does: they fill two channel messages, or 7. */
const batch = 7;
const longBatch = 27;
/** When to give more: when all of a batch has left, or so that the channel does not run dry. */
const lowWaterBytes = 64 * 1024;
const longLowWaterBytes = 512 * 1024;

/** A block of the torrent, and how many bytes of it are content; undefined if it is not here. */
export type Read = { block: Bytes; payload: number } | undefined;

export interface UploadsOwner {
  now(): number;
  read(block: Block): Promise<Read>;
  /** resolves when so much may go out */
  uploading(bytes: number): Promise<void>;
  uploaded(bytes: number): void;
}

export class Uploads {
  readonly #owner: UploadsOwner;
  /** those that have asked, in the order of their turns */
  readonly #waiting = new Set<Peer>();
  /** those that have a slot, since when */
  readonly #turns = new Map<Peer, number>();
  /** those for which blocks are being read */
  readonly #reading = new Set<Peer>();

  constructor(owner: UploadsOwner) {
    this.#owner = owner;
  }

  /** The peer has asked for blocks, or its channel has drained. */
  serve(peer: Peer): void {
    if (!this.#reading.has(peer) && peer.drained) this.#turns.delete(peer);
    if (peer.wanted.length && !this.#turns.has(peer)) this.#waiting.add(peer);
    this.#deal();
  }

  /** Passes on the slots of those that do not read. */
  tick(): void {
    for (const [peer, sinceMs] of this.#turns) if (this.#owner.now() - sinceMs > slotMs) this.#turns.delete(peer);
    this.#deal();
  }

  closed(peer: Peer): void {
    this.#waiting.delete(peer);
    this.#turns.delete(peer);
    this.#deal();
  }

  #deal(): void {
    for (const peer of this.#waiting) {
      if (this.#turns.size >= uploadSlots) return;
      if (this.#reading.has(peer)) continue;
      this.#waiting.delete(peer);
      // One that has no room asks again when it has.
      if (!peer.roomy) continue;
      this.#turns.set(peer, this.#owner.now());
      void this.#give(peer);
    }
  }

  async #give(peer: Peer): Promise<void> {
    this.#reading.add(peer);
    do {
      const blocks = peer.wanted.splice(0, this.#waiting.size ? batch : longBatch);
      const read = await Promise.all(blocks.map((block) => this.#owner.read(block).catch(() => undefined)));
      await this.#owner.uploading(blocks.reduce((sum, { length }) => sum + length, 0));
      blocks.forEach((block, i) => {
        const data = read[i];
        if (!data) return peer.reject(block);
        peer.send({ type: 'piece', piece: block.piece, begin: block.begin, block: data.block });
        this.#owner.uploaded(data.payload);
      });
    } while (peer.ready && peer.roomy && peer.wanted.length && !this.#waiting.size);
    this.#reading.delete(peer);
    peer.lowWaterBytes = this.#waiting.size ? lowWaterBytes : longLowWaterBytes;
    this.serve(peer);
  }
}
