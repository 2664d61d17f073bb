/**
 * One peer: the wire's state on one data channel. It frames, keeps BEP 3's four flags and the two request queues, and
 * holds the peer to the protocol; what to ask for and what to give is the swarm's business (`PeerOwner`).
 */
import { Bitfield } from '../shared/bitfield.ts';
import { hex, join } from '../shared/bytes.ts';
import { Claims } from '../shared/claims.ts';
import { decodeExtended, decodeFetching, decodeMeet, decodeNews } from '../shared/extended.ts';
import { encodeExtended, encodeFetching, encodeMeet, encodeNews } from '../shared/extended.ts';
import { fetchingId, maxRuns, meetId, releaseId } from '../shared/extended.ts';
import type { Fetching, Meet, News, Run } from '../shared/extended.ts';
import { learn, stallMs, type Load, type Pace } from '../shared/scheduler.ts';
import { encodeHandshake, frame, Reader, WireError } from '../shared/wire.ts';
import type { Block, Bytes, Handshake, HashRange, Message } from '../shared/wire.ts';
import type { Assembly, Slot } from './assembly.ts';
import type { Link } from './rtc.ts';

/** What the swarm is told of a peer, and asked for it. */
export interface PeerOwner {
  readonly pieces: number;
  readonly peerId: Bytes;
  readonly infoHash: Bytes;
  now(): number;
  /** the handshake is in; false refuses the peer */
  ready(peer: Peer): boolean;
  /** the peer's pieces have changed */
  gained(peer: Peer): void;
  /** it has said which extensions it speaks */
  curious(peer: Peer): void;
  /** it tells of a release, or asks for one */
  news(peer: Peer, message: News): void;
  /** it says what it is fetching, or has ended fetching */
  fetching(peer: Peer, message: Fetching): void;
  /** it introduces, or asks us to */
  introduced(peer: Peer, message: Meet): void;
  /** it unchoked us, or will serve no more of these blocks */
  free(peer: Peer, lost: Outstanding[]): void;
  block(peer: Peer, outstanding: Outstanding, data: Bytes): void;
  /** blocks have been queued in `wanted`, or the channel has room again */
  serve(peer: Peer): void;
  hashes(peer: Peer, message: { type: 'hashRequest' | 'hashReject' | 'hashes'; hashes?: Bytes } & HashRange): void;
  closed(peer: Peer): void;
}

/** A block that we have asked for. */
export interface Outstanding extends Block {
  sentMs: number;
  /** where it goes */
  slot: Slot;
  /** it has waited too long, and may have been asked of others */
  late: boolean;
}

export const reqq = 256;
/** the largest request that is served: what WebTorrent serves */
const maxRequestBytes = 128 * 1024;
/** the longest wire message that a peer may send, unless its bitfield is longer */
const wireBytes = 64 * 1024;
/** the longest channel message that we send: what fits the buffer of pion's readers */
const messageBytes = 65_535;
const highWaterBytes = 1024 * 1024;
/** a peer that lets this much pile up does not read */
const maxBufferedBytes = 8 * 1024 * 1024;
const handshakeMs = 6_000;
const tellMs = 3_000;
const keepAliveMs = 60_000;
const silenceMs = 150_000;

export class Peer {
  /** peer id in hex; empty before the handshake */
  id = '';
  readonly link: Link;
  pieces: Bitfield;
  /** it has said what it holds, or is taken to hold nothing, having had the time to say so */
  told = false;
  /** its handshake is in and the swarm took it */
  accepted = false;
  /** whether it serves version 2's hashes */
  v2 = false;
  /** it chokes us */
  chokes = true;
  /** we are interested in it */
  wants = false;
  pace: Pace = { rate: 0, latencyMs: 0 };
  /** how many requests it queues */
  reqq = 250;
  stalled = false;
  /** when the last block came, or the first request went out after a pause */
  blockMs = 0;
  readonly outstanding = new Map<string, Outstanding>();
  /** what it has asked for and not got, in order */
  wanted: Block[] = [];
  closed = false;
  /** what it says that it is fetching from a web seed */
  readonly claims = new Claims();

