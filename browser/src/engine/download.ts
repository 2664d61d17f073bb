/**
 * One content being fetched, in whole or in part, from peers and web seeds together, for whoever waits for it. Pieces
 * are verified before anything else happens to them: written to the part, delivered, or given to other peers.
 *
 * Peers' blocks meet in an `Assembly`, a piece in memory with a note of who sent what. The web seed fills pieces of its
 * own, so that its bytes never mix with theirs and a bad piece has an author. A piece that several peers assembled and
 * that turns out bad is fetched again from one peer alone: whoever's block differs from the good one lied.
 */
import { Bitfield } from '../shared/bitfield.ts';
import { layerLength } from '../shared/merkle.ts';
import { seedNow } from '../shared/scheduler.ts';
import { blockBytes, type Bytes } from '../shared/wire.ts';
import type { Part } from '../store/part.ts';
import type { ContentId } from '../store/store.ts';
import type { Peer } from './peer.ts';
import type { Request } from './request.ts';
import type { Tree } from './tree.ts';
import { contentUrls, fetchLayer, fetchRange, type Fetch, type Seed } from './webseed.ts';

/** Pieces are fetched this far ahead of what has been delivered. */
export const windowBytes = 4 << 20;
/** The most that one web seed request asks for. */
const seedRunBytes = 4 << 20;
/** Accepted, and then nothing at all for so long: the request fails. */
const hopelessMs = 12_000;
/** How long peers that hold a content have to tell its piece layer before the origin is asked: they save it a request. */
const layerMs = 500;

/** What a download needs of the engine. */
export interface DownloadOwner {
  readonly tree: Tree;
  readonly fetch: Fetch;
  readonly prefer: 'speed' | 'offload';
  /** bytes of pieces being assembled, over all downloads */
  readonly memory: { left: number };
  now(): number;
  /** what the origin alone would take */
  originMs(bytes: number): number;
  seeds(content: ContentId): Seed[];
  /** how many connected peers hold the block at `offset` and serve us, and when one last brought anything */
  holders(content: ContentId, offset: number): { count: number; blockMs: number };
  /** the piece layer from peers, verified */
  layerFromPeers(content: ContentId, pieceLength: number): Promise<Bytes | undefined>;
  ban(peer: Peer): void;
  /** the piece is verified and can be read */
  verified(download: Download, index: number, source: 'origin' | 'peers', bytes: number): void;
  /** every piece is verified, the content is in the store or stays in the part */
  complete(download: Download, stored: boolean): void;
  failed(download: Download): void;
  /** there may be something to ask for again */
  changed(): void;
}

/** A piece that peers are filling. */
export interface Assembly {
  readonly download: Download;
  readonly index: number;
  readonly data: Bytes;
  readonly from: (Peer | undefined)[];
  /** whom each block has been asked of and may still come from */
  readonly asked: Set<Peer>[];
  /** of the blocks, those that nobody who counts is asked for */
  readonly open: Set<number>;
  missing: number;
  /** the only peer to ask, after a bad piece of several */
  only: Peer | undefined;
  lastMs: number;
  dropped: boolean;
}

/** Where a block stands: what a peer's outstanding request is tagged with. */
export interface Slot {
  assembly: Assembly;
  block: number;
}

export class Download {
  readonly content: ContentId;
  readonly pieceLength: number;
  readonly part: Part;
  readonly pieces: Bitfield;
  readonly requests = new Set<Request>();
  layer: Bytes | undefined;
  /** when it last had a request, for dropping the longest idle */
  idleMs = 0;

  readonly #owner: DownloadOwner;
  readonly #active = new Map<number, Assembly>();
  readonly #checking = new Set<number>();
  readonly #suspects = new Map<number, Assembly>();
  /** when a piece was first wanted */
  readonly #dueMs = new Map<number, number>();
  readonly #bad = new Set<string>();
  #seeding: { abort: AbortController; first: number; last: number } | undefined;
  #layerPromise: Promise<Bytes | undefined> | undefined;
  #finishing: Promise<void> | undefined;
  #closed = false;
  #finished = false;
  #progressMs: number;

  constructor(owner: DownloadOwner, content: ContentId, pieceLength: number, part: Part) {
    this.#owner = owner;
    this.content = content;
    this.pieceLength = pieceLength;
    this.part = part;
    this.pieces = new Bitfield(Math.ceil(content.size / pieceLength));
    this.#progressMs = owner.now();
  }

