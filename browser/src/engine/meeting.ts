/**
 * Meets the peers of one torrent: offers connections through its trackers, and through peers where those are not enough,
 * answers the offers of others, and passes the channels on.
 *
 * A tracker passes each offer of an announcement to another peer, at random, so that a round of offers has as many as
 * let the peers still lacking be met by chance. An offer that is not answered soon is forgotten, and the next round
 * begins. Whatever fails costs only itself, but rounds follow each other ever slower until a connection lasts.
 */
import { keepsOld, offersFor, pauseMs } from '../shared/offers.ts';
import { trimSdp } from '../shared/sdp.ts';
import type { Announce } from '../shared/signal.ts';
import { hex } from '../shared/bytes.ts';
import type { EngineOptions } from '../shared/messages.ts';
import { Connection, type ConnectionOwner } from './connection.ts';
import type { Left } from './memory.ts';
import type { FromHost, Introduced, Joined } from './rtc.ts';
import { Standby, type StandbyOwner } from './standby.ts';
import { Tracker, type Announced, type Described, type Released } from './tracker.ts';

/** Trackers of one torrent that are used; more would only cost connections. */
const maxTrackers = 4;
/** A tracker that has not replied for so long is no reason to keep another one waiting. */
const patienceMs = 500;
/** Who is connected to so many peers is found by way of one tracker. */
const enoughPeers = 8;
/** Connections of a torrent, those in the making included: beyond it, remote offers are not answered. */
const maxConnections = 32;
/** Connections from remote offers that are not open yet. */
const maxAccepting = 8;
/** A connection that has been open for so long shows that connecting works. */
const lastingMs = 10_000;
/** Where fewer peers are met than wanted for so long, and trackers know no more, peers are asked for theirs. */
const lackingMs = 10_000;

/** A tracker, or our peers together. */
interface Announcer {
  announce(offers: Announce['offers']): void;
}

type Post = (message: FromHost, transfer?: Transferable[]) => void;

