/**
 * One peer: the wire's state on one data channel. It frames, keeps BEP 3's four flags and the two request queues, and
 * holds the peer to the protocol; what to ask for and what to give is the swarm's business (`PeerOwner`).
 */
import { Bitfield } from '../shared/bitfield.ts';
import { decodeReqq, encodeExtended } from '../shared/extended.ts';
import { learn, stallMs, type Pace } from '../shared/scheduler.ts';
import { concat, encode, encodeHandshake, Reader, WireError } from '../shared/wire.ts';
import type { Block, Bytes, Handshake, HashRange, Message } from '../shared/wire.ts';
import { hex } from './bytes.ts';
import type { Assembly, Slot } from './download.ts';
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
  /** it unchoked us, or will serve no more of these blocks */
  free(peer: Peer, lost: Outstanding[]): void;
  block(peer: Peer, outstanding: Outstanding, data: Bytes): void;
  /** it is there, or its interest changed: whom to choke is to be decided anew */
  interest(peer: Peer): void;
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
const messageBytes = 64 * 1024;
const lowWaterBytes = 128 * 1024;
const highWaterBytes = 512 * 1024;
/** a peer that lets this much pile up does not read */
const maxBufferedBytes = 8 * 1024 * 1024;
const handshakeMs = 15_000;
const tellMs = 3_000;
const keepAliveMs = 60_000;
const silenceMs = 150_000;
/** WebTorrent and libtorrent accept no more hashes a message: 512 and a proof */
const maxHashBytes = 49 + 32 * 560;

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
  /** we choke it */
  choked = true;
  /** it is interested in us */
  interested = false;
  /** when `choked` last changed */
  sinceMs = 0;
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

  readonly #owner: PeerOwner;
  readonly #reader: Reader;
  readonly #startMs: number;
  #fast = false;
  #out: Bytes[] = [];
  #outBytes = 0;
  #sentMs: number;
  #heardMs: number;
  /** no block has come since that pause */
  #paused = true;

  constructor(link: Link, owner: PeerOwner) {
    this.link = link;
    this.#owner = owner;
    this.pieces = new Bitfield(owner.pieces);
    this.#reader = new Reader(Math.max(messageBytes, maxHashBytes, 1 + this.pieces.bytes.length));
    this.#startMs = this.#sentMs = this.#heardMs = owner.now();
    const { channel } = link;
    channel.binaryType = 'arraybuffer';
    channel.bufferedAmountLowThreshold = lowWaterBytes;
    channel.onmessage = (event) => this.#receive(event.data);
    channel.onclose = channel.onerror = () => this.close();
    channel.onbufferedamountlow = () => owner.serve(this);
    if (channel.readyState === 'open') this.#open();
    else channel.onopen = () => this.#open();
  }

  get ready(): boolean {
    return this.accepted && !this.closed;
  }

  /** Whether the channel takes more blocks now; if not, the owner's `serve` is called when it does. */
  get roomy(): boolean {
    return this.link.channel.bufferedAmount + this.#outBytes < highWaterBytes;
  }

  send(message: Message): void {
    this.#push(encode(message));
  }

  setWants(wants: boolean): void {
    if (this.wants === wants) return;
    this.wants = wants;
    this.send({ type: wants ? 'interested' : 'notInterested' });
  }

  /** Chokes or unchokes. Choking rejects what is queued (BEP 6). */
  setChoked(choked: boolean): void {
    if (this.choked === choked) return;
    this.choked = choked;
    this.sinceMs = this.#owner.now();
    this.send({ type: choked ? 'choke' : 'unchoke' });
    if (choked) for (const block of this.wanted.splice(0)) this.reject(block);
  }

  reject(block: Block): void {
    // Without the fast extension silence is all there is.
    if (this.#fast) this.send({ type: 'reject', ...block });
  }

  /** Tells what we hold, as the first message after the handshake. */
  announce(have: Bitfield): void {
    if (this.#fast && have.count === 0) this.send({ type: 'haveNone' });
    else if (this.#fast && have.count === have.length) this.send({ type: 'haveAll' });
    else this.send({ type: 'bitfield', bits: have.bytes.slice() });
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
    if (now - this.#heardMs > silenceMs || (!this.id && now - this.#startMs > handshakeMs)) {
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

  #open(): void {
    const { infoHash, peerId } = this.#owner;
    this.#push(encodeHandshake({ infoHash, peerId, extended: true, fast: true, v2: true }));
  }

  #push(data: Bytes): void {
    if (this.closed) return;
    if (this.#out.length === 0) queueMicrotask(() => this.#flush());
    this.#out.push(data);
    this.#outBytes += data.length;
    this.#sentMs = this.#owner.now();
  }

  /** Sends what is queued, several wire messages to a channel message. */
  #flush(): void {
    if (this.closed) return;
    const { channel } = this.link;
    const all = concat(this.#out, this.#outBytes);
    this.#out = [];
    this.#outBytes = 0;
    try {
      for (let at = 0; at < all.length; at += messageBytes) channel.send(all.subarray(at, at + messageBytes));
    } catch {
      this.close();
      return;
    }
    if (channel.bufferedAmount > maxBufferedBytes) this.close();
  }

  #receive(data: unknown): void {
    this.#heardMs = this.#owner.now();
    try {
      if (!(data instanceof ArrayBuffer)) throw new WireError('not binary');
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
    if (own.infoHash.some((byte, i) => byte !== handshake.infoHash[i])) throw new WireError('another torrent');
    this.id = hex(handshake.peerId);
    this.#fast = handshake.fast;
    this.v2 = handshake.v2;
    this.accepted = own.ready(this);
    if (!this.accepted) {
      this.close();
      return;
    }
    if (handshake.extended) this.send({ type: 'extended', id: 0, payload: encodeExtended(reqq) });
    own.interest(this);
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
      case 'interested':
      case 'notInterested':
        this.interested = message.type === 'interested';
        own.interest(this);
        break;
      case 'have':
        if (message.piece >= own.pieces) throw new WireError('no such piece');
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
        own.free(this, [lost]);
        break;
      }
      case 'extended':
        if (message.id === 0) this.reqq = decodeReqq(message.payload) ?? this.reqq;
        break;
      case 'hashRequest':
      case 'hashReject':
      case 'hashes':
        own.hashes(this, message);
        break;
      case 'keepAlive':
      case 'suggest':
      case 'allowedFast':
      case 'unknown':
        break;
      default:
        message satisfies never;
    }
  }

  #field(message: Extract<Message, { type: 'bitfield' }> | { type: string }): Bitfield {
    const { pieces } = this.#owner;
    const field = 'bits' in message ? Bitfield.from(message.bits, pieces) : new Bitfield(pieces);
    if (!field) throw new WireError('bitfield of another torrent');
    if (message.type === 'haveAll') field.fill();
    return field;
  }

  #asked(request: Block): void {
    const { piece, begin, length } = request;
    if (piece >= this.#owner.pieces || length === 0 || length > maxRequestBytes) throw new WireError('request');
    if (this.choked || this.wanted.length >= reqq) {
      this.reject({ piece, begin, length });
    } else {
      this.wanted.push({ piece, begin, length });
      this.#owner.serve(this);
    }
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
