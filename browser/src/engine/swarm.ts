/**
 * One torrent's peers: who is connected, what they hold, what they are asked for and given. Contents are the engine's
 * (`SwarmOwner`): the same content may lie in several torrents, and then peers of all of them help.
 */
import { Bitfield } from '../shared/bitfield.ts';
import { depth } from '../shared/scheduler.ts';
import type { Fetching, Meet, News as NewsMessage, Run } from '../shared/extended.ts';
import { blockBytes, type Block, type Bytes } from '../shared/wire.ts';
import { nameOf, type ContentId } from '../store/store.ts';
import { hex, join, unhex } from '../shared/bytes.ts';
import type { Contents } from './contents.ts';
import type { Download, Sources } from './download.ts';
import { Introductions } from './introductions.ts';
import type { News } from './news.ts';
import { Peer, type Outstanding, type PeerOwner } from './peer.ts';
import type { Link, ToHost } from './rtc.ts';
import { Uploads, type Read, type UploadsOwner } from './uploads.ts';
import type { Torrent } from './torrent.ts';
import { fromWire, toWire, type Tree } from './tree.ts';
import type { HashRequest } from '../shared/merkle.ts';

export const maxPeers = 30;
const hashTimeoutMs = 5000;
/** hash requests that one peer may have waiting: each may cost a whole content's hashing */
const hashQueue = 64;

export interface SwarmOwner {
  readonly contents: Contents;
  readonly news: News;
  readonly peerId: Bytes;
  readonly tree: Tree;
  now(): number;
  banned(peerId: string): boolean;
  /** the downloads that want something, the most urgent first */
  downloads(): Download[];
  /** resolves when so much may go out */
  uploading(bytes: number): Promise<void>;
  uploaded(bytes: number): void;
  connected(peer: Peer, connected: boolean): void;
  /** tells the host */
  host(message: ToHost): void;
  /** how long a peer is believed that says that it is fetching so much */
  claimMs(bytes: number): number;
  /** peers or their pieces have changed */
  changed(): void;
}

interface Asked {
  peer: Peer;
  /** the request, as JSON */
  key: string;
  answer(hashes: Bytes | undefined): void;
}

export class Swarm implements PeerOwner, UploadsOwner {
  readonly torrent: Torrent;
  readonly peers = new Set<Peer>();
  /** the pieces that we can give */
  readonly have: Bitfield;
  readonly infoHash: Bytes;
  readonly introductions: Introductions;
  readonly #owner: SwarmOwner;
  /** our peer id in hex */
  readonly #self: string;
  readonly #uploads = new Uploads(this);
  readonly #answering = new Map<Peer, number>();
  readonly #asked = new Set<Asked>();
  /** what we are having from web seeds */
  readonly #fetching = new Map<string, Run>();
  #uploaded = 0;
  #downloaded = 0;

  constructor(owner: SwarmOwner, torrent: Torrent) {
    this.#owner = owner;
    this.torrent = torrent;
    this.#self = hex(owner.peerId);
    this.infoHash = unhex(torrent.infoHash);
    this.have = new Bitfield(torrent.pieces);
    this.introductions = new Introductions({
      infoHash: torrent.infoHash,
      now: () => owner.now(),
      knows: (id) => this.#self === id || owner.banned(id) || [...this.peers].some((peer) => peer.id === id),
      post: (message) => owner.host(message),
    });
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
    const run = this.#run(content, start, end);
    if (!run) return;
    for (let index = run.first; index < run.first + run.count; index++) {
      if (!held) this.have.delete(index);
      else if (this.have.add(index)) {
        for (const peer of this.peers) if (peer.ready) peer.have(index);
      }
    }
  }

