/**
 * What the engine's tests share: cores joined by data channels that police their use, a site made of bytes, and a
 * worker that speaks the port's protocol. (A test file by name alone, so that no build takes it up.)
 */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { rootOf, type Sha256 } from '../shared/merkle.ts';
import type { EngineSnapshot, FromEngine, Heard, ToEngine } from '../shared/messages.ts';
import { chunkBytes, chunksOutstanding, protocol } from '../shared/messages.ts';
import type { Content, FileRow, Policy, Root } from '../shared/manifest.ts';
import type { Bytes } from '../shared/wire.ts';
import { openParts } from '../store/part.ts';
import { Store } from '../store/store.ts';
import { put } from '../store/writer.ts';
import { Core } from './core.ts';
import type { FromHost, Link, OnLink } from './rtc.ts';
import { Tree } from './tree.ts';

export const sha256: Sha256 = async (data) => new Uint8Array(createHash('sha256').update(data).digest());

export const infoHash = 'a1'.repeat(20);
export const scope = 'https://site.test/';

/** `size` bytes that differ by `seed` and from block to block. */
export function noise(size: number, seed: number): Bytes {
  const data = new Uint8Array(size);
  let state = (seed * 2654435761 + 1) >>> 0;
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[i] = state >>> 24;
  }
  return data;
}

export interface File {
  path: string;
  data: Bytes;
  content: Content;
}

export interface Site {
  files: File[];
  snapshot: EngineSnapshot;
}

export async function makeSite(
  datas: Bytes[],
  { pieceLength = 32768, hash = infoHash, copies = true, policy = { mode: 'auto', prefer: 'speed' } as Policy } = {},
): Promise<Site> {
  const files: File[] = [];
  let piece = 0;
  for (const [i, data] of datas.entries()) {
    files.push({ path: `f${i} é.bin`, data, content: { hash: await rootOf(sha256, data), size: data.length, piece } });
    piece += Math.ceil(data.length / pieceLength);
  }
  const rows: FileRow[] = files.map(({ path, content }) => [path, content.hash, content.size, content.piece]);
  const root: Root = {
    format: 1,
    snapshot: '5'.repeat(64),
    policy,
    trackers: ['/planktos/tracker'],
    ice: [],
    webSeeds: [],
    torrent: { infoHash: hash, infoHashV2: 'b2'.repeat(32), pieceLength, pieces: piece },
    copies,
    types: [],
    headers: [],
    files: rows,
  };
  return { files, snapshot: { id: root.snapshot, root, rows } };
}

/** The content's piece layer, as the origin has it. */
export async function layerOf(data: Bytes, pieceLength: number): Promise<Bytes> {
  const tree = new Tree(sha256);
  const parts: Uint8Array[] = [];
  for (let at = 0; at < data.length; at += pieceLength) {
    parts.push(await tree.pieceRoot(data.subarray(at, at + pieceLength), pieceLength));
  }
  return new Uint8Array(Buffer.concat(parts));
}

/** An end of a data channel: ordered, whole messages, `bufferedAmount` until delivery. It refuses what browsers do. */
export class FakeChannel {
  other: FakeChannel | undefined;
  readyState: RTCDataChannelState = 'open';
  binaryType = 'blob';
  bufferedAmountLowThreshold = 0;
  bufferedAmount = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  onerror: (() => void) | null = null;
  onbufferedamountlow: (() => void) | null = null;
  /** nothing is delivered while true */
  frozen = false;
  /** sees, and may exchange, what this end sends */
  tap: ((data: Bytes) => Bytes) | undefined;
  #queue: Bytes[] = [];

