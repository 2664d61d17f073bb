/**
 * Introductions through common peers (`pk_meet`) in one torrent: each peer is told whom else we are connected to, and
 * what it has to say to one of them is passed on. What is meant for us is the host's, which makes the connections.
 */
import { maxMet, type Meet } from '../shared/extended.ts';
import type { Peer } from './peer.ts';
import type { Introduced, Offers, ToHost } from './rtc.ts';

/** From telling peers whom we have met and lost to telling them again. */
const tellMs = 5_000;
/** Messages of one peer that are heeded at once, and a second in the long run. */
const burst = 64;
const perSecond = 2;
/** Nothing is passed on to a peer that has so much before it: it does not read. */
const maxAheadBytes = 2 * 1024 * 1024;

const passedOn = { offer: 'offered', answer: 'answered' } as const;

export interface IntroductionsOwner {
  readonly infoHash: string;
  now(): number;
  /** whether we are connected to the peer, are it, or have banned it */
  knows(peerId: string): boolean;
  post(message: ToHost): void;
}

/** What passes between us and a peer that speaks `pk_meet`. */
interface Acquaintance {
  /** whom it was told of */
  told: Set<string>;
  /** whom it has told of */
  knows: Set<string>;
  /** messages of it that are heeded, as of `sinceMs` */
  credit: number;
  sinceMs: number;
}

export class Introductions {
  readonly #owner: IntroductionsOwner;
  readonly #peers = new Map<Peer, Acquaintance>();
  #toldMs = -Infinity;
  #strangers = 0;

  constructor(owner: IntroductionsOwner) {
    this.#owner = owner;
  }

  /** A peer speaks `pk_meet`. */
  met(peer: Peer): void {
    this.#peers.set(peer, { told: new Set(), knows: new Set(), credit: burst, sinceMs: this.#owner.now() });
    this.#tell(peer);
    this.#owner.post({ type: 'acquainted', infoHash: this.#owner.infoHash, id: peer.link.id });
    this.count();
  }

  lost(peer: Peer): void {
    if (this.#peers.delete(peer)) this.count();
  }

  tick(): void {
    const now = this.#owner.now();
    if (now - this.#toldMs < tellMs) return;
    this.#toldMs = now;
    for (const peer of this.#peers.keys()) this.#tell(peer);
  }

  /** What a peer says. */
  heard(peer: Peer, message: Meet): void {
    const acquaintance = this.#peers.get(peer);
    if (!acquaintance || !heeds(acquaintance, this.#owner.now())) return;
    switch (message.type) {
      case 'peers':
        for (const id of message.lost) acquaintance.knows.delete(id);
        for (const id of message.met) if (acquaintance.knows.size < maxMet) acquaintance.knows.add(id);
        return this.count();
      case 'offer':
      case 'answer': {
        const other = this.#find(({ id }) => id === message.peerId);
        if (!other || other === peer || other.link.channel.bufferedAmount > maxAheadBytes) return;
        // Who sends it is known by its connection: nobody speaks for another.
        return other.introduce({ ...message, type: passedOn[message.type], peerId: peer.id });
      }
      case 'offered':
      case 'answered':
      case 'spare':
      case 'agreed': {
        const { type, id } = message;
        const { infoHash } = this.#owner;
        const peerId = type === 'offered' || type === 'answered' ? message.peerId : peer.id;
        const sdp = new TextDecoder().decode(message.sdp);
        const introduced = { infoHash, via: peer.link.id, type, peerId, id, sdp };
        return this.#owner.post({ type: 'introduced', introduced });
      }
      default:
        message satisfies never;
    }
  }

  /** The host's offers, each to another stranger; those left over are forgotten. */
  offer(offers: Offers['offers']): void {
    const strangers = this.#known();
    for (const { id, sdp } of offers) {
      const [peerId, peer] = strangers.pop() ?? [];
      if (peer) peer.introduce({ type: 'offer', peerId: peerId!, id, sdp: new TextEncoder().encode(sdp) });
    }
  }

  /** What the host has to say to a peer, or by way of it. */
  say({ via, type, peerId, id, sdp }: Introduced): void {
    this.#find(({ link }) => link.id === via)?.introduce({ type, peerId, id, sdp: new TextEncoder().encode(sdp) });
  }

  /** Tells the host how many could be met, if that has changed. */
  count(): void {
    const { infoHash } = this.#owner;
    const peers = this.#known().length;
    if (peers !== this.#strangers) this.#owner.post({ type: 'strangers', infoHash, peers });
    this.#strangers = peers;
  }

  #find(which: (peer: Peer) => boolean): Peer | undefined {
    return [...this.#peers.keys()].find(which);
  }

  /** Those whom peers know and we do not, each with a peer that knows it, in no order. */
  #known(): [string, Peer][] {
    const pairs: [number, string, Peer][] = [];
    for (const [peer, { knows }] of this.#peers) {
      for (const id of knows) if (!this.#owner.knows(id)) pairs.push([Math.random(), id, peer]);
    }
    return [...new Map(pairs.sort(([a], [b]) => a - b).map(([, id, peer]) => [id, peer]))];
  }

  #tell(peer: Peer): void {
    const { told } = this.#peers.get(peer)!;
    const others = [...this.#peers.keys()].filter((other) => other !== peer).slice(0, maxMet);
    const now = new Set(others.map(({ id }) => id));
    const met = [...now].filter((id) => !told.has(id));
    const lost = [...told].filter((id) => !now.has(id));
    if (!met.length && !lost.length) return;
    this.#peers.get(peer)!.told = now;
    peer.introduce({ type: 'peers', met, lost });
  }
}

/** Whether one more message is heeded. */
function heeds(from: Acquaintance, now: number): boolean {
  const credit = Math.min(burst, from.credit + ((now - from.sinceMs) * perSecond) / 1000);
  from.sinceMs = now;
  from.credit = credit < 1 ? credit : credit - 1;
  return credit >= 1;
}
