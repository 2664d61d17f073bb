/**
 * The engine's core: knows the snapshots that the worker tells of, the contents that are held, and the swarms; decides
 * which of the worker's requests peers can serve, and runs the downloads that serve them.
 *
 *     worker ──ToEngine──▶ Core ──▶ Swarm (a torrent) ──▶ Peer ──▶ data channel
 *            ◀─FromEngine─  │
 *                           └──▶ Contents ──▶ Download (a content) ──▶ Part ──▶ Store,  web seeds
 *                                        └──▶ Library (complete contents)
 *
 * It runs in a dedicated worker, or in the page, and has no state that would have to survive either.
 */
import { nameOf, openStore, type ContentId, type Store } from '../store/store.ts';
import { openParts, type Part, type Parts } from '../store/part.ts';
import { protocol, type EngineSnapshot, type FromEngine, type ToEngine } from '../shared/messages.ts';
import { Health } from '../shared/health.ts';
import type { Policy } from '../shared/manifest.ts';
import { minTurns } from '../shared/policy.ts';
import { claimMs, uploadClock } from '../shared/scheduler.ts';
import type { Bytes } from '../shared/wire.ts';
import { unhex } from '../shared/bytes.ts';
import { createConnector } from './connector.ts';
import { Contents, type ContentsOwner } from './contents.ts';
import { Download, type DownloadOwner, type Sources } from './download.ts';
import { Gets, type GetsOwner } from './gets.ts';
import { News, type NewsOwner } from './news.ts';
import type { Peer } from './peer.ts';
import { askForRoom } from './room.ts';
import type { Connector, CreateConnector, FromHost, HostPort, ToHost } from './rtc.ts';
import { sha256 } from './sha256.ts';
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
  open(scope: string): Promise<{ store: Store; parts: Parts }>;
  createConnector: CreateConnector;
}

type Post = (message: FromEngine, transfer?: Transferable[]) => void;

const tickMs = 200;
/** everything is looked at again at most so often */
const pumpGapMs = 5;
const assemblyBytes = 16 << 20;
const maxBanned = 1000;
/** contents that the worker may say it is fetching */
const maxFetching = 256;
/** connections to keep while nothing is wanted, for what the next page will want */
const idlePeers = 8;

export class Core implements ContentsOwner, SwarmOwner, DownloadOwner, GetsOwner, NewsOwner {
  readonly tree: Tree;
  readonly fetch: Fetch;
  readonly memory = { left: assemblyBytes };
  readonly peerId: Bytes;
  readonly salt: number;
  readonly contents = new Contents(this);
  readonly news = new News(this);
  connections = 0;

  readonly #environment: Environment;
  readonly #host: HostPort;
  readonly #connector: Connector & { onHost(message: FromHost): void };
  readonly #sites = new Sites();
  readonly health = new Health(() => this.now());
  readonly #swarms = new Map<string, Swarm>();
  readonly #gets = new Gets(this);
  readonly #banned = new Set<string>();
  /** what the worker is having from the origin, by name */
  readonly #fetching = new Map<string, ContentId>();
  #scope: string | undefined;
  #policy: Policy = { mode: 'auto', prefer: 'speed' };
  #origin = { latencyMs: 100, bytesPerMs: 1000 };
  #post: Post = () => {};
  /** the page is left, and the worker told: what it said to the page now would end its stay in the back/forward cache */
  #port: MessagePort | undefined;
  #uploaded = 0;
  #uploadClockMs = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  /** runs that web seeds are asked for */
  #seeding = 0;
  #pumping = false;
  #restedMs = -Infinity;

