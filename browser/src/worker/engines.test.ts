import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import type { FileRow } from '../shared/manifest.ts';
import type { FromEngine, ToEngine } from '../shared/messages.ts';
import { chunkBytes, chunksOutstanding } from '../shared/messages.ts';
import { Engines } from './engines.ts';
import type { Wish } from './engines.ts';
import type { Site } from './site.ts';

const present = new Set<string>();
Object.assign(globalThis, {
  self: {
    clients: { matchAll: async () => [...present].map((id) => ({ id, postMessage() {} })), get: async () => undefined },
  },
});

const row: FileRow = ['a.bin', 'a'.repeat(64), 600_000, 3];
/** As long as a test, but for those that say otherwise. */
const wish = (change: Partial<Wish> = {}): Wish => ({
  client: 'page',
  peersOnly: false,
  engineByMs: Infinity,
  dueMs: () => 1000,
  until: new AbortController().signal,
  ...change,
});

/** The engine's end of a port, whose answers the test gives; it checks that the worker keeps to the protocol. */
class FakePort {
  onmessage: ((event: { data: FromEngine; ports: MessagePort[] }) => void) | undefined;
  readonly heard: ToEngine[] = [];
  credit = 0;
  closed = false;
  onGet: (id: number, message: Extract<ToEngine, { type: 'get' }>) => void = () => {};

  postMessage(message: ToEngine): void {
    assert.equal(this.closed, false, 'posted to a closed port');
    this.heard.push(message);
    if (message.type === 'pull') this.credit++;
    if (message.type === 'get') {
      this.credit = chunksOutstanding;
      queueMicrotask(() => this.onGet(message.id, message));
    }
  }
  say(message: FromEngine): void {
    this.onmessage!({ data: message, ports: [] });
  }
  chunk(id: number, size: number): void {
    this.credit--;
    this.say({ type: 'chunk', id, data: new ArrayBuffer(size) });
  }
  addEventListener(): void {}
  close(): void {
    this.closed = true;
  }
}

/** Gives the worker the ports of a page's engine; what comes back says that the engine is gone. */
function attach(engines: Engines, port: FakePort): (leaves: boolean) => void {
  const bye = {} as MessagePort;
  engines.attach('page', port as unknown as MessagePort, bye);
  return (data) => bye.onmessage!({ data } as MessageEvent);
}

/** Takes a request on, with the first byte of it. */
function begin(port: FakePort, id: number): void {
  port.say({ type: 'accept', id });
  port.chunk(id, 1);
}

let opened: Engines | undefined;

/** What engines have said of releases. */
let heard: unknown[] = [];
const newest: ToEngine = { type: 'newest', snapshot: 'a'.repeat(64), sequence: 0, root: new ArrayBuffer(0), above: Infinity };

function setUp(): { engines: Engines; port: FakePort; leave: (leaves: boolean) => void; site: { totals: Record<string, number> } } {
  heard = [];
  const site = {
    scope: 'https://a.example/',
    totals: { origin: 0, peers: 0, store: 0, uploaded: 0 },
    clients: new Map(),
    snapshots: { current: { root: { policy: { mode: 'auto', prefer: 'speed' } } }, forEngine: () => [] },
    mayShare: () => true,
    turns: { look() {}, fetching: () => [{ hash: row[1], size: row[2], piece: row[3] }] },
    releases: {
      introduce: async (tell: (message: ToEngine) => void) => tell(newest),
      heard: (message: unknown) => void heard.push(message),
    },
    save: async () => {},
    counted() {},
  };
  const engines = (opened = new Engines(site as unknown as Site));
  Object.assign(site, { engines });
  const port = new FakePort();
  present.clear();
  present.add('page');
  return { engines, port, leave: attach(engines, port), site };
}

afterEach(() => opened?.close());

test('an engine is configured when it comes, and told what is being fetched, and of the newest release', () => {
  const { port } = setUp();
  assert.deepEqual(port.heard.map(({ type }) => type), ['configure', 'fetching', 'newest']);
  const release: FromEngine = { type: 'release', snapshot: 'b'.repeat(64), from: 'peer', by: 'cc' };
  port.say(release);
  assert.deepEqual(heard, [release]);
});