  get closed(): boolean {
    return this.#closed;
  }

  get complete(): boolean {
    return this.pieces.count === this.pieces.length;
  }

  /** The end of the verified bytes that begin at `from`; `from` itself if there are none. */
  available(from: number): number {
    let piece = Math.floor(from / this.pieceLength);
    if (!this.has(piece)) return from;
    while (this.has(piece)) piece++;
    return Math.min(piece * this.pieceLength, this.content.size);
  }

  has(index: number): boolean {
    return index < this.pieces.length && this.pieces.has(index);
  }

  /** Verified bytes. Undefined once they have moved into the store. */
  async read(start: number, end: number): Promise<Bytes | undefined> {
    await this.#finishing;
    return this.#finished ? undefined : this.part.read(start, end);
  }

  /** Begins to wait for a request's bytes. */
  attach(request: Request): void {
    if (this.requests.size === 0) this.#progressMs = this.#owner.now();
    this.requests.add(request);
    this.#owner.changed();
  }

  /** A request is done or cancelled: what nobody else needs is no longer fetched. */
  detach(request: Request): void {
    this.requests.delete(request);
    this.idleMs = this.#owner.now();
    const wanted = new Set(this.#wanted());
    for (const assembly of this.#active.values()) if (!wanted.has(assembly.index)) this.#drop(assembly);
    const run = this.#seeding;
    if (run && ![...wanted].some((index) => index >= run.first && index <= run.last)) run.abort.abort();
  }

  /** Takes up to `room` blocks for a peer, which `holds` says of an offset whether it has. */
  *blocksFor(peer: Peer, room: number, holds: (offset: number) => boolean): Generator<Slot> {
    for (const index of this.#wanted()) {
      if (room <= 0) return;
      if (this.#checking.has(index) || this.#seedHas(index) || !holds(index * this.pieceLength)) continue;
      const assembly = this.#active.get(index) ?? this.#assemble(index, peer);
      if (!assembly) return;
      if (assembly.only?.closed) assembly.only = peer;
      if (assembly.only && assembly.only !== peer) continue;
      for (const block of assembly.open) {
        if (room <= 0) return;
        if (assembly.asked[block]!.has(peer) || !holds(index * this.pieceLength + block * blockBytes)) continue;
        assembly.open.delete(block);
        assembly.asked[block]!.add(peer);
        room--;
        yield { assembly, block };
      }
    }
  }

  /** The block will not come from this peer, or (`late`) perhaps too late: it may be asked of others. */
  release({ assembly, block }: Slot, peer: Peer, late = false): void {
    if (!late) assembly.asked[block]!.delete(peer);
    if (!assembly.from[block] && !assembly.dropped) assembly.open.add(block);
    if (assembly.only === peer) assembly.only = undefined;
  }

  /** A block has come. Returns the other peers it was asked of. */
  arrived({ assembly, block }: Slot, peer: Peer, data: Bytes): Set<Peer> {
    const asked = assembly.asked[block]!;
    asked.delete(peer);
    if (assembly.dropped || assembly.from[block] || (assembly.only && assembly.only !== peer)) return new Set();
    assembly.data.set(data, block * blockBytes);
    assembly.from[block] = peer;
    assembly.open.delete(block);
    assembly.lastMs = this.#progressMs = this.#owner.now();
    if (--assembly.missing === 0) {
      this.#active.delete(assembly.index);
      void this.#check(assembly);
    }
    assembly.asked[block] = new Set();
    return asked;
  }

  /** Looks at the clock: has the web seed do what peers do not, and gives up what is hopeless. */
  tick(): void {
    if (this.#closed || this.complete) return;
    const now = this.#owner.now();
    let due: number | undefined;
    let last = 0;
    let idle = true;
    for (const index of this.#wanted()) {
      idle = false;
      const since = this.#dueMs.get(index) ?? now;
      this.#dueMs.set(index, since);
      if (this.#seeding || this.#checking.has(index)) continue;
      const { count, blockMs } = this.#owner.holders(this.content, index * this.pieceLength);
      const piece = {
        holders: count,
        waitedMs: now - since,
        idleMs: now - Math.max(since, this.#active.get(index)?.lastMs ?? 0),
        quietMs: now - Math.max(since, blockMs),
        originMs: this.#owner.originMs(this.pieceLength),
      };
      const seed = seedNow(piece, this.#owner.prefer);
      if (due === undefined && seed) due = last = index;
      else if (due !== undefined && seed && index === last + 1) last = index;
      if (due !== undefined && (last + 1 - due) * this.pieceLength >= seedRunBytes) break;
    }
    // The page has not consumed what it was given: that is nobody's failure.
    if (idle) this.#progressMs = now;
    if (due !== undefined) this.#seed(due, last);
    const waits = this.requests.size > 0 && !this.#seeding && this.#checking.size === 0;
    if (waits && now - this.#progressMs > hopelessMs) this.fail();
  }

  /** Nothing more can be had: every request fails from where it is. */
  fail(): void {
    if (this.#closed) return;
    const requests = [...this.requests];
    this.close();
    for (const request of requests) request.fail();
    this.#owner.failed(this);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.requests.clear();
    for (const assembly of this.#active.values()) this.#drop(assembly);
    this.#suspects.clear();
    this.#seeding?.abort.abort();
    if (!this.#finished) this.part.discard();
  }

  /** The pieces that requests wait for, the most urgent first; ones that are being checked included. */
  *#wanted(): Generator<number> {
    if (this.#closed) return;
    const seen = new Set<number>();
    for (const { cursor, end } of [...this.requests].sort((a, b) => a.dueMs - b.dueMs)) {
      const limit = Math.min(end, cursor + Math.max(windowBytes, 2 * this.pieceLength));
      for (let index = Math.floor(cursor / this.pieceLength); index * this.pieceLength < limit; index++) {
        if (this.pieces.has(index) || seen.has(index)) continue;
        seen.add(index);
        yield index;
      }
    }
  }

  #seedHas(index: number): boolean {
    return this.#seeding !== undefined && index >= this.#seeding.first && index <= this.#seeding.last;
  }

  #size(index: number): number {
    return Math.min(this.pieceLength, this.content.size - index * this.pieceLength);
  }

  #assemble(index: number, peer: Peer): Assembly | undefined {
    const size = this.#size(index);
    const { memory } = this.#owner;
    // One piece a download is always allowed: pieces may be larger than the budget.
    if (size > memory.left && this.#active.size > 0) return undefined;
    memory.left -= size;
    // Asked for before the blocks, so that the answer is not behind them.
    void this.#needLayer().catch(() => {});
    const blocks = Math.ceil(size / blockBytes);
    const assembly: Assembly = {
      download: this,
      index,
      data: new Uint8Array(size),
      from: new Array<undefined>(blocks),
      asked: Array.from({ length: blocks }, () => new Set<Peer>()),
      open: new Set(Array.from({ length: blocks }, (_, i) => i)),
      missing: blocks,
      only: this.#suspects.has(index) ? peer : undefined,
      lastMs: this.#owner.now(),
      dropped: false,
    };
    this.#active.set(index, assembly);
    return assembly;
  }

  #drop(assembly: Assembly): void {
    if (assembly.dropped) return;
    assembly.dropped = true;
    this.#active.delete(assembly.index);
    this.#owner.memory.left += assembly.data.length;
    for (const peer of new Set(assembly.asked.flatMap((peers) => [...peers]))) peer.cancelPiece(assembly);
  }

  async #check(assembly: Assembly): Promise<void> {
    const { index, data } = assembly;
    const good = await this.#accept(index, data, 'peers');
    this.#drop(assembly);
    if (!good && !this.#closed) {
      const authors = new Set(assembly.from);
      if (authors.size === 1) for (const peer of authors) this.#owner.ban(peer!);
      else this.#suspects.set(index, assembly);
    }
    this.#owner.changed();
  }

  /** Verifies a piece and takes it. False if it is bad, or cannot be told. */
  async #accept(index: number, data: Bytes, source: 'origin' | 'peers'): Promise<boolean> {
    this.#checking.add(index);
    try {
      const layer = await this.#needLayer();
      if (!layer || this.#closed) {
        this.fail();
        return true;
      }
      if (!(await this.#owner.tree.verifyPiece(this.content, this.pieceLength, layer, index, data))) return false;
      if (this.#closed || this.pieces.has(index)) return true;
      this.part.write(index * this.pieceLength, data);
    } catch {
      // No space for the part, or no SHA-256: nothing that another source would mend.
      this.fail();
      return true;
    } finally {
      this.#checking.delete(index);
    }
    this.pieces.add(index);
    this.#dueMs.delete(index);
    this.#progressMs = this.#owner.now();
    this.#convict(index, data);
    const rival = this.#active.get(index);
    if (rival) this.#drop(rival);
    this.#owner.verified(this, index, source, data.length);
    for (const request of this.requests) request.pump();
    if (this.complete) this.#finishing ??= this.#finish();
    return true;
  }

  /** Bans those who contributed other bytes to a bad piece than the good one has. */
  #convict(index: number, good: Bytes): void {
    const suspect = this.#suspects.get(index);
    if (!suspect) return;
    this.#suspects.delete(index);
    suspect.from.forEach((peer, block) => {
      const start = block * blockBytes;
      const differs = suspect.data.subarray(start, start + blockBytes).some((byte, i) => byte !== good[start + i]);
      if (peer && differs) this.#owner.ban(peer);
    });
  }

  async #finish(): Promise<void> {
    this.#seeding?.abort.abort();
    const stored = await this.part.finish().catch(() => false);
    this.#finished = stored;
    if (!this.#closed) this.#owner.complete(this, stored);
  }

  #needLayer(): Promise<Bytes | undefined> {
    return (this.#layerPromise ??= this.#fetchLayer().then((layer) => (this.layer = layer)));
  }

  async #fetchLayer(): Promise<Bytes | undefined> {
    const { content, pieceLength } = this;
    const bytes = 32 * layerLength(content.size, pieceLength);
    if (bytes === 0) return new Uint8Array(0);
    const peersOnly = [...this.requests].every((request) => request.peersOnly);
    const fromPeers = this.#owner.layerFromPeers(content, pieceLength);
    const late = new Promise<undefined>((resolve) => setTimeout(resolve, layerMs));
    const early = await (peersOnly ? fromPeers : Promise.race([fromPeers, late]));
    if (early || peersOnly) return early;
    for (const { root } of this.#owner.seeds(content)) {
      try {
        const signal = AbortSignal.timeout(hopelessMs);
        const layer = await fetchLayer(this.#owner.fetch, `${root}planktos/${content.hash}.layer`, bytes, signal);
        if (await this.#owner.tree.verifyLayer(content, pieceLength, layer)) return layer;
      } catch {
        // The next source, then.
      }
    }
    return fromPeers;
  }

  /** Fetches pieces `first` to `last` from the best web seed that has not failed yet. */
  #seed(first: number, last: number): void {
    const waiting = [...this.requests].filter((request) => !request.peersOnly);
    const [request] = waiting;
    if (!request) return;
    const start = first * this.pieceLength;
    const end = Math.min(this.content.size, (last + 1) * this.pieceLength);
    const whole = end - start === this.content.size;
    const urls = contentUrls(this.#owner.seeds(this.content), this.content, request.path, whole);
    const url = urls.find((candidate) => !this.#bad.has(candidate));
    if (!url) {
      if (this.#owner.holders(this.content, start).count === 0) this.fail();
      return;
    }
    const abort = new AbortController();
    const run = (this.#seeding = { abort, first, last });
    const take = this.#collector(abort.signal);
    fetchRange(this.#owner.fetch, url, { start, end, size: this.content.size }, abort.signal, take)
      .catch(() => {
        if (!abort.signal.aborted) this.#bad.add(url);
      })
      .finally(() => {
        if (this.#seeding === run) this.#seeding = undefined;
        if (this.#closed) return;
        this.tick();
        this.#owner.changed();
      });
  }

  /** Puts a web seed's bytes together into pieces. The first ones must begin a piece. */
  #collector(signal: AbortSignal): (offset: number, data: Bytes) => Promise<void> {
    let piece: Bytes | undefined;
    let filled = 0;
    return async (offset, data) => {
      for (let at = 0; at < data.length; ) {
        signal.throwIfAborted();
        const index = Math.floor((offset + at) / this.pieceLength);
        piece ??= new Uint8Array(this.#size(index));
        const part = data.subarray(at, at + piece.length - filled);
        piece.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled < piece.length) continue;
        const whole = piece;
        piece = undefined;
        filled = 0;
        this.#progressMs = this.#owner.now();
        if (!this.pieces.has(index) && !(await this.#accept(index, whole, 'origin'))) throw new Error('bad piece');
      }
    };
  }
}
