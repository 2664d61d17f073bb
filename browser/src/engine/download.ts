/**
 * One content being fetched, in whole or in part, from peers and web seeds together, for whoever waits for it. Pieces
 * are verified before anything else happens to them: written to the part, delivered, or given to other peers.
 *
 * Peers' blocks meet in an `Assembly`. The web seed fills pieces of its own, so that its bytes never mix with theirs and
 * a bad piece has an author. A piece that several peers assembled and that turns out bad is fetched again from one peer
 * alone: whoever's block differs from the good one lied.
 */
import { Bitfield } from '../shared/bitfield.ts';
import { contains, type Run } from '../shared/extended.ts';
import type { Health } from '../shared/health.ts';
import { layerLength } from '../shared/merkle.ts';
import { inOrder, leftMs, outruns, seedNow, seedRun, seedSlow, type Wanted } from '../shared/scheduler.ts';
import { blockBytes, type Bytes } from '../shared/wire.ts';
import type { Part } from '../store/part.ts';
import type { ContentId } from '../store/store.ts';
import { Assembly, type Slot } from './assembly.ts';
import { PieceBuffer } from './buffer.ts';
import type { Contents } from './contents.ts';
import { stretchBytes } from './library.ts';
import { note, notesOf } from './notes.ts';
import type { Peer } from './peer.ts';
import type { Request } from './request.ts';
import type { Tree } from './tree.ts';
import { contentUrls, fetchLayer, fetchPieces, Refusal, type Fetch, type Seed } from './webseed.ts';

/** Pieces are fetched this far ahead of what has been delivered, */
export const windowBytes = 8 << 20;
/** and in order so far. */
const urgentBytes = 2 << 20;
/** The most that one web seed request asks for, and the least, if it is not urgent. */
const mostBytes = 4 << 20;
const leastBytes = 1 << 20;
/** Accepted, and then nothing at all for so long: the request fails. Prefetching has more patience. */
const hopelessMs = 12_000;
const hopelessBackgroundMs = 60_000;
/**
 * How long peers that hold a content have to tell its piece layer before the origin is asked: they save it a request. And
 * how often those are asked who have come meanwhile.
 */
const layerMs = 500;
/** How long the last of it may be delivered before its part is finished, which takes a while. */
const finishMs = 20;
/** How long an order of pieces is good for. */
const planMs = 50;

/** Who has a piece. */
export interface Sources {
  /** the peers that hold it and do not choke us, stalled ones among them */
  holders: Peer[];
  /** a peer is having it from a web seed, as far as it is believed */
  coming: boolean;
  /** and has brought something of this run already */
  kept: boolean;
}

interface Planned extends Wanted {
  coming: boolean;
  kept: boolean;
  /** its holders */
  from: Peer[];
  /** when the page should have it */
  dueMs: number;
}

/** What a web seed is being asked for. */
interface Seeding extends Run {
  abort: AbortController;
  urgent: boolean;
  sinceMs: number;
  /** the piece that it brings next */
  next: number;
}

/** What a download needs of the engine. */
export interface DownloadOwner {
  readonly contents: Contents;
  readonly tree: Tree;
  readonly fetch: Fetch;
  readonly prefer: 'speed' | 'offload';
  /** this visitor's own, for orders that differ */
  readonly salt: number;
  /** bytes of pieces being assembled, over all downloads */
  readonly memory: { left: number };
  now(): number;
  /** what the origin alone would take */
  originMs(bytes: number): number;
  /** the web seeds that carry it, the healthy ones first; in an outage (`elsewhere`) those of other hosts */
  seeds(content: ContentId, elsewhere: boolean): Seed[];
  /** of web seeds, by their root URLs */
  readonly health: Health;
  /** who has the content's pieces, by an offset in them */
  sources(content: ContentId): (offset: number) => Sources;
  /** how many peers could yet serve us */
  readonly strangers: number;
  /** the piece layer, verified, from peers that have not been `asked` */
  layerFromPeers(content: ContentId, pieceLength: number, asked: Set<Peer>): Promise<Bytes | undefined>;
  ban(peer: Peer): void;
  /** bytes [start, end) have begun to come from a web seed, or no longer do */
  seeding(content: ContentId, start: number, end: number, active: boolean): void;
  /** whether a web seed may be asked for another run: a few at a time leave the rest to peers */
  readonly maySeed: boolean;
  /** there may be something to ask for again */
  changed(): void;
}