test('chunks arrive in order, each acknowledged by a pull', async () => {
  const { engines, port } = setUp();
  port.onGet = (id) => {
    port.say({ type: 'accept', id });
    port.chunk(id, chunkBytes);
    port.chunk(id, chunkBytes);
    port.chunk(id, 600_000 - 2 * chunkBytes);
    port.say({ type: 'end', id });
  };
  const delivery = (await engines.ask(row, { start: 0, end: 600_000 }, wish()))!;
  let bytes = 0;
  for (let chunk; (chunk = await delivery.next()); ) bytes += chunk.length;
  assert.equal(bytes, 600_000);
});

test('a page that does not read on keeps no engine busy', async () => {
  const { engines, port } = setUp();
  assert.equal(engines.busy, false);
  port.onGet = (id) => {
    assert.equal(engines.busy, true);
    port.say({ type: 'accept', id });
    // The first is taken at once.
    for (let i = 0; i <= chunksOutstanding; i++) setImmediate(() => port.chunk(id, 10));
  };
  const delivery = (await engines.ask(row, { start: 0, end: 600_000 }, wish()))!;
  while (port.credit) await new Promise(setImmediate);
  assert.equal(engines.busy, false);
  for (let i = 0; i < 2; i++) await delivery.next();
  assert.equal(engines.busy, true);
  delivery.cancel();
  assert.equal(engines.busy, false);
});

test('a request stands until it has waited long enough', async () => {
  const { engines, port } = setUp();
  const until = new AbortController();
  const news: unknown[] = [];
  port.onGet = (id) => {
    port.say({ type: 'expect', id, soon: true });
    until.abort();
  };
  const hear = (what: unknown): void => void news.push(what);
  assert.equal(await engines.ask(row, { start: 0, end: 1 }, wish({ until: until.signal, hear })), undefined);
  assert.equal(port.heard.at(-1)?.type, 'cancel');
  assert.deepEqual(news, [true]);
});

test('a declined request asks again when there is news of peers', async () => {
  const { engines, port } = setUp();
  const news: unknown[] = [];
  port.onGet = (id) => {
    port.say({ type: 'decline', id });
    port.onGet = (again) => begin(port, again);
    setImmediate(() => port.say({ type: 'status', connections: 1 }));
  };
  assert.ok(await engines.ask(row, { start: 0, end: 10 }, wish({ hear: (what) => void news.push(what) })));
  assert.deepEqual(news, [false, 'accept']);
});

test('in an outage a decline is the end', async () => {
  const { engines, port } = setUp();
  port.onGet = (id) => port.say({ type: 'decline', id });
  assert.equal(await engines.ask(row, { start: 0, end: 1 }, wish({ peersOnly: true })), undefined);
});

test('an engine that has accepted goes on when others would have waited long enough', async () => {
  const { engines, port } = setUp();
  const until = new AbortController();
  port.onGet = (id) => {
    port.say({ type: 'accept', id });
    setImmediate(() => {
      until.abort();
      port.chunk(id, 1);
    });
  };
  assert.ok(await engines.ask(row, { start: 0, end: 10 }, wish({ until: until.signal })));
});

test('a request that nobody wants any more is cancelled', async () => {
  const { engines, port } = setUp();
  const gone = new AbortController();
  port.onGet = (id) => begin(port, id);
  const delivery = (await engines.ask(row, { start: 0, end: 10 }, wish({ signal: gone.signal })))!;
  await delivery.next();
  gone.abort();
  await assert.rejects(delivery.next(), /stopped/);
  assert.equal(port.heard.at(-1)?.type, 'cancel');
});

