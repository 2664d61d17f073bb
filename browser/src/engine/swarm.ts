/**
 * One torrent's peers: who is connected, what they hold, what they are asked for and given. Contents are the engine's
 * (`SwarmOwner`): the same content may lie in several torrents, and then peers of all of them help.
 */
import { Bitfield } from '../shared/bitfield.ts';
import { depth, unchoke } from '../shared/scheduler.ts';
import { blockBytes, type Block, type Bytes } from '../shared/wire.ts';
import { nameOf, type ContentId } from '../store/store.ts';
import { unhex } from './bytes.ts';
import type { Download } from './download.ts';
import { Peer, type Outstanding, type PeerOwner } from './peer.ts';
import type { Link } from './rtc.ts';
import type { Torrent } from './torrent.ts';
import { fromWire, toWire, type Tree } from './tree.ts';
import type { HashRequest } from '../shared/merkle.ts';

export const maxPeers = 30;
const uploadSlots = 12;
const rotateMs = 5000;
const hashTimeoutMs = 5000;
/** hash requests that one peer may have waiting: each may cost a whole content's hashing */
const hashQueue = 64;

export interface SwarmOwner {
  readonly peerId: Bytes;
  readonly tree: Tree;
  now(): number;
  banned(peerId: string): boolean;
  /** the downloads that want something, the most urgent first */
  downloads(): Iterable<Download>;
  /** verified bytes of a content for upload; undefined if they are not here */
  bytes(content: ContentId, start: number, end: number): Promise<Bytes | undefined>;
  layer(content: ContentId, pieceLength: number): Promise<Bytes | undefined>;
  uploaded(bytes: number): void;
  connected(peer: Peer, connected: boolean): void;
  /** peers or their pieces have changed */
  changed(): void;
}

interface Asked {
  peer: Peer;
  key: string;
  answer(hashes: Bytes | undefined): void;
}

export class Swarm implements PeerOwner {
  readonly torrent: Torrent;
  readonly peers = new Set<Peer>();
  /** the pieces that we can give */
  readonly have: Bitfield;
  readonly infoHash: Bytes;
  readonly #owner: SwarmOwner;
  readonly #serving = new Set<Peer>();
  readonly #answering = new Map<Peer, number>();
  readonly #asked = new Set<Asked>();
  #rotatedMs = 0;
  #uploaded = 0;
  #downloaded = 0;

  constructor(owner: SwarmOwner, torrent: Torrent) {
    this.#owner = owner;
    this.torrent = torrent;
    this.infoHash = unhex(torrent.infoHash);
    this.have = new Bitfield(torrent.pieces);
  }

  get pieces(): number {
    return this.torrent.pieces;
  }

  /** What trackers are told, in bytes. */
  get progress(): { left: number; uploaded: number; downloaded: number } {
    const left = (this.torrent.pieces - this.have.count) * this.torrent.pieceLength;
    return { left, uploaded: this.#uploaded, downloaded: this.#downloaded };
  }

  get peerId(): Bytes {
    return this.#owner.peerId;
  }

  now(): number {
    return this.#owner.now();
  }

  /** Takes a connected channel. */
  join(link: Link): void {
    if (this.peers.size >= maxPeers) link.close();
    else this.peers.add(new Peer(link, this));
  }

  /** Pieces of a content that we can give from now on, or (`held` false) no longer. */
  hold(content: ContentId, start: number, end: number, held = true): void {
    const placed = this.torrent.get(nameOf(content));
    if (!placed) return;
    const { pieceLength } = this.torrent;
    // Only pieces that lie in the range with all that they hold of the content.
    const first = Math.ceil(start / pieceLength);
    const last = end >= content.size ? Math.ceil(end / pieceLength) : Math.floor(end / pieceLength);
    for (let index = placed.piece + first; index < placed.piece + last; index++) {
      if (!held) this.have.delete(index);
      else if (this.have.add(index)) {
        for (const peer of this.peers) if (peer.ready) peer.send({ type: 'have', piece: index });
      }
    }
  }

  /** Whether the peer can give the byte at `offset` of a content. */
  holds(peer: Peer, content: ContentId, offset: number): boolean {
    const placed = this.torrent.get(nameOf(content));
    return placed !== undefined && peer.pieces.has(placed.piece + Math.floor(offset / this.torrent.pieceLength));
  }

  /** Gives every peer as many requests as it can do with. */
  fill(): void {
    // The fastest first, so that what is most urgent goes to them.
    for (const peer of [...this.peers].sort((a, b) => b.pace.rate - a.pace.rate)) {
      if (peer.ready && !peer.chokes) this.#fill(peer);
    }
  }

  #fill(peer: Peer): void {
    const { pieceLength } = this.torrent;
    const most = depth(peer.pace, peer.reqq, peer.stalled);
    for (const download of this.#owner.downloads()) {
      const room = most - peer.outstanding.size;
      if (room <= 0) return;
      const placed = this.torrent.get(nameOf(download.content));
      if (!placed) continue;
      const holds = (offset: number) => peer.pieces.has(placed.piece + Math.floor(offset / pieceLength));
      for (const slot of download.blocksFor(peer, room, holds)) {
        const offset = slot.assembly.index * download.pieceLength + slot.block * blockBytes;
        const piece = placed.piece + Math.floor(offset / pieceLength);
        const length = Math.min(blockBytes, placed.size - offset);
        peer.request({ piece, begin: offset % pieceLength, length }, slot);
      }
    }
  }

