/**
 * The worker's requests, from `get` to their end. Each stands until peers are expected to serve it in time
 * (shared/scheduler.ts), and is then served by the download of its content, or from the store.
 */
import type { FromEngine, ToEngine } from '../shared/messages.ts';
import { decide, expectSoon } from '../shared/scheduler.ts';
import type { ContentId } from '../store/store.ts';
import type { Contents } from './contents.ts';
import { windowBytes, type Download, type Sources } from './download.ts';
import type { Peer } from './peer.ts';
import { Request } from './request.ts';
import type { Seed } from './webseed.ts';

export type Get = Extract<ToEngine, { type: 'get' }>;

/** In an outage, how long after everybody who is there has been asked somebody else may still turn up. */
const aloneMs = 4000;
const maxStanding = 256;
/** What is prefetched at a time. */
const maxBackground = 16;

export interface GetsOwner {
  readonly contents: Contents;
  readonly prefer: 'speed' | 'offload';
  /** connected peers */
  readonly connections: number;
  /** how many further peers could yet serve us */
  readonly strangers: number;
  now(): number;
  /** what the origin alone would take */
  originMs(bytes: number): number;
  /** who has the content's pieces, by an offset in them */
  sources(content: ContentId): (offset: number) => Sources;
  /** the web seeds that carry it; in an outage (`elsewhere`) those of other hosts */
  seeds(content: ContentId, elsewhere: boolean): Seed[];
  /** of the torrent that has the content, in bytes; undefined if none has */
  pieceLength(content: ContentId): number | undefined;
  post(message: FromEngine, transfer?: ArrayBuffer[]): void;
}

interface Standing {
  get: Get;
  dueMs: number;
  timer: ReturnType<typeof setTimeout> | undefined;
  /** in an outage: since when nobody has been to come */
  aloneSinceMs: number | undefined;
  /** what the worker has been told */
  soon: boolean | undefined;
}

export class Gets {
  readonly #owner: GetsOwner;
  readonly #standing = new Map<number, Standing>();
  readonly #accepted = new Map<number, Request>();

  constructor(owner: GetsOwner) {
    this.#owner = owner;
  }

  /** Whether there are any, */
  get any(): boolean {
    return this.#standing.size + this.#accepted.size > 0;
  }