  readonly #owner: PeerOwner;
  readonly #reader: Reader;
  readonly #startMs: number;
  #fast = false;
  /** the number under which it takes `pk_fetching` messages */
  #fetchingId: number | undefined;
  /** the number under which it takes `pk_release` messages */
  #releaseId: number | undefined;
  /** the number under which it takes `pk_meet` messages */
  #meetId: number | undefined;
  #extended = false;
  /** the handshake is sent */
  #greeted = false;
  #out: Bytes[] = [];
  /** of these, what leaves at once */
  #outBytes = 0;
  #sentMs: number;
  #heardMs: number;
  /** no block has come since that pause */
  #paused = true;

  constructor(link: Link, owner: PeerOwner) {
    this.link = link;
    this.#owner = owner;
    this.pieces = new Bitfield(owner.pieces);
    this.#reader = new Reader(Math.max(wireBytes, 1 + this.pieces.bytes.length));
    this.#startMs = this.#sentMs = this.#heardMs = owner.now();
    const { channel } = link;
    channel.binaryType = 'arraybuffer';
    channel.onmessage = (event) => this.#receive(event.data);
    channel.onclose = channel.onerror = () => this.close();
    channel.onbufferedamountlow = () => owner.serve(this);
    channel.onopen = () => this.#flush();
    const { infoHash, peerId } = owner;
    this.#push([encodeHandshake({ infoHash, peerId, extended: true, fast: true, v2: true })]);
  }

  get ready(): boolean {
    return this.accepted && !this.closed;
  }

  /** What it has to do for us, and how many of these bytes until it has done its part of a piece. */
  load(assembly?: Assembly): Load & { part: number } {
    let [queued, part] = [0, 0];
    for (const { length, slot } of this.outstanding.values()) {
      queued += length;
      if (slot.assembly === assembly) part = queued;
    }
    return { pace: this.pace, queued, part };
  }

  /** Whether the channel takes more blocks now; if not, the owner's `serve` is called when it does. */
  get roomy(): boolean {
    return this.link.channel.bufferedAmount + this.#outBytes < highWaterBytes;
  }

  /** Whether what it was given has left but for so much. */
  get drained(): boolean {
    const { bufferedAmount, bufferedAmountLowThreshold } = this.link.channel;
    return bufferedAmount + this.#outBytes <= bufferedAmountLowThreshold;
  }

  /** How much of that may be left when the owner's `serve` is called. */
  set lowWaterBytes(bytes: number) {
    this.link.channel.bufferedAmountLowThreshold = bytes;
  }

  /** Whether it speaks `pk_meet`. */
  get meets(): boolean {
    return this.#meetId !== undefined;
  }

  send(message: Message): void {
    this.#push(frame(message));
  }

  /** Tells that we have got a piece. If it has that itself, there is time until something else is said. */
  have(piece: number): void {
    this.#push(frame({ type: 'have', piece }), this.pieces.has(piece));
  }

  setWants(wants: boolean): void {
    if (this.wants === wants) return;
    this.wants = wants;
    this.send({ type: wants ? 'interested' : 'notInterested' });
  }

