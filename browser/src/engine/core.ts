/**
 * The engine's core: knows the snapshots that the worker tells of, the contents that are held, and the swarms; decides
 * which of the worker's requests peers can serve, and runs the downloads that serve them.
 *
 *     worker ──ToEngine──▶ Core ──▶ Swarm (a torrent) ──▶ Peer ──▶ data channel
 *            ◀─FromEngine─  │
 *                           ├──▶ Download (a content) ──▶ Part ──▶ Store,  web seeds
 *                           └──▶ Library  (complete contents)
 *
 * It runs in a dedicated worker, or in the page, and has no state that would have to survive either.
 */
import { nameOf, openDirectory, openStore, type ContentId, type Store } from '../store/store.ts';
import { openParts, sweepParts, type Parts } from '../store/part.ts';
import { protocol, type EngineSnapshot, type FromEngine, type ToEngine } from '../shared/messages.ts';
import type { Policy } from '../shared/manifest.ts';
import { blockBytes, type Bytes } from '../shared/wire.ts';
import { Admission, type AdmissionOwner, type Get, type Supply } from './admission.ts';
import { hex } from './bytes.ts';
import { createConnector } from './connector.ts';
import { Download, windowBytes, type DownloadOwner } from './download.ts';
import { Downloads } from './downloads.ts';
import { Library } from './library.ts';
import type { Peer } from './peer.ts';
import { Request, type Source } from './request.ts';
import type { Connector, CreateConnector, FromHost, HostPort } from './rtc.ts';
import { Sites } from './sites.ts';
import { maxPeers, Swarm, type SwarmOwner } from './swarm.ts';
import { Torrent } from './torrent.ts';
import { Tree } from './tree.ts';
import type { Fetch, Seed } from './webseed.ts';

/** What the core needs of the world around it. */
export interface Environment {
  fetch: Fetch;
  /** milliseconds, never going back */
  now(): number;
  sha256(data: Bytes): Promise<Bytes>;
  random(bytes: number): Bytes;
  open(scope: string): Promise<{ store: Store; parts: Parts }>;
  createConnector: CreateConnector;
}

type Post = (message: FromEngine, transfer?: ArrayBuffer[]) => void;

const tickMs = 200;
/** everything is looked at again at most so often */
const pumpGapMs = 5;
const assemblyBytes = 32 << 20;
const maxBanned = 1000;
/** connections to keep while nothing is wanted, for what the next page will want */
const idlePeers = 4;

export class Core implements SwarmOwner, DownloadOwner, AdmissionOwner {
  readonly tree: Tree;
  readonly fetch: Fetch;
  readonly memory = { left: assemblyBytes };
  readonly peerId: Bytes;
  connections = 0;

  readonly #environment: Environment;
  readonly #connector: Connector & { onHost(message: FromHost): void };
  readonly #sites = new Sites();
  readonly #swarms = new Map<string, Swarm>();
  readonly #downloads = new Downloads((content) => this.#openDownload(content));
  readonly #admission = new Admission(this);
  readonly #requests = new Map<number, Request>();
  readonly #banned = new Set<string>();
  #library: Library | undefined;
  #parts: Parts | undefined;
  #scope: string | undefined;
  #policy: Policy = { mode: 'auto', prefer: 'speed' };
  #origin = { latencyMs: 100, bytesPerMs: 1000 };
  #post: Post = () => {};
  #port: MessagePort | undefined;
  #uploaded = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #pumping = false;
  #pumpedMs = -Infinity;

