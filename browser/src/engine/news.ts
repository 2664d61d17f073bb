/**
 * What peers tell each other of releases (`pk_release`), whatever torrent they met in: each tells which is the newest
 * that its worker believes in, and hands its signed root on to who asks. What is heard goes to our worker, which alone
 * judges it. A peer whose word was no good is not listened to again; it is not banned, since it may be honest: it has
 * the site's new key already, say, or was sent to a host that lags behind.
 */
import type { FromEngine, ToEngine } from '../shared/messages.ts';
import { maxSignedBytes } from '../shared/messages.ts';
import { maxPartBytes, type News as Message } from '../shared/extended.ts';
import { join } from '../shared/bytes.ts';
import { WireError, type Bytes } from '../shared/wire.ts';
import type { Peer } from './peer.ts';
import type { Swarm } from './swarm.ts';

export interface NewsOwner {
  now(): number;
  swarms(): Iterable<Swarm>;
  post(message: FromEngine, transfer?: ArrayBuffer[]): void;
  /** has the browser start the worker if it is stopped: it then greets the engine anew */
  wake(): void;
}

type Newest = Extract<ToEngine, { type: 'newest' }>;

/** What a peer has told. */
interface Told {
  snapshot: string;
  sequence: number;
  /** the worker has been told */
  passed: boolean;
}

/** A root is handed over in this time, or not at all. */
const handMs = 30_000;
/** The worker is told of unsigned releases at most so often. */
const gapMs = 5_000;
/** How often a peer may ask for what it was told of: once, and again when its worker was restarted. */
const maxAsks = 3;
/** Peers that are remembered for what they told. */
const maxDeaf = 1000;

export class News {
  readonly #owner: NewsOwner;
  #newest: Newest | undefined;
  readonly #told = new Map<Peer, Told>();
  /** how often a peer may yet ask */
  readonly #asks = new WeakMap<Peer, number>();
  /** ids of peers that are not listened to */
  readonly #deaf = new Set<string>();
  /** whom we have asked for a root; `parts` until it is whole and with the worker */
  #asked: { peer: Peer; sinceMs: number; parts?: Bytes[] | undefined; bytes: number } | undefined;
  #passedMs = -Infinity;

  constructor(owner: NewsOwner) {
    this.#owner = owner;
  }

  /** The worker's word: what is new of it is told to everybody. */
  newest(message: Newest): void {
    const { snapshot, sequence } = this.#newest ?? {};
    this.#newest = message;
    if (snapshot !== message.snapshot || sequence !== message.sequence) {
      for (const { peers } of this.#owner.swarms()) for (const peer of peers) this.greet(peer);
    }
    // A worker that was restarted has forgotten what it was told.
    for (const told of this.#told.values()) told.passed = false;
    this.#asked = undefined;
    this.look();
  }

  /** What this peer told was wrong. */
  bogus(by: string): void {
    if (this.#deaf.size >= maxDeaf) for (const oldest of this.#deaf) if (this.#deaf.delete(oldest)) break;
    this.#deaf.add(by);
    if (this.#asked?.peer.id === by) this.#asked = undefined;
    this.look();
  }

  /** Tells a peer of our newest, if it takes that. */
  greet(peer: Peer): void {
    if (!this.#newest) return;
    const { snapshot, sequence } = this.#newest;
    this.#asks.set(peer, sequence ? maxAsks : 0);
    peer.tellNews({ type: 'newest', snapshot, sequence });
  }

  /** @throws WireError on a root that is too large */
  heard(peer: Peer, message: Message): void {
    if (message.type === 'ask') return this.#hand(peer);
    if (message.type === 'part') return this.#take(peer, message);
    const { snapshot, sequence } = message;
    this.#told.set(peer, { snapshot, sequence, passed: false });
    this.look();
  }

  #hand(peer: Peer): void {
    const asks = this.#asks.get(peer) ?? 0;
    if (!this.#newest?.sequence || !asks) return;
    this.#asks.set(peer, asks - 1);
    const root = new Uint8Array(this.#newest.root);
    for (let at = 0; at < root.length; at += maxPartBytes) {
      const data = root.subarray(at, at + maxPartBytes);
      peer.tellNews({ type: 'part', last: at + maxPartBytes >= root.length, data });
    }
  }

  #take(peer: Peer, { last, data }: Extract<Message, { type: 'part' }>): void {
    const asked = this.#asked;
    // Given up already.
    if (asked?.peer !== peer || !asked.parts) return;
    asked.parts.push(data);
    if ((asked.bytes += data.length) > maxSignedBytes) throw new WireError('root');
    if (!last) return;
    const { buffer: root } = join(asked.parts);
    asked.parts = undefined;
    asked.sinceMs = this.#owner.now();
    const { snapshot = '' } = this.#told.get(peer) ?? {};
    this.#owner.post({ type: 'release', snapshot, root, from: 'peer', by: peer.id }, [root]);
    this.#owner.wake();
  }

  closed(peer: Peer): void {
    this.#told.delete(peer);
    if (this.#asked?.parts && this.#asked.peer === peer) this.#asked = undefined;
  }

  /** Asks for what may be newer than ours, one peer at a time, and passes on what nobody has signed. Called often. */
  look(): void {
    const now = this.#owner.now();
    if (!this.#newest) return;
    if (this.#asked && now - this.#asked.sinceMs > handMs) {
      const { peer, parts } = this.#asked;
      this.#asked = undefined;
      // The worker, too, may have been stopped before it could answer.
      if (parts) return this.bogus(peer.id);
    }
    const { snapshot: ours, above } = this.#newest;
    for (const [peer, told] of this.#told) {
      const { snapshot, sequence, passed } = told;
      if (this.#deaf.has(peer.id)) continue;
      if (sequence > above && !this.#asked) {
        this.#asked = { peer, sinceMs: now, parts: [], bytes: 0 };
        peer.tellNews({ type: 'ask' });
      }
      const signed = sequence > 0 && above < Infinity;
      if (signed || snapshot === ours || passed || now - this.#passedMs < gapMs) continue;
      this.#passedMs = now;
      for (const each of this.#told.values()) each.passed ||= each.snapshot === snapshot;
      this.#owner.post({ type: 'release', snapshot, from: 'peer', by: peer.id });
      this.#owner.wake();
    }
  }
}