  /** Pieces of a content that we have begun to fetch from a web seed, or have ended fetching: peers are told. */
  fetch(content: ContentId, start: number, end: number, active: boolean): void {
    const run = this.#run(content, start, end);
    if (!run) return;
    const key = `${run.first}:${run.count}`;
    if (this.#fetching.has(key) === active) return;
    if (active) this.#fetching.set(key, run);
    else this.#fetching.delete(key);
    for (const peer of this.peers) peer.tellFetching(active, [run]);
  }

  /** The pieces that lie in a range of the content with all that they hold of it. */
  #run(content: ContentId, start: number, end: number): Run | undefined {
    const placed = this.torrent.get(nameOf(content));
    if (!placed) return undefined;
    const { pieceLength } = this.torrent;
    const first = Math.ceil(start / pieceLength);
    const last = end >= content.size ? Math.ceil(end / pieceLength) : Math.floor(end / pieceLength);
    return last > first ? { first: placed.piece + first, count: last - first } : undefined;
  }

  /** Who has a content's pieces, by an offset in them; undefined if it is not in this torrent. */
  lane(content: ContentId): ((offset: number) => Sources) | undefined {
    const placed = this.torrent.get(nameOf(content));
    const now = this.now();
    const peers = [...this.peers].filter((peer) => peer.ready);
    const serving = peers.filter((peer) => !peer.chokes);
    const claiming = peers.filter(({ claims }) => claims.any);
    if (!placed) return undefined;
    return (offset) => {
      const piece = placed.piece + Math.floor(offset / this.torrent.pieceLength);
      const claimed = (kept: boolean) =>
        claiming.some(({ pieces, claims }) => !pieces.has(piece) && claims.coming(piece, now, kept));
      return { holders: serving.filter((peer) => peer.pieces.has(piece)), coming: claimed(false), kept: claimed(true) };
    };
  }

  /** Gives every peer as many requests as it can do with. */
  fill(): void {
    const downloads = this.#owner.downloads();
    // The fastest first, so that what is most urgent goes to them.
    for (const peer of [...this.peers].sort((a, b) => b.pace.rate - a.pace.rate)) this.#fill(peer, downloads);
  }

