/** How crowds meet: many pages, one tracker that passes offers on, and time that the test moves. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { createConnector } from './connector.ts';
import { Meeting, randomId } from './meeting.ts';
import { networkMs, pass, setUp, tearDown } from './webrtc.test.ts';

const infoHash = 'aa'.repeat(20);

interface Announcement {
  action: string;
  peer_id: string;
  event?: string;
  offers?: { offer_id: string; offer: object; to_peer_id?: string }[];
  answer?: object;
  to_peer_id?: string;
  offer_id?: string;
}

/** The tracker, at the other end of every socket. */
class World {
  readonly sockets = new Map<string, FakeSocket>();
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
    const others = [...this.sockets.keys()].filter((id) => id !== peerId).sort(() => this.random() - 0.5);
    for (const { offer, offer_id, to_peer_id } of offers) {
      const named = others.indexOf(to_peer_id!);
      const [to] = others.splice(Math.max(0, named), 1);
      if (to) this.sockets.get(to)!.receive({ offer, offer_id, peer_id: peerId });
    }
  }
}
let world: World;

class FakeSocket {
  readyState = 0;
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

/** A visitor that wants as many peers as the core does while a page loads, or none. */
class Visitor {
  /** connections that are open */
  readonly links = new Set<string>();
  /** offers made and answered so far */
  made = 0;
  readonly #meeting: Meeting;

  constructor(peers: number, last: string[]) {
    const torrent = { infoHash, trackers: ['ws://tracker.test/'], ice: [], peers };
    const joined = { ...torrent, progress: { left: 1, uploaded: 0, downloaded: 0 } };
    const connector = createConnector(
      (message) => {
        if (message.type === 'meet') this.#meeting.meet(message.torrent);
        if (message.type === 'close') this.#meeting.close(message.id);
      },
      ({ id, channel, close }) => {
        this.links.add(id);
        const closed = (): void => void (this.links.delete(id) && close());
        channel.addEventListener('close', closed);
      },
    );
    this.#meeting = new Meeting({ ...joined, peers: 0 }, randomId(), (message) => {
      if (message.type === 'channel') this.made++;
      connector.onHost(message);
    }, () => {}, () => {});
    this.#meeting.start({ peers: last, ropes: [] });
    connector.meet(joined);
  }

  /** Leaves; returns whom it was connected to. */
  leave(): string[] {
    return this.#meeting.stop().peers;
  }
}

let visitors: Visitor[] = [];

async function arrive(count: number, gapMs: number, { peers = 30, last = [] as string[] } = {}): Promise<void> {
  for (let i = 0; i < count; i++) {
    if (i > 0) await pass(gapMs);
    visitors.push(new Visitor(peers, last));
  }
}

beforeEach(() => setUp(FakeSocket, () => world.random()));
afterEach(() => {
  for (const visitor of visitors.splice(0)) visitor.leave();
  tearDown();
});

const least = (): number => Math.min(...visitors.map(({ links }) => links.size));
const most = (): number => Math.max(...visitors.map(({ links }) => links.size));
const each = (name: string, check: () => Promise<void>): void => {
  test(name, async () => {
    for (let seed = 1; seed <= 5; seed++) {
      world = new World(seed);
      await check();
      for (const visitor of visitors.splice(0)) visitor.leave();
      await pass(100);
    }
  });
};

each('two visitors who arrive together are connected within half a second', async () => {
  await arrive(2, 0);
  await pass(500);
  assert.deepEqual(visitors.map(({ links }) => links.size), [1, 1]);
});

each('a newcomer is connected within 250 ms', async () => {
  await arrive(1, 0);
  await pass(1000);
  await arrive(1, 0);
  await pass(250);
  assert.equal(least(), 1);
});

each('who comes back offers to the peers of the last page at once', async () => {
  await arrive(5, 1000);
  await pass(5000);
  const last = visitors.pop()!.leave();
  assert.equal(last.length, 4);
  await pass(100);
  await arrive(1, 0, { last });
  await pass(300);
  assert.equal(visitors.at(-1)!.links.size, 4);
  assert.ok(visitors.at(-1)!.made <= 8, 'and each of them once');
});

each('who comes back to find everybody gone is alone, and waits for others', async () => {
  await arrive(1, 0, { last: ['bb'.repeat(20), 'cc'.repeat(20)] });
  await pass(6000);
  assert.equal(visitors[0]!.made, 2);
  await arrive(1, 0);
  await pass(500);
  assert.equal(least(), 1);
});

each('eight visitors who arrive one after the other all know each other at once', async () => {
  await arrive(8, 1000, { peers: 8 });
  await pass(500);
  assert.equal(least(), 7);
  await pass(20_000);
  assert.equal(least(), 7, 'and stay together');
  assert.ok(Math.max(...visitors.map(({ made }) => made)) <= 16, 'without many connections for nothing');
});

each('sixteen visitors who arrive one after the other have eight connections or more', async () => {
  await arrive(16, 1000, { peers: 8 });
  await pass(1000);
  assert.ok(least() >= 8, `somebody has ${least()}`);
  assert.ok(most() <= 32);
});

each('eight visitors who arrive together all have five connections within 2 s', async () => {
  await arrive(8, 0);
  await pass(2000);
  assert.ok(least() >= 5, `somebody has ${least()}`);
  await pass(20_000);
  assert.ok(Math.max(...visitors.map(({ made }) => made)) <= 50);
});

each('in a larger crowd nobody is left alone', async () => {
  await arrive(24, 100);
  await pass(3000);
  assert.ok(least() >= 5, `somebody has ${least()}`);
});

each('those who leave are replaced', async () => {
  await arrive(9, 50);
  await pass(15_000);
  for (const visitor of visitors.splice(0, 4)) visitor.leave();
  await arrive(4, 50);
  await pass(3000);
  assert.ok(least() >= 5, `somebody has ${least()}`);
});

each('a visitor that wants nobody is found by those who do', async () => {
  await arrive(1, 0, { peers: 0 });
  await pass(1000);
  await arrive(1, 0, { peers: 1 });
  await pass(300);
  assert.equal(least(), 1);
});