  /** and any that wait for bytes now: what is for later does not, nor what nobody reads, nor what is here. */
  get busy(): boolean {
    const standing = [...this.#standing.values()];
    return standing.some(({ get }) => !get.background) || [...this.#accepted.values()].some(({ pressing }) => pressing);
  }

  /** The contents that are waited for. */
  *contents(): Generator<ContentId> {
    for (const { get } of this.#standing.values()) yield get.content;
  }

  add(get: Get): void {
    const { id, start, end, content, deadlineMs, background } = get;
    const peersOnly = (get.peersOnly ||= background);
    const sound = start >= 0 && start < end && end <= content.size;
    const known = this.#standing.has(id) || this.#accepted.has(id);
    if (known || !sound || this.#standing.size >= maxStanding) return this.#decline(id);
    // What the origin has the worker ends itself.
    const timer = peersOnly ? setTimeout(() => this.#settle(id, 'decline'), Math.max(0, deadlineMs)) : undefined;
    const dueMs = background ? Number.MAX_VALUE : this.#owner.now() + deadlineMs;
    this.#standing.set(id, { get, dueMs, timer, aloneSinceMs: undefined, soon: undefined });
  }

  pull(id: number): void {
    this.#accepted.get(id)?.pull();
  }

  /** Ends a request; nobody is told. */
  cancel(id: number): void {
    this.#forget(id);
    this.#accepted.get(id)?.cancel();
  }

  cancelAll(): void {
    for (const id of [...this.#standing.keys(), ...this.#accepted.keys()]) this.cancel(id);
  }

  /** Decides on what can be decided now. */
  look(): void {
    for (const [id, standing] of [...this.#standing]) {
      const verdict = this.#verdict(standing);
      if (verdict !== 'wait') this.#settle(id, verdict);
    }
  }

  #verdict(standing: Standing): 'accept' | 'decline' | 'wait' {
    const owner = this.#owner;
    const { get, dueMs } = standing;
    const { content, start, end, background, peersOnly } = get;
    const stored = owner.contents.stored(content);
    if (stored === undefined) return 'wait';
    const running = owner.contents.downloads.get(content);
    if (stored || running?.requests.size || running?.complete) return 'accept';
    const pieceLength = owner.pieceLength(content);
    if (!pieceLength) return 'decline';
    if (background && (this.busy || this.#accepted.size >= maxBackground)) return 'wait';

    const sources = owner.sources(content);
    let [bytes, covered, announced] = [0, 0, 0];
    const serving = new Set<Peer>();
    // What lies beyond the window is too far off to be judged by who is here now.
    const limit = Math.min(end, start + windowBytes);
    for (let at = start - (start % pieceLength); at < limit; at += pieceLength) {
      const size = Math.min(pieceLength, content.size - at);
      const { holders: all, coming } = sources(at);
      const holders = all.filter((peer) => !peer.stalled);
      bytes += size;
      if (holders.length || running?.has(at / pieceLength)) covered += size;
      else if (coming) announced += size;
      for (const peer of holders) serving.add(peer);
    }
    const offer = {
      size: content.size,
      connections: owner.connections,
      bytes,
      covered,
      announced,
      peers: [...serving].map((peer) => peer.load()),
      coming: background ? 1 : this.#coming(standing),
      deadlineMs: dueMs - owner.now(),
      originMs: owner.originMs(bytes),
      prefer: owner.prefer,
      peersOnly,
    };
    const verdict = decide(offer);
    if (verdict === 'decline' && !background && owner.seeds(content, true).length) return 'accept';
    const soon = expectSoon(offer);
    if (verdict === 'wait' && !peersOnly && soon !== standing.soon) {
      standing.soon = soon;
      owner.post({ type: 'expect', id: get.id, soon });
    }
    return verdict;
  }

  /** How many may yet come; in an outage one may still turn up for a while, though nobody is known of. */
  #coming(standing: Standing): number {
    const { strangers } = this.#owner;
    const now = this.#owner.now();
    standing.aloneSinceMs = strangers ? undefined : (standing.aloneSinceMs ?? now);
    return strangers || Number(standing.get.peersOnly && now - standing.aloneSinceMs! < aloneMs);
  }

  #forget(id: number): void {
    clearTimeout(this.#standing.get(id)?.timer);
    this.#standing.delete(id);
  }

  #settle(id: number, verdict: 'accept' | 'decline'): void {
    const standing = this.#standing.get(id);
    this.#forget(id);
    if (!standing) return;
    if (verdict === 'decline') this.#decline(id);
    else void this.#accept(standing.get, standing.dueMs);
  }

  #decline(id: number): void {
    this.#owner.post({ type: 'decline', id });
  }

  async #accept(get: Get, dueMs: number): Promise<void> {
    const { id, content } = get;
    const owner = this.#owner;
    let download: Download | undefined;
    const request = new Request({
      ...get,
      dueMs,
      post: (message, transfer) => owner.post(message, transfer),
      done: () => {
        if (this.#accepted.get(id) === request) this.#accepted.delete(id);
        download?.detach(request);
        owner.contents.tidy();
      },
    });
    this.#accepted.set(id, request);
    download = owner.contents.stored(content) ? undefined : await owner.contents.downloads.open(content);
    // Cancelled, or replaced by a new worker's, while the part was opened: others may go on with that.
    if (this.#accepted.get(id) !== request) return request.done(request);
    const held = owner.contents.stored(content);
    if (!held && (!download || download.closed)) {
      this.#accepted.delete(id);
      this.#decline(id);
      return;
    }
    owner.post({ type: 'accept', id });
    request.source = held ? owner.contents.source(content) : download;
    if (!held) download!.attach(request);
    request.pump();
  }
}
