/** How crowds meet: many connectors, one tracker that passes offers to anybody, and time that the test moves. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { createConnector } from './connector.ts';
import type { FromHost, ToHost } from './rtc.ts';

const infoHash = 'aa'.repeat(20);
/** what a browser needs to gather candidates, and two of them to connect */
const gatherMs = 200;
const connectMs = 150;
const networkMs = 20;
const sdpOf = (id: string): string =>
  [
    'v=0',
    `o=- ${id}`,
    'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
    'a=candidate:1 1 udp 1 10.0.0.1 9 typ host',
    '',
  ].join('\r\n');
const idOf = (sdp: string): string => /^o=- (\w+)/m.exec(sdp)![1]!;

interface Announcement {
  action: string;
  peer_id: string;
  event?: string;
  offers?: { offer_id: string; offer: object }[];
  answer?: object;
  to_peer_id?: string;
  offer_id?: string;
}

/** The tracker, at the other end of every socket. */
class World {
  readonly sockets = new Map<string, FakeSocket>();
  readonly channels = new Map<string, FakeChannel>();
  #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
  }

  random(): number {
    this.#seed = (Math.imul(this.#seed, 1664525) + 1013904223) >>> 0;
    return this.#seed / 2 ** 32;
  }

  hear(from: FakeSocket, message: Announcement): void {
    const { peer_id: peerId, event, offers = [] } = message;
    if (message.answer) {
      const { answer, offer_id } = message;
      this.sockets.get(message.to_peer_id!)?.receive({ answer, offer_id, peer_id: peerId });
      return;
    }
    if (event === 'stopped') {
      this.sockets.delete(peerId);
      return;
    }
    this.sockets.set(peerId, from);
    from.receive({ interval: 120, complete: 0, incomplete: this.sockets.size });
    const others = [...this.sockets].filter(([id]) => id !== peerId).sort(() => this.random() - 0.5);
    offers.forEach(({ offer, offer_id }, i) => others[i]?.[1].receive({ offer, offer_id, peer_id: peerId }));
  }
}
let world: World;

class FakeSocket {
  readyState = 0;
  bufferedAmount = 0;
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  constructor() {
    setTimeout(() => {
      this.readyState = 1;
      this.onopen?.();
    }, networkMs);
  }
  send(text: string): void {
    setTimeout(() => world.hear(this, JSON.parse(text) as Announcement), networkMs);
  }
  close(): void {
    this.readyState = 3;
  }
  receive(message: Record<string, unknown>): void {
    const info_hash = '\xaa'.repeat(20);
    const data = JSON.stringify({ action: 'announce', info_hash, ...message });
    setTimeout(() => this.onmessage?.({ data }), networkMs);
  }
}

/** A channel; `other` is its far end, and `arrive` hands it to its connector. */
class FakeChannel extends EventTarget {
  readyState = 'connecting';
  binaryType = 'blob';
  other: FakeChannel | undefined;
  readonly arrive: () => void;
  constructor(arrive: (channel: FakeChannel) => void) {
    super();
    this.arrive = () => arrive(this);
  }
  open(): void {
    this.readyState = 'open';
    this.dispatchEvent(new Event('open'));
  }
  close(): void {
    if (this.readyState === 'closed') return;
    this.readyState = 'closed';
    setTimeout(() => this.other?.fail(), networkMs);
  }
  fail(): void {
    if (this.readyState === 'closed') return;
    this.readyState = 'closed';
    this.dispatchEvent(new Event('close'));
  }
}

/** A visitor that wants as many peers as the core does while a page loads. */
class Visitor {
  readonly peers = new Set<string>();
  /** RTCPeerConnections made so far */
  made = 0;
  readonly #connector: ReturnType<typeof createConnector>;
  #open = 0;