  send(data: ArrayBufferView<ArrayBuffer>): void {
    if (this.readyState !== 'open') throw new Error('InvalidStateError');
    assert.ok(data.byteLength > 0 && data.byteLength <= 65536, `message of ${data.byteLength} bytes`);
    const copy = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
    this.bufferedAmount += copy.length;
    assert.ok(this.bufferedAmount < 16 << 20, 'sends on without looking at bufferedAmount');
    this.#queue.push(this.tap ? this.tap(copy) : copy);
    if (this.#queue.length === 1) setImmediate(() => this.#deliver());
  }

  thaw(): void {
    this.frozen = false;
    this.#deliver();
  }

  #deliver(): void {
    const data = this.frozen ? undefined : this.#queue.shift();
    if (!data) return;
    const above = this.bufferedAmount > this.bufferedAmountLowThreshold;
    this.bufferedAmount -= data.length;
    if (this.readyState === 'open' && this.other?.readyState === 'open') {
      assert.equal(this.other.binaryType, 'arraybuffer');
      this.other.onmessage?.({ data: data.buffer });
    }
    if (above && this.bufferedAmount <= this.bufferedAmountLowThreshold) this.onbufferedamountlow?.();
    if (this.#queue.length > 0) setImmediate(() => this.#deliver());
  }

  close(): void {
    if (this.readyState === 'closed') return;
    this.readyState = 'closed';
    const { other } = this;
    setImmediate(() => {
      if (other && other.readyState !== 'closed') {
        other.readyState = 'closed';
        other.onclose?.();
      }
    });
  }
}

export function channelPair(): [FakeChannel, FakeChannel] {
  const [a, b] = [new FakeChannel(), new FakeChannel()];
  a.other = b;
  b.other = a;
  return [a, b];
}

export function asLink(channel: FakeChannel, id: string, hash = infoHash): Link {
  return {
    id,
    infoHash: hash,
    channel: channel as unknown as RTCDataChannel,
    close: () => channel.close(),
  };
}

/** What a `get` has come to. */
export interface Got {
  verdict: 'accept' | 'decline';
  outcome: 'end' | 'fail' | undefined;
  data: Bytes;
}

/** A core with its worker and connector played by the test. */
export class Visitor {
  readonly core: Core;
  readonly store: Store;
  readonly counts = { origin: 0, peers: 0, uploaded: 0 };
  readonly stored: string[] = [];
  readonly releases: Heard[] = [];
  readonly peers = new Map<string, boolean>();
  readonly wants = new Map<string, number>();
  /** what the engine has told of standing requests, by id: whether to leave the content to others */
  readonly expects = new Map<number, boolean>();
  readonly fetched: { url: string; range: string | null }[] = [];
  known = 0;
  /** added to the core's clock, */
  skewMs = 0;
  /** which goes so much faster than the test's */
  clockRate = 1;
  connections = 0;
  /** what it has said to the page, by its types */
  readonly toHost: string[] = [];
  /** chunks are consumed as they come; false leaves them outstanding */
  consume = true;
  /** what the worker does for room: nothing */
  makeRoom: (bytes: number) => Promise<void> = async () => {};
  fetch: (url: string, init: RequestInit) => Promise<Response> = async () => new Response(null, { status: 404 });
  onLink: OnLink | undefined;
  port!: MessagePort;
  readonly #listen: (message: FromHost) => void;
  readonly #gets = new Map<number, { chunks: Bytes[]; verdict?: Got['verdict']; settle: (got: Got) => void }>();
  readonly #watchers = new Set<() => void>();
  #nextId = 1;

  constructor(store = new Store()) {
    let listen: ((message: FromHost) => void) | undefined;
    this.store = store;
    this.core = new Core(
      {
        fetch: (url, init) => {
          this.fetched.push({ url, range: new Headers(init.headers).get('Range') });
          return this.fetch(url, init);
        },
        now: () => performance.now() * this.clockRate + this.skewMs,
        sha256,
        open: async () => ({ store, parts: openParts(store) }),
        createConnector: (_post, onLink) => {
          this.onLink = onLink;
          return {
            meet: ({ infoHash: hash, peers }) => {
              assert.ok(peers >= 0 && peers <= 30, `wants ${peers} peers`);
              this.wants.set(hash, peers);
            },
            leave: (hash) => void this.wants.delete(hash),
            coming: () => this.known,
            onHost: () => {},
          };
        },
      },
      {
        peerId: randomBytes(20).toString('hex'),
        post: ({ type }) => void this.toHost.push(type),
        listen: (handler) => (listen = handler),
      },
    );
    this.#listen = listen!;
    this.reconnect();
  }

  /** Hands the core a port, as a worker that was started anew does. */
  reconnect(): void {
    (this.port as MessagePort | undefined)?.close();
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    port1.onmessage = (event) => {
      const [reply] = event.ports;
      if (reply) void this.makeRoom((event.data as { bytes: number }).bytes).then(() => reply.postMessage(undefined));
      this.#receive(event.data as FromEngine);
    };
    this.#listen({ type: 'port', port: port2 as unknown as globalThis.MessagePort } as FromHost);
  }

  /** What the page says. */
  host(message: FromHost): void {
    this.#listen(message);
  }

  post(message: ToEngine): void {
    this.port.postMessage(message);
  }

  /** Configures the core, with these files in the store. */
  async begin(site: Site, held: File[] = [], policy: Policy = site.snapshot.root.policy): Promise<this> {
    for (const { content, data } of held) await put(this.store, content, data);
    this.post({ type: 'configure', protocol, scope, policy, snapshots: [site.snapshot] });
    // A request outside any content is declined as soon as the store is open, and before it.
    return this;
  }