  constructor(environment: Environment, host: HostPort) {
    this.#environment = environment;
    this.#host = host;
    this.fetch = environment.fetch;
    this.tree = new Tree(environment.sha256);
    this.peerId = unhex(host.peerId);
    this.salt = new DataView(this.peerId.buffer).getInt32(16);
    this.#connector = environment.createConnector(
      (message) => host.post(message),
      (link) => {
        const swarm = this.#swarms.get(link.infoHash);
        if (!swarm) return link.close();
        swarm.join(link);
        this.#startTicking();
      },
    );
    host.listen((message) => {
      if (message.type === 'stop') return this.close();
      if (message.type === 'port') this.#connect(message.port);
      else if (message.type === 'beat') this.#post(message);
      else if (message.type === 'offers') this.#swarms.get(message.infoHash)?.introductions.offer(message.offers);
      else if (message.type === 'introduced') {
        const { introduced } = message;
        this.#swarms.get(introduced.infoHash)?.introductions.say(introduced);
      }
      else this.#connector.onHost(message);
    });
    host.post({ type: 'beat' });
  }

  // The worker

  #connect(port: MessagePort): void {
    // The worker that the former port led to is gone, and its requests with it.
    this.#gets.cancelAll();
    for (const content of this.#fetching.values()) this.#fetches(content, false);
    // A worker that is still there closes it, and would take our doing so for the engine's end.
    if (this.#port) this.#port.onmessage = null;
    this.#port = port;
    this.#post = (message, transfer = []) => port.postMessage(message, transfer);
    port.onmessage = (event) => this.#receive(event.data as ToEngine);
    for (const { peers } of this.#swarms.values()) {
      for (const { id, ready } of peers) if (ready) this.#post({ type: 'peer', id, connected: true });
    }
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
        this.#gets.add(message);
        this.#startTicking();
        // Joins first: somebody has to be looked for before it can be said that nobody is coming.
        this.changed();
        break;
      case 'pull':
        this.#gets.pull(message.id);
        break;
      case 'cancel':
        this.#gets.cancel(message.id);
        break;
      case 'beat':
        this.#host.post(message);
        break;
      case 'have':
        this.contents.hold(message.content);
        this.#fetches(message.content, false);
        break;
      case 'fetching':
        this.#fetches(message.content, message.active);
        break;
      case 'drop':
        this.contents.drop(message.content);
        break;
      case 'origin':
        this.#origin = message;
        break;
      case 'newest':
        this.news.newest(message);
        break;
      case 'bogus':
        this.news.bogus(message.by);
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
      void this.#environment.open(scope).then(({ store, parts }) => {
        store.makeRoom = (bytes) => askForRoom(this, bytes);
        return this.contents.open(store, parts);
      });
    }
    for (const { id, root, rows } of snapshots) this.#learn(this.#sites.add(id, root, rows));
    this.#leaveUnused();
  }

  /** A torrent has got new rows: what we hold of them can be given. */
  #learn(torrent: Torrent | undefined): void {
    if (!torrent || this.#policy.mode === 'off') return;
    let swarm = this.#swarms.get(torrent.infoHash);
    if (!swarm) this.#swarms.set(torrent.infoHash, (swarm = new Swarm(this, torrent)));
    this.contents.tell(swarm);
    this.changed();
  }

  /** The worker has begun to have a whole content from the origin, or has ended. */
  #fetches({ hash, size }: ContentId, active: boolean): void {
    const content = { hash, size };
    if (active && this.#fetching.size >= maxFetching) return;
    if (active) this.#fetching.set(nameOf(content), content);
    else if (!this.#fetching.delete(nameOf(content))) return;
    this.#tell(content, 0, size, active);
  }

  #leaveUnused(): void {
    for (const [infoHash, swarm] of this.#swarms) {
      if (this.#policy.mode !== 'off' && this.#sites.uses(infoHash)) continue;
      this.#swarms.delete(infoHash);
      this.#connector.leave(infoHash);
      swarm.close();
    }
  }

  // What its parts need of it

  swarms(): Iterable<Swarm> {
    return this.#swarms.values();
  }

  pieceLength(content: ContentId): number | undefined {
    return this.#sites.torrentOf(nameOf(content))?.pieceLength;
  }

  pieceOf(content: ContentId): number {
    return this.#sites.pieceOf(nameOf(content));
  }

  newDownload(content: ContentId, pieceLength: number, part: Part): Download {
    return new Download(this, content, pieceLength, part);
  }

  post(message: FromEngine, transfer?: Transferable[]): void {
    // What a request has brought is counted before it ends.
    if (message.type === 'end' || message.type === 'fail') this.contents.count();
    this.#post(message, transfer);
  }

  wake(): void {
    this.#host.post({ type: 'wake' });
  }

  now(): number {
    return this.#environment.now();
  }

  get prefer(): 'speed' | 'offload' {
    return this.#policy.prefer;
  }

  originMs(bytes: number): number {
    return this.#origin.latencyMs + bytes / Math.max(this.#origin.bytesPerMs, 1);
  }

  seeds(content: ContentId, elsewhere: boolean): Seed[] {
    const seeds = this.#sites.seeds(nameOf(content)).filter(({ root }) => !elsewhere || root !== this.#scope);
    return this.health.ranked(seeds, ({ root }) => root);
  }

  downloads(): Download[] {
    const { busy } = this.#gets;
    return this.contents.downloads.wanted().filter((download) => !busy || !download.background);
  }

  sources(content: ContentId): (offset: number) => Sources {
    const lanes = [...this.#swarms.values()].flatMap((swarm) => swarm.lane(content) ?? []);
    return (offset) => {
      const all = lanes.map((lane) => lane(offset));
      return {
        holders: all.flatMap(({ holders }) => holders),
        coming: all.some(({ coming }) => coming),
        kept: all.some(({ kept }) => kept),
      };
    };
  }

  seeding(content: ContentId, start: number, end: number, active: boolean): void {
    this.#seeding += active ? 1 : -1;
    this.#tell(content, start, end, active);
    if (!active) queueMicrotask(() => this.#tickDownloads());
  }

  get maySeed(): boolean {
    return this.#seeding < minTurns[this.prefer];
  }

  #tell(content: ContentId, start: number, end: number, active: boolean): void {
    for (const swarm of this.#swarms.values()) swarm.fetch(content, start, end, active);
  }

  claimMs(bytes: number): number {
    return claimMs(this.originMs(bytes), this.prefer);
  }

  /** How many peers could yet serve us: not connected yet, silent as yet, or choking us for now. */
  get strangers(): number {
    let coming = 0;
    for (const [infoHash, swarm] of this.#swarms) {
      coming += this.#connector.coming(infoHash);
      for (const peer of swarm.peers) if (!peer.told || (peer.chokes && peer.wants)) coming++;
    }
    return coming;
  }

  async layerFromPeers(content: ContentId, pieceLength: number, asked: Set<Peer>): Promise<Bytes | undefined> {
    for (const swarm of this.#swarms.values()) {
      const layer = await swarm.layer(content, pieceLength, asked);
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

  uploaded(bytes: number): void {
    this.#uploaded += bytes;
  }

  async uploading(bytes: number): Promise<void> {
    const now = this.now();
    const busy = this.#gets.busy || this.#fetching.size > 0;
    this.#uploadClockMs = uploadClock(this.#uploadClockMs, bytes, now, busy);
    const waitMs = this.#uploadClockMs - now;
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
  }

  connected(peer: Peer, connected: boolean): void {
    this.connections += connected ? 1 : -1;
    this.#post({ type: 'peer', id: peer.id, connected });
    this.#post({ type: 'status', connections: this.connections });
    // A worker that was stopped has to run to tell the pages.
    this.wake();
  }

  host(message: ToHost): void {
    this.#host.post(message);
  }

  /** Looks again at everything that may go on now; once for all changes of a moment. */
  changed(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    const restMs = this.#restedMs - this.now();
    if (restMs > 0) setTimeout(() => this.#pump(), restMs);
    else queueMicrotask(() => this.#pump());
  }

  #pump(): void {
    this.#pumping = false;
    const beganMs = this.now();
    this.#joinSwarms();
    this.#gets.look();
    if (this.#gets.busy) for (const download of this.contents.downloads) if (download.background) download.giveWay();
    for (const swarm of this.#swarms.values()) swarm.fill();
    // However much there is to look at, most of the time is left for other things.
    const nowMs = this.now();
    this.#restedMs = nowMs + Math.max(pumpGapMs, 4 * (nowMs - beganMs));
  }

  // Connections

  /** Joins the torrents of which we have, or want, something, and says how many peers would help. */
  #joinSwarms(): void {
    for (const [infoHash, swarm] of this.#swarms) {
      const { torrent } = swarm;
      const wanted =
        [...this.#gets.contents()].some((content) => torrent.get(nameOf(content))) ||
        this.contents.downloads.wanted().some(({ content }) => torrent.get(nameOf(content)));
      if (!wanted && swarm.have.count === 0) continue;
      const peers = wanted ? maxPeers : swarm.have.count < torrent.pieces ? idlePeers : 0;
      this.#connector.meet({ infoHash, ...this.#sites.meeting(infoHash), peers, progress: swarm.progress });
    }
  }

  #startTicking(): void {
    this.#timer ??= setInterval(() => this.#tick(), tickMs);
  }

  #tick(): void {
    let busy = this.#gets.any;
    for (const swarm of this.#swarms.values()) {
      swarm.tick();
      busy ||= swarm.peers.size > 0;
    }
    this.#tickDownloads();
    this.news.look();
    this.contents.count();
    if (this.#uploaded > 0) this.#post({ type: 'count', origin: 0, peers: 0, uploaded: this.#uploaded });
    this.#uploaded = 0;
    this.changed();
    if (busy) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** The most urgent first: the web seed's turns are theirs. */
  #tickDownloads(): void {
    for (const download of this.contents.downloads.wanted()) download.tick();
  }

  /** Ends everything: where the page is left or frozen, and its core runs in it. */
  close(): void {
    this.#gets.cancelAll();
    this.contents.closeAll();
    for (const swarm of this.#swarms.values()) swarm.close();
    for (const infoHash of this.#swarms.keys()) this.#connector.leave(infoHash);
    this.#port?.close();
    clearInterval(this.#timer);
  }
}

/** Starts a core in this realm. */
export function startCore(host: HostPort): void {
  const environment: Environment = {
    fetch: (url, init) => fetch(url, init),
    now: () => performance.now(),
    async sha256(data) {
      // Nodes, many at a time: not in a page's own thread.
      if (data.length <= 64 && !('document' in globalThis)) return sha256(data);
      return new Uint8Array(await crypto.subtle.digest('SHA-256', data));
    },
    createConnector,
    async open(scope) {
      const store = await openStore(scope);
      return { store, parts: openParts(store) };
    },
  };
  new Core(environment, host);
}