  tick(): void {
    for (const peer of [...this.peers]) {
      for (const { slot } of peer.tick()) slot.assembly.download.release(slot, peer, true);
      if (peer.ready) peer.setWants(peer.pieces.exceeds(this.have));
    }
    if (this.now() - this.#rotatedMs > rotateMs) {
      this.#rotatedMs = this.now();
      this.#rechoke(true);
    }
  }

  #rechoke(rotate: boolean): void {
    const peers = [...this.peers].filter((peer) => peer.ready);
    const chosen = unchoke(peers, uploadSlots, rotate);
    for (const peer of peers) peer.setChoked(!chosen.has(peer));
  }

  close(): void {
    for (const peer of [...this.peers]) peer.close();
  }

  /** The content's piece layer from peers that speak version 2, one after the other. */
  async layer(content: ContentId, pieceLength: number): Promise<Bytes | undefined> {
    if (pieceLength !== this.torrent.pieceLength) return undefined;
    const able = [...this.peers].filter((peer) => peer.ready && peer.v2 && this.holds(peer, content, 0));
    for (const peer of able) {
      const layer = await this.#layerFrom(peer, content, pieceLength);
      if (layer) return layer;
    }
    return undefined;
  }

  async #layerFrom(peer: Peer, content: ContentId, pieceLength: number): Promise<Bytes | undefined> {
    const layer = new Uint8Array(32 * Math.ceil(content.size / pieceLength));
    for (const request of this.#owner.tree.layerRequests(content, pieceLength)) {
      const hashes = await this.#askHashes(peer, request);
      if (hashes?.length !== 32 * request.length) return undefined;
      const start = 32 * request.index;
      layer.set(hashes.subarray(0, layer.length - start), start);
    }
    if (await this.#owner.tree.verifyLayer(content, pieceLength, layer)) return layer;
    peer.close();
    return undefined;
  }

  #askHashes(peer: Peer, request: HashRequest): Promise<Bytes | undefined> {
    return new Promise((resolve) => {
      const asked: Asked = {
        peer,
        key: hashKey(request),
        answer: (hashes) => {
          clearTimeout(timer);
          this.#asked.delete(asked);
          resolve(hashes);
        },
      };
      const timer = setTimeout(() => asked.answer(undefined), hashTimeoutMs);
      this.#asked.add(asked);
      peer.send({ type: 'hashRequest', ...toWire(request) });
    });
  }

  // PeerOwner

  ready(peer: Peer): boolean {
    const own = this.peerId.every((byte, i) => parseInt(peer.id.slice(2 * i, 2 * i + 2), 16) === byte);
    if (own || this.#owner.banned(peer.id)) return false;
    // Two connections with one peer: both ends keep the one whose id, which they share, is smaller.
    for (const other of this.peers) {
      if (other === peer || other.id !== peer.id) continue;
      if (other.link.id < peer.link.id) return false;
      other.close();
    }
    peer.announce(this.have);
    this.#owner.connected(peer, true);
    return true;
  }

  gained(peer: Peer): void {
    if (peer.pieces.exceeds(this.have)) peer.setWants(true);
    this.#owner.changed();
  }

  free(peer: Peer, lost: Outstanding[]): void {
    for (const { slot } of lost) slot.assembly.download.release(slot, peer);
    this.#owner.changed();
  }

  block(peer: Peer, outstanding: Outstanding, data: Bytes): void {
    const { slot, piece, begin, length } = outstanding;
    this.#downloaded += length;
    for (const other of slot.assembly.download.arrived(slot, peer, data)) other.cancel({ piece, begin, length });
    this.#fill(peer);
  }

  interest(): void {
    this.#rechoke(false);
  }

  serve(peer: Peer): void {
    if (this.#serving.has(peer)) return;
    this.#serving.add(peer);
    void this.#serve(peer).finally(() => this.#serving.delete(peer));
  }

  async #serve(peer: Peer): Promise<void> {
    while (peer.ready && peer.roomy) {
      const block = peer.wanted.shift();
      if (!block) return;
      const data = await this.#read(block).catch(() => undefined);
      if (!peer.ready) return;
      if (!data || peer.choked) {
        peer.reject(block);
        continue;
      }
      peer.send({ type: 'piece', piece: block.piece, begin: block.begin, block: data.block });
      this.#uploaded += data.payload;
      this.#owner.uploaded(data.payload);
    }
  }

  /** A block of the torrent: content, and zeros beyond its end (BEP 47). `payload` counts the content's bytes. */
  async #read({ piece, begin, length }: Block): Promise<{ block: Bytes; payload: number } | undefined> {
    const placed = this.torrent.at(piece);
    if (!placed || !this.have.has(piece) || begin + length > this.torrent.pieceLength) return undefined;
    const start = (piece - placed.piece) * this.torrent.pieceLength + begin;
    const end = Math.min(start + length, placed.size);
    const data = start < end ? await this.#owner.bytes(placed, start, end) : new Uint8Array(0);
    if (!data) return undefined;
    if (data.length === length) return { block: data, payload: length };
    const block = new Uint8Array(length);
    block.set(data);
    return { block, payload: data.length };
  }

  hashes(peer: Peer, message: Parameters<PeerOwner['hashes']>[1]): void {
    const request = fromWire(message);
    if (message.type === 'hashRequest') {
      void this.#answer(peer, request);
      return;
    }
    const key = hashKey(request);
    for (const asked of this.#asked) {
      if (asked.peer === peer && asked.key === key) asked.answer(message.hashes?.slice());
    }
  }

  async #answer(peer: Peer, request: HashRequest): Promise<void> {
    const waiting = this.#answering.get(peer) ?? 0;
    this.#answering.set(peer, waiting + 1);
    const hashes = waiting < hashQueue ? await this.#hashes(request).catch(() => undefined) : undefined;
    const left = (this.#answering.get(peer) ?? 1) - 1;
    if (left) this.#answering.set(peer, left);
    else this.#answering.delete(peer);
    if (!peer.ready) return;
    const range = toWire(request);
    peer.send(hashes ? { type: 'hashes', ...range, hashes } : { type: 'hashReject', ...range });
  }

  async #hashes(request: HashRequest): Promise<Bytes | undefined> {
    const { pieceLength } = this.torrent;
    for (const content of this.torrent.contents()) {
      if (content.hash !== request.root || content.size <= pieceLength) continue;
      const layer = await this.#owner.layer(content, pieceLength);
      return layer && this.#owner.tree.answer(content, pieceLength, layer, request);
    }
    return undefined;
  }

  closed(peer: Peer): void {
    this.peers.delete(peer);
    for (const asked of this.#asked) if (asked.peer === peer) asked.answer(undefined);
    for (const { slot } of peer.outstanding.values()) slot.assembly.download.release(slot, peer);
    peer.outstanding.clear();
    if (peer.accepted) this.#owner.connected(peer, false);
    this.#rechoke(false);
    this.#owner.changed();
  }
}

function hashKey(request: HashRequest): string {
  const { root, base, index, length, proofLayers } = request;
  return `${root}:${base}:${index}:${length}:${proofLayers}`;
}