for (const [what, misbehave] of [
  ['more bytes than were asked for', (port, id) => port.chunk(id, 11)],
  ['an end before the bytes', (port, id) => port.say({ type: 'end', id })],
  ['a chunk that is no buffer', (port, id) => port.say({ type: 'chunk', id, data: 'x' as unknown as ArrayBuffer })],
  ['more than the credit allows', (port, id) => {
    for (let i = 0; i <= chunksOutstanding; i++) port.say({ type: 'chunk', id, data: new ArrayBuffer(1) });
  }],
  ['failure', (port, id) => port.say({ type: 'fail', id })],
] as [string, (port: FakePort, id: number) => void][]) {
  test(`${what} ends a delivery with an error`, async () => {
    const { engines, port } = setUp();
    port.onGet = (id) => {
      port.say({ type: 'accept', id });
      port.chunk(id, 1);
      setImmediate(() => misbehave(port, id));
    };
    const delivery = (await engines.ask(row, { start: 0, end: 10 }, wish({ engineByMs: 0 })))!;
    await assert.rejects(async () => {
      for (let bytes = 0; bytes < 10; ) bytes += (await delivery.next())!.length;
      // Ten one-byte chunks never come: whichever test gets here would have read past the misbehaviour.
      assert.fail('all bytes were delivered');
    }, /stopped/);
  });
}

test('an engine that leaves fails what it was delivering', async () => {
  const { engines, port } = setUp();
  port.onGet = (id) => begin(port, id);
  const delivery = (await engines.ask(row, { start: 0, end: 10 }, wish({ engineByMs: 0 })))!;
  await delivery.next();
  engines.detach('page');
  await assert.rejects(delivery.next(), /stopped/);
  assert.ok(port.closed);
  assert.equal(await engines.ask(row, { start: 0, end: 10 }, wish({ engineByMs: 0 })), undefined);
});

test('what an engine was giving fails as soon as its page says that it leaves', async () => {
  const { engines, port, leave } = setUp();
  port.onGet = (id) => begin(port, id);
  const delivery = (await engines.ask(row, { start: 0, end: 10 }, wish()))!;
  await delivery.next();
  leave(true);
  await assert.rejects(delivery.next(), /stopped/);
  assert.equal(engines.size, 0);
  const next = new FakePort();
  attach(engines, next);
  leave(true);
  assert.deepEqual([engines.size, next.closed], [1, false], 'said of the former one');
});

test('an engine whose page is no longer there is not asked', async () => {
  const { engines, port } = setUp();
  present.clear();
  assert.equal(await engines.ask(row, { start: 0, end: 10 }, wish({ engineByMs: 0 })), undefined);
  assert.ok(!port.heard.some(({ type }) => type === 'get'));
});

test('a request may wait for an engine to appear', async () => {
  const { engines, port } = setUp();
  engines.detach('page');
  const late = new FakePort();
  late.onGet = (id) => begin(late, id);
  const asked = engines.ask(row, { start: 0, end: 10 }, wish());
  setImmediate(() => attach(engines, late));
  assert.ok(await asked);
  assert.ok(port.closed);
});

for (const [how, makeRoom] of [
  ['makes some', async () => {}],
  ['cannot', async () => Promise.reject(new Error('no store'))],
] as const) {
  test(`an engine that has no room is answered once the keeper ${how}`, async () => {
    const { port, site } = setUp();
    const asked: number[] = [];
    Object.assign(site, { store: { makeRoom: (bytes: number) => makeRoom().finally(() => asked.push(bytes)) } });
    const { port1, port2 } = new MessageChannel();
    const answered = new Promise((resolve) => (port1.onmessage = resolve));
    port.onmessage!({ data: { type: 'room', bytes: 7 }, ports: [port2] });
    await answered;
    assert.deepEqual(asked, [7]);
    port1.close();
  });
}

test('counts add up, whatever is said', () => {
  const { port, site } = setUp();
  port.say({ type: 'count', origin: 1, peers: 2, uploaded: 3 });
  port.say({ type: 'count', origin: NaN, peers: '5' as unknown as number, uploaded: undefined as unknown as number });
  assert.deepEqual(site.totals, { origin: 1, peers: 7, store: 0, uploaded: 3 });
});