  get(file: File, options: Partial<Extract<ToEngine, { type: 'get' }>> = {}): { id: number; got: Promise<Got> } {
    const id = this.#nextId++;
    const { content, path } = file;
    const got = new Promise<Got>((settle) => this.#gets.set(id, { chunks: [], settle }));
    const basic = { content, path, start: 0, end: content.size, deadlineMs: 5000, peersOnly: false, background: false };
    this.post({ type: 'get', id, ...basic, ...options });
    return { id, got };
  }

  chunks(id: number): number {
    return this.#gets.get(id)?.chunks.length ?? 0;
  }

  /** What a request has come to so far. */
  verdict(id: number): Got['verdict'] | undefined {
    return this.#gets.get(id)?.verdict;
  }

  /** Resolves at the engine's next message, or soon. */
  next(): Promise<void> {
    return new Promise<void>((resolve) => {
      const watchers = this.#watchers;
      const timer = setTimeout(woken, 20);
      function woken(): void {
        clearTimeout(timer);
        watchers.delete(woken);
        resolve();
      }
      watchers.add(woken);
    });
  }

  /** Resolves when the condition holds, looked at after every message of the engine and timer of the test. */
  async until(condition: () => boolean): Promise<void> {
    const deadline = performance.now() + 30_000;
    while (!condition()) {
      assert.ok(performance.now() < deadline, `waited in vain for ${condition}`);
      await this.next();
    }
  }

  close(): void {
    this.core.close();
    this.port.close();
  }

  #receive(message: FromEngine): void {
    const get = 'id' in message && message.type !== 'peer' ? this.#gets.get(message.id) : undefined;
    switch (message.type) {
      case 'accept':
        assert.equal(get?.verdict, undefined);
        get!.verdict = 'accept';
        break;
      case 'expect':
        assert.equal(get?.verdict, undefined);
        assert.notEqual(this.expects.get(message.id), message.soon, 'told twice');
        this.expects.set(message.id, message.soon);
        break;
      case 'decline':
        assert.equal(get?.verdict, undefined);
        get!.settle({ verdict: 'decline', outcome: undefined, data: new Uint8Array(0) });
        break;
      case 'chunk':
        assert.equal(get?.verdict, 'accept');
        assert.ok(message.data.byteLength > 0 && message.data.byteLength <= chunkBytes);
        get!.chunks.push(new Uint8Array(message.data));
        if (this.consume) this.post({ type: 'pull', id: message.id });
        else assert.ok(get!.chunks.length <= chunksOutstanding, 'more chunks than credit');
        break;
      case 'end':
      case 'fail':
        assert.equal(get?.verdict, 'accept');
        get!.settle({ verdict: 'accept', outcome: message.type, data: new Uint8Array(Buffer.concat(get!.chunks)) });
        break;
      case 'count':
        for (const key of ['origin', 'peers', 'uploaded'] as const) this.counts[key] += message[key];
        break;
      case 'stored':
        this.stored.push(message.content.hash);
        break;
      case 'status':
        this.connections = message.connections;
        break;
      case 'peer':
        this.peers.set(message.id, message.connected);
        break;
      case 'release':
        this.releases.push(message);
        break;
      case 'beat':
      case 'room':
        break;
      default:
        message satisfies never;
    }
    for (const woken of [...this.#watchers]) woken();
  }
}

let links = 0;

/** Connects two visitors; returns their ends. */
export function connect(a: Visitor, b: Visitor, hash = infoHash): [FakeChannel, FakeChannel] {
  const [left, right] = channelPair();
  const id = (++links).toString(16).padStart(40, '0');
  a.onLink!(asLink(left, id, hash));
  b.onLink!(asLink(right, id, hash));
  return [left, right];
}

/** A web server with the site on it. */
export function origin(
  site: Site,
  pieceLength: number,
  { ranges = true, lies = [] as string[] } = {},
): (url: string, init: RequestInit) => Promise<Response> {
  return async (url, init) => {
    init.signal?.throwIfAborted();
    const name = decodeURIComponent(url.slice(scope.length));
    const file = site.files.find(({ path, content }) => path === name || name === `planktos/${content.hash}`);
    const layered = site.files.find(({ content }) => name === `planktos/${content.hash}.layer`);
    let data = file?.data ?? (layered && (await layerOf(layered.data, pieceLength)));
    if (!data) return new Response('no', { status: 404 });
    if (lies.includes(name)) data = data.map((byte) => byte ^ 1);
    const range = /^bytes=(\d+)-(\d+)$/.exec(new Headers(init.headers).get('Range') ?? '');
    if (!range || !ranges) return new Response(data);
    const [start, end] = [Number(range[1]), Number(range[2]) + 1];
    const headers = { 'Content-Range': `bytes ${start}-${end - 1}/${data.length}` };
    return new Response(data.slice(start, end), { status: 206, headers });
  };
}