  constructor(environment: Environment, host: HostPort) {
    this.#environment = environment;
    this.fetch = environment.fetch;
    this.tree = new Tree(environment.sha256);
    // Client id as by BEP 20's convention, then random bytes.
    this.peerId = environment.random(20);
    this.peerId.set(new TextEncoder().encode('-PK0001-'));
    this.#connector = environment.createConnector(
      (message) => host.post(message),
      (link) => {
        const swarm = this.#swarms.get(link.infoHash);
        if (!swarm) return link.close();
        swarm.join(link);
        this.#startTicking();
      },
      { peerId: hex(this.peerId) },
    );
    host.listen((message) => {
      if (message.type === 'port') this.#connect(message.port);
      else this.#connector.onHost(message);
      // A frozen page keeps no part open, and answers nobody.
      if (message.type === 'suspended') this.#stop();
    });
  }

  // The worker

  #connect(port: MessagePort): void {
    // The worker that the former port led to is gone, and its requests with it.
    this.#cancelAll();
    if (this.#port) this.#port.onmessage = null;
    this.#port?.close();
    this.#port = port;
    this.#post = (message, transfer = []) => port.postMessage(message, transfer);
    port.onmessage = (event) => this.#receive(event.data as ToEngine);
    this.#post({ type: 'status', connections: this.connections });
  }

  #receive(message: ToEngine): void {
    switch (message.type) {
      case 'configure':
        if (message.protocol === protocol) this.#configure(message.scope, message.policy, message.snapshots);
        break;
      case 'rows':
        this.#learn(this.#sites.add(message.id, message.root, message.rows));
        break;
      case 'forget':
        this.#sites.forget(message.id);
        this.#leaveUnused();
        break;
      case 'get':
        this.#get(message);
        break;
      case 'pull':
        this.#requests.get(message.id)?.pull();
        break;
      case 'cancel':
        this.#cancel(message.id);
        break;
      case 'have':
        this.#hold(message.content);
        break;
      case 'drop':
        if (this.#library?.drop(message.content)) this.#release(message.content);
        break;
      case 'origin':
        this.#origin = { latencyMs: message.latencyMs, bytesPerMs: message.bytesPerMs };
        break;
      default:
        message satisfies never;
    }
  }

  #configure(scope: string, policy: Policy, snapshots: EngineSnapshot[]): void {
    this.#policy = policy;
    for (const id of this.#sites.configure(scope, snapshots)) this.#sites.forget(id);
    if (this.#scope === undefined) {
      this.#scope = scope;
      void this.#environment.open(scope).then(({ store, parts }) => this.#opened(store, parts));
    }
    for (const { id, root, rows } of snapshots) this.#learn(this.#sites.add(id, root, rows));
    this.#leaveUnused();
  }

  async #opened(store: Store, parts: Parts): Promise<void> {
    this.#parts = parts;
    this.#library = new Library(store, this.tree);
    for (const content of await store.list()) this.#hold(content);
    this.changed();
  }

  /** A torrent has got new rows: what we hold of them can be given. */
  #learn(torrent: Torrent | undefined): void {
    if (!torrent || this.#policy.mode === 'off') return;
    let swarm = this.#swarms.get(torrent.infoHash);
    if (!swarm) this.#swarms.set(torrent.infoHash, (swarm = new Swarm(this, torrent)));
    for (const content of this.#library?.contents() ?? []) swarm.hold(content, 0, content.size);
    for (const download of this.#downloads) this.#holdPieces(swarm, download);
    this.changed();
  }

  #leaveUnused(): void {
    for (const [infoHash, swarm] of this.#swarms) {
      if (this.#policy.mode !== 'off' && this.#sites.uses(infoHash)) continue;
      this.#swarms.delete(infoHash);
      this.#connector.leave(infoHash);
      swarm.close();
    }
  }

  #hold(content: ContentId): void {
    if (content.size === 0 || !this.#library?.add(content)) return;
    for (const swarm of this.#swarms.values()) swarm.hold(content, 0, content.size);
    this.changed();
  }

  #release(content: ContentId): void {
    for (const swarm of this.#swarms.values()) swarm.hold(content, 0, content.size, false);
  }

  #holdPieces(swarm: Swarm, download: Download): void {
    for (let start = 0; start < download.content.size; start += download.pieceLength) {
      const end = download.available(start);
      if (end > start) swarm.hold(download.content, start, end);
    }
  }

  // Requests

  #get(get: Get): void {
    if (this.#requests.has(get.id)) return this.decline(get.id);
    this.#admission.add(get);
    this.#startTicking();
    // Joins first: somebody has to be looked for before it can be said that nobody is coming.
    this.changed();
  }

  supply({ content, start, end }: Get): Supply | 'accept' | 'decline' | undefined {
    if (!this.#library) return undefined;
    const running = this.#downloads.get(content);
    if (this.#library.has(content) || running?.requests.size || running?.complete) return 'accept';
    const torrent = this.#sites.torrentOf(nameOf(content));
    if (!torrent) return 'decline';
    const { pieceLength } = torrent;
    let bytes = 0;
    let covered = 0;
    const peers = new Set<Peer>();
    // What lies beyond the window is too far off to be judged by who is here now.
    const limit = Math.min(end, start + windowBytes);
    for (let at = start - (start % pieceLength); at < limit; at += pieceLength) {
      const size = Math.min(pieceLength, content.size - at);
      const holders = running?.has(at / pieceLength) ? undefined : this.#holdersOf(content, at);
      bytes += size;
      if (!holders || holders.length > 0) covered += size;
      for (const peer of holders ?? []) peers.add(peer);
    }
    const offers = [...peers].map((peer) => ({ pace: peer.pace, queued: peer.outstanding.size * blockBytes }));
    return { bytes, covered, peers: offers };
  }

  decline(id: number): void {
    this.#post({ type: 'decline', id });
  }

  accept(get: Get, dueMs: number): void {
    void this.#accept(get, dueMs);
  }

  async #accept({ id, content, path, start, end, peersOnly }: Get, dueMs: number): Promise<void> {
    let download: Download | undefined;
    const request = new Request({
      id,
      path,
      start,
      end,
      peersOnly,
      dueMs,
      post: (message, transfer) => this.#post(message, transfer),
      done: () => {
        if (this.#requests.get(id) === request) this.#requests.delete(id);
        download?.detach(request);
        for (const idle of this.#downloads.surplus()) this.#closeDownload(idle);
      },
    });
    this.#requests.set(id, request);
    download = this.#library?.has(content) ? undefined : await this.#downloads.open(content);
    // Cancelled, or replaced by a new worker's, while the part was opened.
    if (this.#requests.get(id) !== request) return;
    const held = this.#library?.has(content);
    if (!held && (!download || download.closed)) {
      this.#requests.delete(id);
      this.decline(id);
      return;
    }
    this.#post({ type: 'accept', id });
    request.source = held ? this.#stored(content) : download;
    if (!held) download!.attach(request);
    request.pump();
  }

  #cancel(id: number): void {
    this.#admission.cancel(id);
    this.#requests.get(id)?.cancel();
  }

  /** A complete content as a source. */
  #stored(content: ContentId): Source {
    return {
      available: () => content.size,
      read: (start, end) => this.#read(content, start, end),
    };
  }

  /** Verified bytes of a complete content. */
  async #read(content: ContentId, start: number, end: number): Promise<Bytes | undefined> {
    const pieceLength = this.#sites.torrentOf(nameOf(content))?.pieceLength;
    if (!this.#library || !pieceLength) return undefined;
    const out = new Uint8Array(end - start);
    for (let at = start; at < end; ) {
      const index = Math.floor(at / pieceLength);
      const piece = await this.#library.piece(content, pieceLength, index);
      if (!piece) {
        if (!this.#library.has(content)) this.#release(content);
        return undefined;
      }
      const part = piece.subarray(at - index * pieceLength, end - index * pieceLength);
      out.set(part, at - start);
      at += part.length;
    }
    return out;
  }

  // Downloads

  async #openDownload(content: ContentId): Promise<Download | undefined> {
    const torrent = this.#sites.torrentOf(nameOf(content));
    const part = torrent && (await this.#parts?.open(content));
    return part && new Download(this, content, torrent.pieceLength, part);
  }

  #forgetDownload(download: Download): void {
    this.#downloads.forget(download);
    if (!this.#library?.has(download.content)) this.#release(download.content);
  }

  #closeDownload(download: Download): void {
    download.close();
    this.#forgetDownload(download);
  }

  // SwarmOwner and DownloadOwner

  now(): number {
    return this.#environment.now();
  }

  get prefer(): 'speed' | 'offload' {
    return this.#policy.prefer;
  }

  originMs(bytes: number): number {
    return this.#origin.latencyMs + bytes / Math.max(this.#origin.bytesPerMs, 1);
  }

  seeds(content: ContentId): Seed[] {
    return this.#sites.seeds(nameOf(content));
  }

  downloads(): Iterable<Download> {
    return this.#downloads.wanted();
  }

  holders(content: ContentId, offset: number): { count: number; blockMs: number } {
    const holders = this.#holdersOf(content, offset);
    return { count: holders.length, blockMs: Math.max(0, ...holders.map((peer) => peer.blockMs)) };
  }

  #holdersOf(content: ContentId, offset: number): Peer[] {
    const holders: Peer[] = [];
    for (const swarm of this.#swarms.values()) {
      for (const peer of swarm.peers) {
        if (peer.ready && !peer.chokes && !peer.stalled && swarm.holds(peer, content, offset)) holders.push(peer);
      }
    }
    return holders;
  }

  /** How many peers could yet serve us: not connected yet, silent as yet, or choking us for now. */
  coming(): number {
    let coming = 0;
    for (const [infoHash, swarm] of this.#swarms) {
      coming += this.#connector.coming(infoHash);
      for (const peer of swarm.peers) if (!peer.told || (peer.chokes && peer.wants)) coming++;
    }
    return coming;
  }

  async layerFromPeers(content: ContentId, pieceLength: number): Promise<Bytes | undefined> {
    for (const swarm of this.#swarms.values()) {
      const layer = await swarm.layer(content, pieceLength);
      if (layer) return layer;
    }
    return undefined;
  }

  banned(peerId: string): boolean {
    return this.#banned.has(peerId);
  }

  ban(peer: Peer): void {
    if (this.#banned.size >= maxBanned) for (const oldest of this.#banned) if (this.#banned.delete(oldest)) break;
    this.#banned.add(peer.id);
    peer.close();
  }

  verified(download: Download, index: number, source: 'origin' | 'peers', bytes: number): void {
    const start = index * download.pieceLength;
    for (const swarm of this.#swarms.values()) swarm.hold(download.content, start, start + bytes);
    const { size } = download.content;
    const [request] = download.requests;
    const count = { origin: 0, peers: 0, uploaded: 0, [source]: bytes };
    this.#post({ type: 'count', ...count, ...(request && { path: request.path, size }) });
  }

  complete(download: Download, stored: boolean): void {
    const { content, requests, layer } = download;
    if (stored) {
      this.#library?.add(content);
      // A torrent with longer pieces could not give what came in shorter ones.
      for (const swarm of this.#swarms.values()) swarm.hold(content, 0, content.size);
      if (layer?.length) this.#library?.keepLayer(content, download.pieceLength, layer);
      const source = this.#stored(content);
      const waiting = [...requests];
      for (const request of waiting) request.source = source;
      this.#closeDownload(download);
      for (const request of waiting) request.pump();
      this.#post({ type: 'stored', content: { ...content, piece: this.#sites.pieceOf(nameOf(content)) } });
    }
    this.changed();
  }

  failed(download: Download): void {
    this.#forgetDownload(download);
  }

  async bytes(content: ContentId, start: number, end: number): Promise<Bytes | undefined> {
    const download = this.#downloads.get(content);
    if (download && download.available(start) >= end) {
      const data = await download.read(start, end);
      if (data) return data;
    }
    return this.#read(content, start, end);
  }

  async layer(content: ContentId, pieceLength: number): Promise<Bytes | undefined> {
    const download = this.#downloads.get(content);
    if (download?.layer && download.pieceLength === pieceLength) return download.layer;
    return this.#library?.layer(content, pieceLength);
  }

  uploaded(bytes: number): void {
    this.#uploaded += bytes;
  }

  connected(peer: Peer, connected: boolean): void {
    this.connections += connected ? 1 : -1;
    this.#post({ type: 'peer', id: peer.id, connected });
    this.#post({ type: 'status', connections: this.connections });
  }

  /** Looks again at everything that may go on now; once for all changes of a moment. */
  changed(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    const restMs = this.#pumpedMs + pumpGapMs - this.now();
    if (restMs > 0) setTimeout(() => this.#pump(), restMs);
    else queueMicrotask(() => this.#pump());
  }

  #pump(): void {
    this.#pumping = false;
    this.#pumpedMs = this.now();
    this.#joinSwarms();
    this.#admission.look();
    for (const swarm of this.#swarms.values()) swarm.fill();
  }

  // Connections

  /** Joins the torrents of which we have, or want, something, and says how many peers would help. */
  #joinSwarms(): void {
    for (const [infoHash, swarm] of this.#swarms) {
      const { torrent } = swarm;
      const wanted =
        [...this.#admission.contents()].some((content) => torrent.get(nameOf(content))) ||
        this.#downloads.wanted().some(({ content }) => torrent.get(nameOf(content)));
      if (!wanted && swarm.have.count === 0) continue;
      this.#connector.join({ infoHash, ...this.#sites.meeting(infoHash), progress: () => swarm.progress });
      const enough = wanted ? maxPeers : swarm.have.count < torrent.pieces ? idlePeers : 0;
      this.#connector.want(infoHash, Math.max(0, Math.min(8, enough - swarm.peers.size)));
    }
  }

  #cancelAll(): void {
    this.#admission.cancelAll();
    for (const request of [...this.#requests.values()]) request.cancel();
  }

  #stop(): void {
    this.#cancelAll();
    for (const download of this.#downloads) this.#closeDownload(download);
    for (const swarm of this.#swarms.values()) swarm.close();
  }

  #startTicking(): void {
    this.#timer ??= setInterval(() => this.#tick(), tickMs);
  }

  #tick(): void {
    let busy = this.#admission.busy || this.#requests.size > 0;
    for (const swarm of this.#swarms.values()) {
      swarm.tick();
      busy ||= swarm.peers.size > 0;
    }
    for (const download of this.#downloads) download.tick();
    if (this.#uploaded > 0) this.#post({ type: 'count', origin: 0, peers: 0, uploaded: this.#uploaded });
    this.#uploaded = 0;
    this.changed();
    if (busy) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Ends everything: for tests, and hosts that outlive their engine. */
  close(): void {
    this.#stop();
    this.#connector.close();
    this.#port?.close();
    clearInterval(this.#timer);
  }
}

/** Starts a core in this realm. */
export function startCore(host: HostPort): void {
  const environment: Environment = {
    fetch: (url, init) => fetch(url, init),
    now: () => performance.now(),
    sha256: async (data) => new Uint8Array(await crypto.subtle.digest('SHA-256', data)),
    random: (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
    createConnector,
    async open(scope) {
      const store = await openStore(scope);
      const directory = store.shared ? await openDirectory(scope) : undefined;
      if (directory) void sweepParts(directory);
      return { store, parts: openParts(store, directory) };
    },
  };
  new Core(environment, host);
}
