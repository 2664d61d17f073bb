/**
 * Meets the peers of one torrent: offers connections through its trackers, answers the offers of others, and gives the
 * swarm what opens.
 *
 * A tracker passes each offer of an announcement to another peer, at random. One that is connected already ignores it,
 * so that a round has as many offers as let the peers still lacking be met by chance: in a small crowd, one for
 * everybody. An offer that is not answered soon is forgotten, and the next round begins. Whatever fails costs only
 * itself, but rounds follow each other ever slower until a connection lasts.
 */
import { reach, trimSdp } from '../shared/sdp.ts';
import type { Announced, Announcer, Described, Progress } from './announcer.ts';
import { keepsOld, stateMs, type PeerConnection, type State } from './peers.ts';
import type { FromHost, Joined, OnLink, ToHost } from './rtc.ts';

/** Offers in one announcement; trackers pass on 5 to 20. */
const maxOffers = 8;
/** Connections of a torrent, those in the making included: beyond it, remote offers are not answered. */
const maxConnections = 32;
/** Remote offers answered at a time. */
const maxAccepting = 8;
/** From one round of offers to the next: twice as long each time. */
const firstPauseMs = 1_000;
const lastPauseMs = 60_000;
/** How long a tracker that has not answered yet is hoped to know somebody. */
const hopeMs = 2_000;

export class Meeting implements Announced {
  readonly infoHash: string;
  readonly peerId: string;
  readonly progress: () => Progress;
  announcers: Announcer[] = [];
  #ice: RTCIceServer[];
  #post: (message: ToHost) => void;
  #onLink: OnLink;
  #want = 0;
  #connections = new Map<string, PeerConnection>();
  /** rounds of offers since a connection last lasted */
  #rounds = 0;
  #nextRoundMs = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #beganMs = Date.now();

  constructor(torrent: Joined, peerId: string, post: (message: ToHost) => void, onLink: OnLink) {
    this.infoHash = torrent.infoHash;
    this.progress = torrent.progress;
    this.peerId = peerId;
    this.#ice = torrent.ice;
    this.#post = post;
    this.#onLink = onLink;
  }

  get connected(): boolean {
    return this.#count('open') > 0;
  }