  constructor() {
    this.#connector = createConnector(
      (message) => this.#host(message),
      ({ peerId, channel }) => {
        assert.ok(!this.peers.has(peerId), 'two connections with one peer');
        this.peers.add(peerId);
        this.#open++;
        this.#want();
        channel.addEventListener('close', () => {
          this.peers.delete(peerId);
          this.#open--;
          this.#want();
        }, { once: true });
      },
    );
    const progress = () => ({ left: 1, uploaded: 0, downloaded: 0 });
    this.#connector.join({ infoHash, trackers: ['ws://tracker.test/'], ice: [], progress });
    this.#want();
  }

  leave(): void {
    this.#connector.close();
  }

  #want(): void {
    this.#connector.want(infoHash, Math.min(8, 30 - this.#open));
  }

  /** The page's part: descriptions name their connection, and an answer brings its two channels together. */
  #host(message: ToHost): void {
    const { channels } = world;
    if (message.type === 'ready') return;
    const { id, type } = message;
    const tell = (answer: FromHost): void => this.#connector.onHost(answer);
    if (type === 'close') {
      channels.get(id)?.close();
    } else if (type === 'answered') {
      const ours = channels.get(id)!;
      const theirs = channels.get(idOf(message.sdp))!;
      [ours.other, theirs.other] = [theirs, ours];
      setTimeout(() => {
        if (ours.readyState !== 'connecting' || theirs.readyState !== 'connecting') return;
        ours.open();
        theirs.open();
        theirs.arrive(); // only now, as by RTCPeerConnection's datachannel event
      }, connectMs);
    } else {
      this.made++;
      const channel = new FakeChannel((its) => {
        tell({ type: 'channel', id, channel: its as unknown as RTCDataChannel });
      });
      channels.set(id, channel);
      if (type === 'offer') channel.arrive();
      setTimeout(() => tell({ type: type === 'offer' ? 'offer' : 'answer', id, sdp: sdpOf(id) }), gatherMs);
    }
  }
}

let visitors: Visitor[] = [];

/** Time passes. In small steps, since a timer that is set by a timer counts from the end of the step. */
function pass(ms: number): void {
  for (let at = 0; at < ms; at += 10) mock.timers.tick(10);
}

function arrive(count: number, gapMs: number): void {
  for (let i = 0; i < count; i++) {
    if (i > 0) pass(gapMs);
    visitors.push(new Visitor());
  }
}

beforeEach(() => {
  Object.assign(globalThis, { WebSocket: FakeSocket });
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  mock.method(Math, 'random', () => world.random());
});
afterEach(() => {
  for (const visitor of visitors) visitor.leave();
  visitors = [];
  mock.timers.reset();
  mock.restoreAll();
});

const least = (): number => Math.min(...visitors.map(({ peers }) => peers.size));
const each = (name: string, check: () => void): void => {
  test(name, () => {
    for (let seed = 1; seed <= 10; seed++) {
      world = new World(seed);
      check();
      for (const visitor of visitors.splice(0)) visitor.leave();
      pass(100);
    }
  });
};

each('two visitors who arrive together are connected within a second', () => {
  arrive(2, 0);
  pass(1000);
  assert.deepEqual(visitors.map(({ peers }) => peers.size), [1, 1]);
});

each('eight visitors who arrive one after the other all know each other at once', () => {
  arrive(8, 700);
  pass(1000);
  assert.equal(least(), 7);
  pass(60_000);
  assert.equal(least(), 7, 'and stay together');
  assert.ok(Math.max(...visitors.map(({ made }) => made)) <= 16, 'without many connections for nothing');
});

each('eight visitors who arrive together all have five connections within 3 s', () => {
  arrive(8, 0);
  pass(3000);
  assert.ok(least() >= 5, `somebody has ${least()}`);
  pass(60_000);
  assert.ok(Math.max(...visitors.map(({ made }) => made)) <= 50);
});

each('in a larger crowd nobody is left alone', () => {
  arrive(24, 100);
  pass(3000);
  assert.ok(least() >= 5, `somebody has ${least()}`);
});

each('those who leave are replaced', () => {
  arrive(9, 50);
  pass(15_000);
  for (const visitor of visitors.splice(0, 4)) visitor.leave();
  arrive(4, 50);
  pass(3000);
  assert.ok(least() >= 5, `somebody has ${least()}`);
});