export class Download {
  readonly content: ContentId;
  readonly pieceLength: number;
  readonly part: Part;
  readonly pieces: Bitfield;
  readonly requests = new Set<Request>();
  layer: Bytes | undefined;
  /** when the first of its requests is due */
  dueMs = 0;
  /** when it last had a request, for dropping the longest idle */
  idleMs = 0;

  readonly #owner: DownloadOwner;
  readonly #buffer: PieceBuffer;
  readonly #active = new Map<number, Assembly>();
  readonly #checking = new Set<number>();
  readonly #suspects = new Map<number, Assembly>();
  /** when a piece was first wanted */
  readonly #dueMs = new Map<number, number>();
  /** web seed URLs that failed, and whether for good: the host has not got the content, or something else */
  readonly #bad = new Map<string, boolean>();
  #plan: Planned[] = [];
  #plannedMs = -Infinity;
  /** one for each request at the most, and of no common pieces */
  readonly #seedings = new Set<Seeding>();
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
    this.#buffer = new PieceBuffer(part, pieceLength);
    this.pieces = new Bitfield(Math.ceil(content.size / pieceLength));
    this.#progressMs = owner.now();
  }

  /** Takes up what a former download left in the part, piece by piece, while the rest is being fetched. */
  async resume(): Promise<void> {
    const notes = await notesOf(this.part, this.content, this.pieceLength, this.#owner.tree);
    if (!notes) return;
    this.#layerPromise = Promise.resolve((this.layer = notes.layer));
    for (const index of notes.pieces) this.#checking.add(index);
    void this.#recheck(notes.pieces).catch(() => this.fail());
  }

  async #recheck(pieces: number[]): Promise<void> {
    for (const index of pieces) {
      const start = index * this.pieceLength;
      if (this.#closed) return;
      await this.#accept(index, this.part.read(start, Math.min(this.content.size, start + this.pieceLength)), 'part');
    }
    this.#owner.changed();
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
    return this.pieces.has(index);
  }

  /** All of it, if it is small and has just come. */
  get whole(): Bytes | undefined {
    return this.#buffer.whole(this.content.size);
  }

  /** Verified bytes. Undefined once they have moved into the store. */
  async read(start: number, end: number): Promise<Bytes | undefined> {
    // Nothing may come between the question and the reading.
    if (this.#finishing) await this.#finishing;
    return this.#finished ? undefined : this.#buffer.read(start, end);
  }

  /** Begins to wait for a request's bytes. */
  attach(request: Request): void {
    if (this.requests.size === 0) this.#progressMs = this.#owner.now();
    this.requests.add(request);
    this.#changed();
    this.tick();
    this.#owner.changed();
  }

  /** A request is done or cancelled: what nobody else needs is no longer fetched. */
  detach(request: Request): void {
    this.requests.delete(request);
    this.idleMs = this.#owner.now();
    this.#changed();
    const wanted = new Set(this.#planned().map(({ index }) => index));
    for (const assembly of this.#active.values()) if (!wanted.has(assembly.index)) this.#drop(assembly);
    for (const index of this.#dueMs.keys()) if (!wanted.has(index)) this.#dueMs.delete(index);
    // What is wanted of a web seed's run may lie far behind what is not.
    for (const run of this.#seedings) if (!wanted.has(this.#rest(run))) run.abort.abort();
  }

  /** The first piece of a run that is not here; beyond it if all are. */
  #rest(run: Run): number {
    let index = run.first;
    while (contains(run, index) && this.has(index)) index++;
    return index;
  }

  #changed(): void {
    this.dueMs = Math.min(...[...this.requests].map((request) => request.dueMs));
    this.#plannedMs = -Infinity;
  }

  /** Takes back what was asked of peers: others go first. */
  giveWay(): void {
    for (const assembly of this.#active.values()) this.#drop(assembly);
  }

  /**
   * Takes up to `room` blocks for a peer, which `holds` says of an offset whether it has. What others have been asked for
   * and are slow with is taken `again`, if the peer has nothing else to do.
   */
  *blocksFor(peer: Peer, room: number, holds: (offset: number) => boolean, again: boolean): Generator<Slot> {
    for (const { index } of this.#planned()) {
      if (room <= 0) return;
      const start = index * this.pieceLength;
      const run = this.#seedingOf(index);
      if (this.has(index) || this.#checking.has(index) || (run && !this.#slow(run)) || !holds(start)) continue;
      const assembly = this.#active.get(index) ?? this.#assemble(index, peer);
      if (!assembly) return;
      const slow = (other: Peer) => outruns(peer.load(), other.load(assembly));
      for (const slot of assembly.take(peer, (block) => holds(start + block * blockBytes), again ? slow : undefined)) {
        yield slot;
        if (--room <= 0) return;
      }
    }
  }

  /** A block has come. Returns the other peers it was asked of. */
  arrived({ assembly, block }: Slot, peer: Peer, data: Bytes): Iterable<Peer> {
    const others = assembly.put(block, peer, data, this.#owner.now());
    if (!others) return [];
    this.#progressMs = assembly.lastMs;
    if (assembly.complete) {
      this.#active.delete(assembly.index);
      void this.#check(assembly);
    }
    return others;
  }

  /** Looks at the clock: has the web seed do what peers do not, and gives up what is hopeless. */
  tick(): void {
    if (this.#closed || this.complete) return;
    const { prefer, salt } = this.#owner;
    const now = this.#owner.now();
    const plan = this.#planned();
    const due = plan.filter((piece) => {
      const { index, from } = piece;
      const since = this.#dueMs.get(index) ?? now;
      this.#dueMs.set(index, since);
      // The plan may be older than the last piece.
      if (this.has(index) || this.#checking.has(index) || this.#seedingOf(index)) return false;
      const assembly = this.#active.get(index);
      const able = from.filter((peer) => piece.urgent && !peer.stalled);
      const due = {
        ...piece,
        waitedMs: now - since,
        idleMs: now - Math.max(since, assembly?.lastMs ?? 0),
        quietMs: now - Math.max(since, ...from.map(({ blockMs }) => blockMs)),
        lateMs: now - piece.dueMs,
        originMs: this.#owner.originMs(this.pieceLength),
        leftMs: leftMs(this.pieceLength, able.map((peer) => peer.load(assembly))),
      };
      return seedNow(due, prefer);
    });
    const run = seedRun(due, Math.ceil(leastBytes / this.pieceLength), Math.ceil(mostBytes / this.pieceLength), salt);
    const urgent = due.some((piece) => piece.urgent);
    const going = this.#seedings.size;
    if (run && (!going || (urgent && going < this.requests.size))) {
      if (this.#owner.maySeed) this.#seed(run, urgent);
    } else if (urgent) for (const other of this.#seedings) if (!other.urgent) other.abort.abort();
    // The page has not consumed what it was given: that is nobody's failure.
    if (plan.length === 0) this.#progressMs = now;
    const patienceMs = this.background ? hopelessBackgroundMs : hopelessMs;
    if (this.#seedings.size + this.#checking.size === 0 && now - this.#progressMs > patienceMs) this.fail();
  }

  /** Whether only prefetching waits for it. */
  get background(): boolean {
    return [...this.requests].every((request) => request.background);
  }

  /** The web seeds that may be asked: for what is for later none, in an outage those of other hosts. */
  get #seeds(): Seed[] {
    const elsewhere = [...this.requests].every(({ peersOnly }) => peersOnly);
    return this.background ? [] : this.#owner.seeds(this.content, elsewhere);
  }

  /** Nothing more can be had: every request fails from where it is. */
  fail(): void {
    if (this.#closed) return;
    const requests = [...this.requests];
    this.close();
    for (const request of requests) request.fail();
    this.#owner.contents.forget(this);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.requests.clear();
    this.giveWay();
    this.#suspects.clear();
    for (const run of this.#seedings) run.abort.abort();
    if (!this.#finished) this.#leave();
  }

  /** Leaves the part to a later download, if that can go on from it. */
  #leave(): void {
    try {
      this.#buffer.flush();
      if (this.layer) note(this.part, this.layer, this.pieces);
    } catch {
      // No space for the last of it, which the notes do not name then.
    }
    this.part.close(this.pieces.count > 0);
  }

  /** The pieces that requests wait for, in the order in which to have them; ones that are being checked included. */
  #planned(): Planned[] {
    const now = this.#owner.now();
    if (now - this.#plannedMs < planMs) return this.#plan;
    this.#plannedMs = now;
    const sources = this.#owner.sources(this.content);
    const wanted = new Map<number, Planned>();
    for (const { cursor, end, dueMs } of [...this.requests].sort((a, b) => a.dueMs - b.dueMs)) {
      const limit = Math.min(end, cursor + Math.max(windowBytes, 2 * this.pieceLength));
      for (let index = Math.floor(cursor / this.pieceLength); index * this.pieceLength < limit; index++) {
        if (this.pieces.has(index) || wanted.has(index)) continue;
        const { holders: from, coming, kept } = sources(index * this.pieceLength);
        const urgent = index * this.pieceLength < cursor + urgentBytes;
        wanted.set(index, { index, urgent, holders: from.length, coming, kept, from, dueMs });
      }
    }
    const together = Math.ceil(stretchBytes / this.pieceLength);
    return (this.#plan = inOrder([...wanted.values()], this.#owner.salt, together));
  }

  #seedingOf(index: number): Seeding | undefined {
    return [...this.#seedings].find((run) => contains(run, index));
  }

  #slow(run: Seeding): boolean {
    const bytes = (run.next + 1 - run.first) * this.pieceLength;
    return seedSlow(this.#owner.now() - run.sinceMs, this.#owner.originMs(bytes));
  }

  #assemble(index: number, peer: Peer): Assembly | undefined {
    const size = Math.min(this.pieceLength, this.content.size - index * this.pieceLength);
    const { memory } = this.#owner;
    // One piece a download is always allowed: pieces may be larger than the budget.
    if (size > memory.left && this.#active.size > 0) return undefined;
    memory.left -= size;
    // Asked for before the blocks, so that the answer is not behind them.
    void this.#needLayer().catch(() => {});
    const only = this.#suspects.has(index) ? peer : undefined;
    const assembly = new Assembly(this, index, size, this.#owner.now(), only);
    this.#active.set(index, assembly);
    return assembly;
  }

  #drop(assembly: Assembly): void {
    if (assembly.dropped) return;
    this.#active.delete(assembly.index);
    this.#owner.memory.left += assembly.data.length;
    assembly.drop();
  }

  async #check(assembly: Assembly): Promise<void> {
    const { index, data, authors } = assembly;
    const good = await this.#accept(index, data, 'peers');
    this.#drop(assembly);
    if (!good && !this.#closed) {
      if (authors.size === 1) for (const peer of authors) this.#owner.ban(peer);
      else this.#suspects.set(index, assembly);
    }
    this.#owner.changed();
  }

  /** Verifies a piece and takes it. False if it is bad, or cannot be told. */
  async #accept(index: number, data: Bytes, source: 'origin' | 'peers' | 'part'): Promise<boolean> {
    this.#progressMs = this.#owner.now();
    if (this.pieces.has(index)) return true;
    this.#checking.add(index);
    let written = false;
    try {
      const layer = await this.#needLayer();
      if (!layer || this.#closed) {
        this.fail();
        return true;
      }
      if (!(await this.#owner.tree.verifyPiece(this.content, this.pieceLength, layer, index, data))) return false;
      if (this.#closed || this.pieces.has(index)) return true;
      written = source !== 'part' && this.#buffer.add(index, data);
    } catch {
      // No space for the part, or no SHA-256: nothing that another source would mend.
      this.fail();
      return true;
    } finally {
      this.#checking.delete(index);
    }
    this.pieces.add(index);
    if (written) note(this.part, this.layer!, this.pieces);
    this.#dueMs.delete(index);
    this.#progressMs = this.#owner.now();
    for (const liar of this.#suspects.get(index)?.liars(data) ?? []) this.#owner.ban(liar);
    this.#suspects.delete(index);
    const rival = this.#active.get(index);
    if (rival) this.#drop(rival);
    this.#owner.contents.verified(this, index, source, data.length);
    for (const request of this.requests) request.pump();
    for (const run of this.#seedings) {
      // Peers have overtaken the web seed: theirs is the rest, and the time that they are given for it begins.
      const overtaken = this.has(run.next) && this.#slow(run);
      if (!overtaken && contains(run, this.#rest(run))) continue;
      for (const index of this.#dueMs.keys()) if (contains(run, index)) this.#dueMs.delete(index);
      run.abort.abort();
    }
    if (this.complete) setTimeout(() => (this.#finishing = this.#finish()), finishMs);
    return true;
  }

  async #finish(): Promise<void> {
    if (this.#closed) return;
    try {
      this.#buffer.flush();
      this.#finished = await this.part.finish();
    } catch {
      // No space: it stays in the part.
    }
    if (!this.#closed) this.#owner.contents.complete(this, this.#finished);
  }

  #needLayer(): Promise<Bytes | undefined> {
    return (this.#layerPromise ??= this.#fetchLayer().then((layer) => {
      if (!layer) this.#layerPromise = undefined;
      return (this.layer = layer);
    }));
  }

  async #fetchLayer(): Promise<Bytes | undefined> {
    const { content, pieceLength } = this;
    const bytes = 32 * layerLength(content.size, pieceLength);
    if (bytes === 0) return new Uint8Array(0);
    const seeds = this.#seeds;
    const fromPeers = this.#layerFromPeers();
    const late = new Promise<undefined>((resolve) => setTimeout(resolve, layerMs));
    const early = await (seeds.length ? Promise.race([fromPeers, late]) : fromPeers);
    if (early) return early;
    for (const { root } of seeds) {
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

  /** From who is there, and who comes while the page waits. */
  async #layerFromPeers(): Promise<Bytes | undefined> {
    const asked = new Set<Peer>();
    for (;;) {
      const untilMs = Math.min(this.dueMs, this.#progressMs + hopelessMs);
      const waits = !this.layer && this.requests.size && this.#owner.now() < untilMs;
      const hopes = waits && this.#owner.strangers;
      const layer = await this.#owner.layerFromPeers(this.content, this.pieceLength, asked);
      if (layer || !hopes) return layer;
      await new Promise((resolve) => setTimeout(resolve, layerMs));
    }
  }

  /** Fetches a run of pieces from the best web seed that has not failed yet. */
  #seed({ first, count }: Run, urgent: boolean): void {
    const [request] = this.requests;
    const seeds = this.#seeds;
    if (!request || !seeds.length) return;
    const { content, pieceLength } = this;
    const { size } = content;
    const range = { start: first * pieceLength, end: Math.min(size, (first + count) * pieceLength), size };
    const whole = range.end - range.start === size;
    const { health } = this.#owner;
    const rootOf = (url: string): string => seeds.find(({ root }) => url.startsWith(root))!.root;
    const url = contentUrls(seeds, content, request.path, whole).find((candidate) => {
      const lost = this.#bad.get(candidate);
      return lost === undefined || (!lost && !health.rests(rootOf(candidate)));
    });
    if (!url) {
      if (!this.#plan.find(({ index }) => index === first)?.holders) this.fail();
      return;
    }
    const abort = new AbortController();
    const run: Seeding = { abort, first, count, urgent, sinceMs: this.#owner.now(), next: first };
    this.#seedings.add(run);
    this.#owner.seeding(content, range.start, range.end, true);
    void this.#needLayer().catch(() => {});
    const take = (index: number, data: Bytes) => {
      run.next = Math.max(first, index + 1);
      return this.#accept(index, data, 'origin');
    };
    fetchPieces(this.#owner.fetch, url, range, pieceLength, abort.signal, take)
      .then(
        () => health.note(rootOf(url), true),
        (error) => {
          if (abort.signal.aborted) return;
          const lost = error instanceof Refusal;
          this.#bad.set(url, lost);
          health.note(rootOf(url), lost);
        },
      )
      .finally(() => {
        this.#owner.seeding(content, range.start, range.end, false);
        this.#seedings.delete(run);
        if (this.#closed) return;
        this.tick();
        this.#owner.changed();
      });
  }
}