  /**
   * Peers that may yet be connected: those in the making, or that the best-informed tracker knows besides; at the very
   * beginning, one that it may know.
   */
  get coming(): number {
    const hope = Date.now() - this.#beganMs < hopeMs && this.announcers.some((announcer) => !announcer.heard);
    const known = Math.max(0, ...this.announcers.map((announcer) => announcer.others)) - this.#count('open');
    return Math.max(hope ? 1 : 0, known, this.#count('accepting') + this.#count('connecting'));
  }

  searching(announcer: Announcer): boolean {
    return this.#lacking > 0 && announcer.others <= this.#connections.size;
  }

  counted(): void {
    this.#balance();
  }

  want(peers: number): void {
    const before = this.#lacking;
    this.#want = Math.min(8, Math.max(0, Math.floor(peers) || 0));
    this.#balance();
    if (before <= 0 && this.#lacking > 0) for (const announcer of this.announcers) announcer.search();
  }

  has(id: string): boolean {
    return this.#connections.has(id);
  }

  onHost(message: Extract<FromHost, { id: string }>, channel?: RTCDataChannel): void {
    const connection = this.#connections.get(message.id);
    if (!connection) return;
    switch (message.type) {
      case 'offer':
        if (connection.state === 'gathering') this.#offerMade(connection, message.sdp);
        return;
      case 'answer':
        if (connection.state === 'accepting') this.#answerMade(connection, message.sdp);
        return;
      case 'channel':
      case 'relay':
        if (channel && !connection.channel) this.#channelMade(connection, channel);
        return;
      case 'closed':
        this.#drop(connection);
        return;
      default:
        message satisfies never;
    }
  }

  /** A remote offer, or the answer to one of ours, from the tracker. */
  described(announcer: Announcer, message: Described): void {
    if (message.peerId === this.peerId) return;
    const sdp = trimSdp(message.sdp);
    if (message.type === 'answer') {
      const connection = this.#connections.get(message.offerId);
      if (connection?.state !== 'offered' || connection.announcer !== announcer) return;
      if (!sdp || !this.#yields(message.peerId, true)) return this.#drop(connection);
      connection.peerId = message.peerId;
      this.#enter(connection, 'connecting');
      this.#post({ type: 'answered', id: connection.id, sdp });
      return;
    }
    if (!sdp || this.#connections.size >= maxConnections || this.#count('accepting') >= maxAccepting) return;
    if (!this.#yields(message.peerId, false)) return;
    const { peerId, offerId } = message;
    const connection = this.#add({ id: randomId(), state: 'accepting', announcer, ours: false, peerId, offerId });
    this.#post({ type: 'accept', id: connection.id, ice: this.#ice, sdp });
  }

  /** Ends every connection; the torrent may go on with others. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#rounds = this.#nextRoundMs = 0;
    for (const connection of [...this.#connections.values()]) this.#drop(connection);
  }

  /** Peers still wanted; `want` counts those beyond what is open. */
  get #lacking(): number {
    return this.#want - (this.#connections.size - this.#count('open'));
  }

  #count(state: State): number {
    let count = 0;
    for (const connection of this.#connections.values()) if (connection.state === state) count++;
    return count;
  }

  /** Begins a round of offers if peers are wanted and some tracker knows more than are connected or offered to. */
  #balance(): void {
    let lacking = Math.min(this.#lacking, maxConnections - this.#connections.size);
    if (lacking <= 0) return;
    const pauseMs = this.#nextRoundMs - Date.now();
    if (pauseMs > 0) {
      this.#timer ??= setTimeout(() => this.#resume(), pauseMs);
      return;
    }
    for (const announcer of this.announcers) {
      if (this.#offering(announcer)) continue; // one round at a time
      const { others } = announcer;
      const strangers = others - this.#connections.size;
      const wanted = Math.min(lacking, strangers);
      if (wanted <= 0) continue;
      const offers = Math.min(maxOffers, Math.ceil((wanted * others) / strangers));
      this.#nextRoundMs = Date.now() + Math.min(lastPauseMs, firstPauseMs * 2 ** Math.min(this.#rounds++, 10));
      for (let i = 0; i < offers; i++) {
        const connection = this.#add({ id: randomId(), state: 'gathering', announcer, ours: true });
        this.#post({ type: 'offer', id: connection.id, ice: this.#ice });
      }
      lacking -= offers;
      if (lacking <= 0) break;
    }
  }

  #resume(): void {
    this.#timer = undefined;
    this.#balance();
  }

  #offering(announcer: Announcer): boolean {
    for (const { state, announcer: its } of this.#connections.values()) {
      if (state === 'gathering' && its === announcer) return true;
    }
    return false;
  }

  #offerMade(connection: PeerConnection, sdp: string): void {
    const trimmed = trimSdp(sdp);
    if (!trimmed || reach(trimmed) === 'none') return this.#drop(connection);
    connection.sdp = trimmed;
    this.#enter(connection, 'offered');
    this.#sendOffers(connection.announcer);
  }

  /** Announces the offers of a round, once all of it are made or have failed. */
  #sendOffers(announcer: Announcer): void {
    if (this.#offering(announcer)) return;
    const round = [...this.#connections.values()].filter((its) => its.announcer === announcer && its.sdp !== undefined);
    if (!round.length) return;
    const sent = announcer.announce(round.map(({ id, sdp }) => ({ id, sdp: sdp! })));
    for (const connection of round) {
      delete connection.sdp;
      if (!sent) this.#drop(connection);
    }
  }

  #answerMade(connection: PeerConnection, sdp: string): void {
    const trimmed = trimSdp(sdp);
    const answer = { toPeerId: connection.peerId!, offerId: connection.offerId!, sdp: trimmed ?? '' };
    if (!trimmed || !connection.announcer.answer(answer)) return this.#drop(connection);
    this.#enter(connection, 'connecting');
  }

  #channelMade(connection: PeerConnection, channel: RTCDataChannel): void {
    connection.channel = channel;
    channel.binaryType = 'arraybuffer';
    channel.addEventListener('close', () => this.#drop(connection));
    if (channel.readyState === 'open') this.#open(connection);
    else if (channel.readyState === 'connecting') channel.addEventListener('open', () => this.#open(connection));
    else this.#drop(connection);
  }

  #open(connection: PeerConnection): void {
    const { id, channel, peerId } = connection;
    // The peer is not known before its answer, and without that no channel of ours opens.
    if (!channel || peerId === undefined || connection.state === 'open' || !this.#connections.has(id)) return;
    this.#enter(connection, 'open');
    this.#onLink({ id, infoHash: this.infoHash, peerId, channel, close: () => this.#drop(connection) });
  }

  /** Whether a new connection with a peer is to be made; one with it that is to give way is dropped. */
  #yields(peerId: string, ours: boolean): boolean {
    for (const old of [...this.#connections.values()]) {
      if (old.peerId !== peerId) continue;
      if (keepsOld(old, ours, this.peerId, Date.now())) return false;
      this.#drop(old);
    }
    return true;
  }

  #add(made: Omit<PeerConnection, 'sinceMs'>): PeerConnection {
    const connection = { ...made, sinceMs: 0 };
    this.#connections.set(connection.id, connection);
    this.#enter(connection, connection.state);
    return connection;
  }

  #enter(connection: PeerConnection, state: State): void {
    connection.state = state;
    clearTimeout(connection.timer);
    connection.sinceMs = Date.now();
    connection.timer = setTimeout(() => {
      if (state === 'open') this.#rounds = 0;
      else this.#drop(connection);
    }, stateMs[state]);
  }

  /** Ends a connection, wherever it stands. */
  #drop(connection: PeerConnection): void {
    if (!this.#connections.delete(connection.id)) return;
    clearTimeout(connection.timer);
    this.#post({ type: 'close', id: connection.id });
    const { channel } = connection;
    if (channel) {
      // Closing the connection under a channel fires no event at this side.
      try {
        channel.close();
      } catch {
        // it never opened
      }
      channel.dispatchEvent(new Event('close'));
    }
    if (connection.state === 'gathering') this.#sendOffers(connection.announcer);
    this.#balance();
  }
}

/** 20 random bytes in hex */
export function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(20)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