  #fill(peer: Peer, downloads: Download[], again = false): void {
    if (!peer.ready || peer.chokes) return;
    const { pieceLength } = this.torrent;
    const most = depth(peer.pace, peer.reqq, peer.stalled);
    for (const download of downloads) {
      const room = most - peer.outstanding.size;
      if (room <= 0) return;
      const placed = this.torrent.get(nameOf(download.content));
      if (!placed) continue;
      const holds = (offset: number) => peer.pieces.has(placed.piece + Math.floor(offset / pieceLength));
      for (const slot of download.blocksFor(peer, room, holds, again)) {
        const offset = slot.assembly.index * download.pieceLength + slot.block * blockBytes;
        const piece = placed.piece + Math.floor(offset / pieceLength);
        const length = Math.min(blockBytes, placed.size - offset);
        peer.request({ piece, begin: offset % pieceLength, length }, slot);
      }
    }
    // Nothing to do: it may help others.
    if (!again && !peer.stalled && !peer.outstanding.size) this.#fill(peer, downloads, true);
  }

  tick(): void {
    for (const peer of [...this.peers]) {
      for (const { slot } of peer.tick()) slot.assembly.release(slot.block, peer, true);
      if (peer.ready) peer.setWants(peer.pieces.exceeds(this.have));
    }
    this.introductions.tick();
    this.#uploads.tick();
  }

  close(): void {
    for (const peer of [...this.peers]) peer.close();
  }

  /** The content's piece layer from peers that speak version 2 and were not `asked` yet, one after the other. */
  async layer(content: ContentId, pieceLength: number, asked: Set<Peer>): Promise<Bytes | undefined> {
    if (pieceLength !== this.torrent.pieceLength) return undefined;
    const first = this.torrent.get(nameOf(content))?.piece;
    if (first === undefined) return undefined;
    for (const peer of [...this.peers]) {
      if (!peer.ready || !peer.v2 || !peer.pieces.has(first) || asked.has(peer)) continue;
      asked.add(peer);
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
        key: JSON.stringify(request),
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
    if (peer.id === this.#self || this.#owner.banned(peer.id)) return false;
    // Two connections with one peer: both ends keep the one whose id, which they share, is smaller.
    for (const other of this.peers) {
      if (other === peer || other.id !== peer.id) continue;
      if (other.link.id < peer.link.id) return false;
      other.close();
    }
    peer.announce(this.have);
    // Uploads take turns, so nobody is choked.
    peer.send({ type: 'unchoke' });
    this.#owner.connected(peer, true);
    this.introductions.count();
    return true;
  }

  gained(peer: Peer): void {
    if (peer.pieces.exceeds(this.have)) peer.setWants(true);
    this.#owner.changed();
  }

  curious(peer: Peer): void {
    peer.tellFetching(true, [...this.#fetching.values()]);
    this.#owner.news.greet(peer);
    if (peer.meets) this.introductions.met(peer);
  }

  news(peer: Peer, message: NewsMessage): void {
    this.#owner.news.heard(peer, message);
  }

  fetching(peer: Peer, { active, runs }: Fetching): void {
    for (const run of runs) {
      if (!active) peer.claims.end(run);
      else peer.claims.begin(run, this.now() + this.#owner.claimMs(run.count * this.torrent.pieceLength));
    }
    this.#owner.changed();
  }

  introduced(peer: Peer, message: Meet): void {
    this.introductions.heard(peer, message);
  }

  free(peer: Peer, lost: Outstanding[]): void {
    for (const { slot } of lost) slot.assembly.release(slot.block, peer, false);
    this.#owner.changed();
  }

  block(peer: Peer, outstanding: Outstanding, data: Bytes): void {
    const { slot, piece, begin, length } = outstanding;
    this.#downloaded += length;
    for (const other of slot.assembly.download.arrived(slot, peer, data)) other.cancel({ piece, begin, length });
    // Several at a time, so that they share channel messages.
    if (peer.outstanding.size * 4 <= 3 * depth(peer.pace, peer.reqq, peer.stalled)) {
      this.#fill(peer, this.#owner.downloads());
    }
  }

  serve(peer: Peer): void {
    this.#uploads.serve(peer);
  }

  uploading(bytes: number): Promise<void> {
    return this.#owner.uploading(bytes);
  }

  uploaded(bytes: number): void {
    this.#uploaded += bytes;
    this.#owner.uploaded(bytes);
  }

  /** A block of the torrent: content, and zeros beyond its end (BEP 47). `payload` counts the content's bytes. */
  async read({ piece, begin, length }: Block): Promise<Read> {
    const placed = this.torrent.at(piece);
    if (!placed || !this.have.has(piece) || begin + length > this.torrent.pieceLength) return undefined;
    const start = (piece - placed.piece) * this.torrent.pieceLength + begin;
    const end = Math.min(start + length, placed.size);
    const data = start < end ? await this.#owner.contents.bytes(placed, start, end) : new Uint8Array(0);
    if (!data) return undefined;
    const pad = length - data.length;
    return { block: pad ? join([data, new Uint8Array(pad)]) : data, payload: data.length };
  }

  hashes(peer: Peer, message: Parameters<PeerOwner['hashes']>[1]): void {
    const request = fromWire(message);
    if (message.type === 'hashRequest') {
      void this.#answer(peer, request);
      return;
    }
    const key = JSON.stringify(request);
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
      const layer = await this.#owner.contents.layer(content, pieceLength);
      return layer && this.#owner.tree.answer(content, pieceLength, layer, request);
    }
    return undefined;
  }

  closed(peer: Peer): void {
    this.peers.delete(peer);
    for (const asked of this.#asked) if (asked.peer === peer) asked.answer(undefined);
    this.free(peer, [...peer.outstanding.values()]);
    peer.outstanding.clear();
    if (peer.accepted) this.#owner.connected(peer, false);
    this.#owner.news.closed(peer);
    this.#uploads.closed(peer);
    this.introductions.lost(peer);
  }
}