  reject(block: Block): void {
    // Without the fast extension silence is all there is.
    if (this.#fast) this.send({ type: 'reject', ...block });
  }

  /** Tells what we hold, as the first message after the handshake. */
  announce(have: Bitfield): void {
    const type = have.count ? have.count === have.length && 'haveAll' : 'haveNone';
    this.send(this.#fast && type ? { type } : { type: 'bitfield', bits: have.bytes.slice() });
  }

  /** Tells what we have begun to fetch from a web seed, or have ended fetching. */
  tellFetching(active: boolean, runs: Run[]): void {
    if (runs.length) this.#tell(this.#fetchingId, encodeFetching({ active, runs: runs.slice(-maxRuns) }));
  }

  /** Says something of a release. */
  tellNews(message: News): void {
    this.#tell(this.#releaseId, encodeNews(message));
  }

  /** Says something of peers that could meet, if it speaks `pk_meet`. */
  introduce(message: Meet): void {
    this.#tell(this.#meetId, encodeMeet(message));
  }

  /** Sends a message of an extension, if it speaks that. */
  #tell(id: number | undefined, payload: Bytes): void {
    if (id !== undefined) this.send({ type: 'extended', id, payload });
  }

  request(block: Block, slot: Slot): void {
    const now = this.#owner.now();
    if (this.outstanding.size === 0) {
      this.blockMs = now;
      this.#paused = true;
    }
    this.outstanding.set(keyOf(block), { ...block, sentMs: now, slot, late: false });
    this.send({ type: 'request', ...block });
  }

  cancel(block: Block): void {
    if (this.outstanding.delete(keyOf(block))) this.send({ type: 'cancel', ...block });
  }

  /** Cancels what is outstanding for a piece. */
  cancelPiece(assembly: Assembly): void {
    for (const { slot, piece, begin, length } of [...this.outstanding.values()]) {
      if (slot.assembly === assembly) this.cancel({ piece, begin, length });
    }
  }

  /**
   * Looks at the clock: keeps the connection alive, closes it when the peer is gone, and returns what has waited too
   * long at a peer that brings nothing. Such blocks may be asked of others; they are still taken if they come.
   */
  tick(): Outstanding[] {
    const now = this.#owner.now();
    // What has had time, or where the event was missed that says that the channel is open.
    this.#flush();
    const mute = !this.id || !this.#greeted;
    if (now - this.#heardMs > silenceMs || (mute && now - this.#startMs > handshakeMs)) {
      this.close();
      return [];
    }
    if (now - this.#startMs > tellMs) this.told ||= this.ready;
    if (now - this.#sentMs > keepAliveMs) this.send({ type: 'keepAlive' });
    if (this.outstanding.size === 0 || now - this.blockMs < stallMs(this.pace)) return [];
    this.stalled = true;
    const late = [...this.outstanding.values()].filter((outstanding) => !outstanding.late);
    for (const outstanding of late) outstanding.late = true;
    return late;
  }

  /** Closes the connection. Idempotent. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    const { channel } = this.link;
    channel.onopen = channel.onmessage = channel.onclose = channel.onerror = channel.onbufferedamountlow = null;
    this.#out = [];
    this.wanted = [];
    this.link.close();
    this.#owner.closed(this);
  }

  #push(parts: Bytes[], later = false): void {
    if (this.closed) return;
    this.#out.push(...parts);
    if (!later) {
      for (const part of parts) this.#outBytes += part.length;
      // The first sends what all of this moment have queued.
      queueMicrotask(() => this.#flush());
    }
    this.#sentMs = this.#owner.now();
  }

  /** Sends what is queued, several wire messages to a channel message. */
  #flush(): void {
    const { channel } = this.link;
    // A channel that moved between threads may receive before it opens: what we have to say waits.
    if (this.closed || channel.readyState === 'connecting') return;
    // The handshake by itself: WebTorrent misses an unchoke that comes with it, and asks for nothing.
    const first = this.#greeted ? undefined : this.#out.shift();
    const all = join(this.#out);
    this.#greeted = true;
    this.#out = [];
    this.#outBytes = 0;
    // In equal parts: a small one costs as much as a large one.
    const step = Math.ceil(all.length / Math.ceil(all.length / messageBytes));
    try {
      if (first) channel.send(first);
      for (let at = 0; at < all.length; at += step) channel.send(all.subarray(at, at + step));
    } catch {
      this.close();
      return;
    }
    if (channel.bufferedAmount > maxBufferedBytes) this.close();
  }

  #receive(data: unknown): void {
    this.#heardMs = this.#owner.now();
    try {
      if (!(data instanceof ArrayBuffer)) throw new WireError('binary');
      for (const message of this.#reader.push(new Uint8Array(data))) {
        if (message.type === 'handshake') this.#handshake(message);
        else this.#message(message);
        if (this.closed) return;
      }
    } catch {
      // Whatever is wrong with a peer's bytes concerns this peer alone.
      this.close();
    }
  }

  #handshake(handshake: Handshake): void {
    const own = this.#owner;
    if (own.infoHash.some((byte, i) => byte !== handshake.infoHash[i])) throw new WireError('torrent');
    this.id = hex(handshake.peerId);
    this.#fast = handshake.fast;
    this.v2 = handshake.v2;
    this.accepted = own.ready(this);
    if (!this.accepted) {
      this.close();
      return;
    }
    if (handshake.extended) this.send({ type: 'extended', id: 0, payload: encodeExtended(reqq) });
  }

  #message(message: Message): void {
    const own = this.#owner;
    switch (message.type) {
      case 'choke': {
        this.chokes = true;
        // With the fast extension each block is rejected by itself (BEP 6); without it choking drops them all.
        const lost = this.#fast ? [] : [...this.outstanding.values()];
        if (!this.#fast) this.outstanding.clear();
        own.free(this, lost);
        break;
      }
      case 'unchoke':
        this.chokes = false;
        own.free(this, []);
        break;
      case 'have':
        if (message.piece >= own.pieces) throw new WireError('piece');
        this.claims.gained(message.piece);
        if (this.pieces.add(message.piece)) own.gained(this);
        break;
      case 'bitfield':
      case 'haveAll':
      case 'haveNone':
        this.pieces = this.#field(message);
        this.told = true;
        own.gained(this);
        break;
      case 'request':
        this.#asked(message);
        break;
      case 'cancel':
        this.wanted = this.wanted.filter((block) => keyOf(block) !== keyOf(message));
        break;
      case 'piece':
        this.#delivered(message);
        break;
      case 'reject': {
        const key = keyOf(message);
        const lost = this.outstanding.get(key);
        if (!lost) break;
        this.outstanding.delete(key);
        // It is not choking us, so it lacks the piece: asked again it would only reject again.
        if (!this.chokes) this.pieces.delete(message.piece);
        own.free(this, [lost]);
        break;
      }
      case 'extended':
        if (message.id === 0) {
          const { reqq: queue, fetching, meet, release } = decodeExtended(message.payload);
          this.reqq = queue ?? this.reqq;
          this.#fetchingId = fetching;
          this.#meetId = meet;
          this.#releaseId = release;
          if (!this.#extended) own.curious(this);
          this.#extended = true;
        } else if (message.id === fetchingId) {
          own.fetching(this, decodeFetching(message.payload, own.pieces));
        } else if (message.id === meetId) {
          own.introduced(this, decodeMeet(message.payload));
        } else if (message.id === releaseId) {
          own.news(this, decodeNews(message.payload));
        }
        break;
      case 'hashRequest':
      case 'hashReject':
      case 'hashes':
        own.hashes(this, message);
        break;
      default:
        message.type satisfies 'interested' | 'notInterested' | 'keepAlive' | 'suggest' | 'allowedFast' | 'unknown';
    }
  }

  #field(message: Extract<Message, { type: 'bitfield' }> | { type: string }): Bitfield {
    const { pieces } = this.#owner;
    const field = 'bits' in message ? Bitfield.from(message.bits, pieces) : new Bitfield(pieces);
    if (!field) throw new WireError('bitfield');
    if (message.type === 'haveAll') field.fill();
    return field;
  }

  #asked(request: Block): void {
    const { piece, begin, length } = request;
    if (piece >= this.#owner.pieces || length === 0 || length > maxRequestBytes) throw new WireError('request');
    if (this.wanted.length >= reqq) return this.reject({ piece, begin, length });
    this.wanted.push({ piece, begin, length });
    this.#owner.serve(this);
  }

  #delivered(message: { piece: number; begin: number; block: Bytes }): void {
    const key = keyOf({ ...message, length: message.block.length });
    const outstanding = this.outstanding.get(key);
    // Not asked for, or cancelled while it was on its way.
    if (!outstanding) return;
    this.outstanding.delete(key);
    const now = this.#owner.now();
    const elapsedMs = this.#paused ? undefined : now - this.blockMs;
    this.pace = learn(this.pace, message.block.length, elapsedMs, now - outstanding.sentMs);
    this.blockMs = now;
    this.#paused = false;
    this.stalled = false;
    this.#owner.block(this, outstanding, message.block);
  }
}

function keyOf(block: Block): string {
  return `${block.piece}:${block.begin}:${block.length}`;
}