export class Meeting implements Announced, ConnectionOwner, StandbyOwner {
  #torrent: Joined;
  #peerId: string;
  #post: Post;
  #heard: EngineOptions['heard'];
  /** what the next page is to know has changed */
  roped: () => void;
  #trackers: Tracker[] = [];
  /** trackers that there was no reason yet to ask */
  #untried: string[] = [];
  #patience: ReturnType<typeof setTimeout> | undefined;
  #connections = new Map<string, Connection>();
  #standby = new Standby(this);
  /** the trackers, or the common peers, whose round of offers is being made */
  #offering = new Set<Announcer>();
  readonly #peers: Announcer = {
    announce: (offers) => this.#post({ type: 'offers', infoHash: this.#torrent.infoHash, offers }),
  };
  /** how many our peers know that we are not connected to */
  #strangers = 0;
  /** when a connection last opened, or the search began */
  #openedMs = 0;
  /** the last page knew of no tracker that answers */
  #orphan = false;
  /** rounds of offers since a connection last lasted */
  #rounds = 0;
  #nextRoundMs = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** what the core was told last of the peers to come */
  #told: number | undefined;

  /** @param peerId how we name ourselves, 40 hex digits */
  constructor(torrent: Joined, peerId: string, post: Post, heard: EngineOptions['heard'], roped: () => void) {
    this.#torrent = torrent;
    this.#peerId = peerId;
    this.#post = post;
    this.#heard = heard;
    this.roped = roped;
  }

  /** Begins, or begins anew, where the last page ended: those who were its peers are likely to be there still. */
  start({ peers, ropes, tracker }: Left = { peers: [], ropes: [] }): void {
    const urls = [...new Set(this.#torrent.trackers)].filter((url) => /^wss?:/.test(url)).slice(0, maxTrackers);
    this.#untried = urls.sort((a, b) => Number(b === tracker) - Number(a === tracker));
    this.#openedMs = Date.now();
    this.#orphan = ropes.length > 0;
    this.#tryNext();
    const [first] = this.#trackers;
    if (this.#orphan) void this.#standby.resume(ropes);
    else if (first && peers.length) void this.#offer(first, peers.length, peers);
  }

  /** What the next page is to know. */
  get left(): Left {
    const open = [...this.#connections.values()].filter(({ state }) => state === 'open');
    return { peers: open.map(({ peerId }) => peerId!), ropes: this.#standby.ropes, tracker: this.#ranked[0]?.url };
  }

  /** Takes leave of the trackers and ends every connection. */
  stop(): Left {
    const { left } = this;
    this.#standby.leave();
    this.#untried = [];
    for (const each of this.#trackers.splice(0)) each.stop();
    for (const connection of [...this.#connections.values()]) connection.close();
    clearTimeout(this.#timer);
    clearTimeout(this.#patience);
    this.#timer = this.#told = undefined;
    this.#rounds = this.#nextRoundMs = 0;
    return left;
  }

  /** The same torrent, of which more or fewer peers are wanted now. */
  meet(torrent: Joined): void {
    this.#torrent = torrent;
    this.#told = undefined;
    this.#balance();
  }

  close(id: string): void {
    this.#connections.get(id)?.close();
  }

  /** The peer at the other end of a connection passes on what we say. */
  acquainted(id: string): void {
    const connection = this.#connections.get(id);
    if (connection) this.#standby.acquainted(connection);
    this.#balance();
  }

  /** How many our peers know that we are not connected to. */
  knownToPeers(strangers: number): void {
    this.#strangers = strangers;
    this.#balance();
  }

  /** What comes by way of a peer, or from it. */
  introduced({ via, type, peerId, id, sdp }: Introduced): void {
    const peer = this.#connections.get(via);
    const { infoHash } = this.#torrent;
    if (!peer) return;
    if (type === 'spare' && this.#isOrphan) void this.#standby.take(peer, id, sdp);
    else if (type === 'agreed') this.#standby.agreed(peer, id, sdp);
    else if (type === 'answered') this.described({ type: 'answer', infoHash, peerId, offerId: id, sdp }, () => false);
    else if (type === 'offered') {
      this.described({ type: 'offer', infoHash, peerId, offerId: id, sdp }, (answer) => {
        this.#introduce({ via, type: 'answer', peerId, id, sdp: answer });
        return true;
      });
    }
  }

  // Announced

  announcement(): Omit<Announce, 'offers' | 'event'> {
    return { infoHash: this.#torrent.infoHash, peerId: this.#peerId, ...this.#torrent.progress };
  }

  searching(tracker: Tracker): boolean {
    return this.#lacking > 0 && tracker.others! <= this.#known;
  }

  waits(offerId: string): boolean {
    return this.#connections.has(offerId);
  }

  counted(): void {
    this.#balance();
  }

  described({ type, peerId, offerId, sdp }: Described, reply: (sdp: string) => boolean): void {
    const trimmed = trimSdp(sdp);
    const connection = this.#connections.get(offerId);
    if (type === 'answer') {
      if (connection?.state !== 'offered') return;
      if (!trimmed || !this.#yields(peerId, true)) connection.close();
      else connection.answered(peerId, trimmed);
    } else if (trimmed && !connection && peerId !== this.#peerId && this.#accepts && this.#yields(peerId, false)) {
      void this.#answer(peerId, offerId, trimmed, reply);
    }
    this.#report();
  }

  released({ snapshot, root }: Released): void {
    this.#heard({ snapshot, from: 'tracker', ...(root && { root: new TextEncoder().encode(root).buffer }) });
  }

  // ConnectionOwner

  channel({ id, ours }: Connection, channel: RTCDataChannel): void {
    const { infoHash } = this.#torrent;
    this.#post({ type: 'channel', id, infoHash, ours, channel }, [channel as unknown as Transferable]);
  }

  opened(connection: Connection): void {
    this.#connections.set(connection.id, connection); // where it was a spare
    this.#standby.opened(connection);
    this.#openedMs = Date.now();
    this.#report();
  }

  wavers(connection: Connection): void {
    this.#standby.away(connection);
    this.#balance();
  }

  ended(connection: Connection): void {
    const { id, state, ageMs } = connection;
    this.#connections.delete(id);
    this.#post({ type: 'closed', id });
    this.#standby.ended(connection);
    if (state === 'open' && ageMs >= lastingMs) this.#rounds = 0;
    this.#balance();
  }

  // StandbyOwner

  connect(id: string, peerId?: string, certificate?: RTCCertificate): Connection | undefined {
    const connection = this.#make(id, peerId, certificate);
    if (connection) this.#connections.set(id, connection);
    return connection;
  }

  spare(): Connection | undefined {
    return this.#make(randomId());
  }

  say({ id: via, peerId }: Connection, type: Introduced['type'], id: string, sdp: string): void {
    this.#introduce({ via, type, peerId: peerId!, id, sdp });
  }

  #introduce(what: Omit<Introduced, 'infoHash'>): void {
    this.#post({ type: 'introduced', introduced: { infoHash: this.#torrent.infoHash, ...what } });
  }

  /** Asks one tracker more, and soon another, unless it answers. */
  #tryNext(): void {
    clearTimeout(this.#patience);
    const url = this.#untried.shift();
    if (url === undefined) return;
    this.#patience = setTimeout(() => this.#tryNext(), patienceMs);
    this.#trackers.push(new Tracker(url, this));
  }

  /** Tries another tracker where those that were have failed, or know too few, and has no other wait for one that answers. */
  #seekTracker(): void {
    const few = this.#lacking > 0 || this.#connections.size < enoughPeers;
    const told = this.#trackers.every(({ others }) => others !== undefined);
    if (this.#trackers.some(({ delayMs }) => delayMs !== undefined)) clearTimeout(this.#patience);
    if (told && few && this.#trackers.every(({ others }) => others! <= this.#connections.size)) this.#tryNext();
  }

  /** The trackers that answer, the fastest first, and then the others. */
  get #ranked(): Tracker[] {
    const delayMs = (tracker: Tracker): number => tracker.delayMs ?? Number.MAX_VALUE;
    return [...this.#trackers].sort((a, b) => delayMs(a) - delayMs(b));
  }

  /** Whether no tracker answers, as far as that is known. */
  get #isOrphan(): boolean {
    const told = this.#orphan || this.#trackers.every(({ others }) => others !== undefined);
    return told && this.#trackers.every(({ delayMs }) => delayMs === undefined);
  }

  /** How many strangers are to be met by way of common peers: any only while trackers do not bring enough. */
  get #byPeers(): number {
    const asks = this.#isOrphan || Date.now() - this.#openedMs > lackingMs;
    return asks && this.#count(({ state }) => state === 'open') ? this.#strangers : 0;
  }

  /** Peers still wanted. */
  get #lacking(): number {
    return Math.min(this.#torrent.peers, maxConnections) - this.#connections.size;
  }

  /** Those whom a tracker counts, too. Who has fallen silent may have left, and the tracker count its next page. */
  get #known(): number {
    return this.#count(({ silent }) => !silent);
  }

  get #accepts(): boolean {
    const accepting = this.#count(({ ours, state }) => !ours && state !== 'open');
    return accepting < maxAccepting && this.#connections.size < maxConnections;
  }

  #count(of: (connection: Connection) => boolean): number {
    return [...this.#connections.values()].filter(of).length;
  }

  /** Begins a round of offers if peers are wanted and somebody knows more than are connected or offered to. */
  #balance(): void {
    this.#seekTracker();
    this.#report();
    if (this.#isOrphan) this.#standby.give();
    else this.#standby.end();
    const making = this.#count(({ state }) => state !== 'open');
    const rounds = this.#ranked.map((tracker): [Announcer, number] => {
      return [tracker, offersFor(this.#lacking, tracker.others ?? 0, this.#known)];
    });
    // Peers pass each offer to another stranger, so that none is wasted: they come first.
    rounds.unshift([this.#peers, offersFor(this.#lacking, this.#byPeers - making, 0)]);
    for (const [announcer, offers] of rounds) {
      if (!offers || this.#offering.has(announcer)) continue;
      const restMs = this.#nextRoundMs - Date.now();
      if (restMs > 0) {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#balance(), restMs);
        return;
      }
      this.#nextRoundMs = Date.now() + pauseMs(this.#rounds++);
      void this.#offer(announcer, offers);
    }
  }

  /** Announces offers once all of them are made or have failed; those for `peers` to them, where that is possible. */
  async #offer(announcer: Announcer, count: number, peers: string[] = []): Promise<void> {
    this.#offering.add(announcer);
    const one = async (_: unknown, i: number): Promise<Announce['offers']> => {
      const connection = this.connect(randomId());
      const sdp = await connection?.describe();
      const toPeerId = peers[i];
      return connection && sdp !== undefined ? [{ id: connection.id, sdp, ...(toPeerId && { toPeerId }) }] : [];
    };
    const offers = (await Promise.all(Array.from({ length: count }, one))).flat();
    this.#offering.delete(announcer);
    if (offers.length) announcer.announce(offers);
    this.#balance();
  }

  async #answer(peerId: string, id: string, offer: string, reply: (sdp: string) => boolean): Promise<void> {
    const connection = this.connect(id, peerId);
    const sdp = await connection?.describe(offer);
    if (sdp !== undefined && !reply(sdp)) connection!.close();
  }

  /** A connection from us, or from the peer that offers it; undefined where the browser makes none. */
  #make(id: string, peerId?: string, certificate?: RTCCertificate): Connection | undefined {
    try {
      const { ice: iceServers } = this.#torrent;
      return new Connection(this, id, { iceServers, ...(certificate && { certificates: [certificate] }) }, peerId);
    } catch {
      return undefined; // not an ICE server, or too many connections in this page
    }
  }

  /** Whether a new connection with a peer is to be made; one with it that is to give way is closed. */
  #yields(peerId: string, ours: boolean): boolean {
    for (const old of [...this.#connections.values()]) {
      if (old.peerId !== peerId) continue;
      const { ageMs, state } = old;
      if (keepsOld({ ours: old.ours, open: state === 'open', ageMs }, ours, this.#peerId < peerId)) return false;
      old.close();
    }
    return true;
  }

  /** Tells the core how many peers may yet be connected, as soon as every tracker has told, or one knows somebody. */
  #report(): void {
    const open = this.#count(({ state }) => state === 'open');
    const making = this.#count(({ ours, state }) => state === 'connecting' || (!ours && state === 'making'));
    const known = this.#trackers.map(({ others }) => others ?? 0);
    const peers = Math.max(0, making, this.#byPeers, ...known.map((others) => others - open));
    if (peers === this.#told || (!peers && this.#trackers.some(({ others }) => others === undefined))) return;
    this.#told = peers;
    this.#post({ type: 'coming', infoHash: this.#torrent.infoHash, peers });
  }
}

/** 20 random bytes in hex */
export function randomId(): string {
  return hex(crypto.getRandomValues(new Uint8Array(20)));
}
