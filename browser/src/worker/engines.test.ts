import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FileRow } from '../shared/manifest.ts';
import type { FromEngine, ToEngine } from '../shared/messages.ts';
import { chunkBytes, chunksOutstanding } from '../shared/messages.ts';
import { Engines } from './engines.ts';
import type { Site } from './site.ts';

const present = new Set<string>();
Object.assign(globalThis, {
  self: {
    clients: { matchAll: async () => [...present].map((id) => ({ id, postMessage() {} })), get: async () => undefined },
  },
});

const row: FileRow = ['a.bin', 'a'.repeat(64), 600_000, 3];
const budget = { engineMs: 0, answerMs: 50, doneMs: 50 };
const wish = {
  ...budget,
  client: 'page',
  peersOnly: false,
  get beganMs() {
    return performance.now();
  },
};

/** The engine's end of a port, whose answers the test gives; it checks that the worker keeps to the protocol. */
class FakePort {
  onmessage: ((event: { data: FromEngine }) => void) | undefined;
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
    this.onmessage!({ data: message });
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

/** Takes a request on, with the first byte of it. */
function begin(port: FakePort, id: number): void {
  port.say({ type: 'accept', id });
  port.chunk(id, 1);
}

function setUp(): { engines: Engines; port: FakePort; site: { totals: Record<string, number> } } {
  const site = {
    scope: 'https://a.example/',
    totals: { origin: 0, peers: 0, store: 0, uploaded: 0 },
    snapshots: { current: { root: { policy: { mode: 'auto', prefer: 'speed' } } }, forEngine: () => [] },
    mayShare: () => true,
    save: async () => {},
  };
  const engines = new Engines(site as unknown as Site);
  const port = new FakePort();
  present.clear();
  present.add('page');
  engines.attach('page', port as unknown as MessagePort);
  return { engines, port, site };
}

test('an engine is configured when it comes', () => {
  const { port } = setUp();
  assert.equal(port.heard[0]?.type, 'configure');
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
  const delivery = (await engines.ask(row, { start: 0, end: 600_000 }, wish))!;
  let bytes = 0;
  for (let chunk; (chunk = await delivery.next()); ) bytes += chunk.length;
  assert.equal(bytes, 600_000);
});

test('a declined or unanswered request gives nothing, by the deadline', async () => {
  const { engines, port } = setUp();
  port.onGet = (id) => port.say({ type: 'decline', id });
  assert.equal(await engines.ask(row, { start: 0, end: 1 }, wish), undefined);
  port.onGet = () => {};
  assert.equal(await engines.ask(row, { start: 0, end: 1 }, wish), undefined);
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
    const delivery = (await engines.ask(row, { start: 0, end: 10 }, wish))!;
    await assert.rejects(async () => {
      for (let bytes = 0; bytes < 10; ) bytes += (await delivery.next())!.length;
      // Ten one-byte chunks never come: whichever test gets here would have read past the misbehaviour.
      assert.fail('all bytes were delivered');
    }, /the engine stopped/);
  });
}

test('an engine that accepts and sends nothing is given up by the deadline', async () => {
  const { engines, port } = setUp();
  port.onGet = (id) => port.say({ type: 'accept', id });
  assert.equal(await engines.ask(row, { start: 0, end: 10 }, wish), undefined);
  assert.equal(port.heard.at(-1)?.type, 'cancel');
});

test('an engine that leaves fails what it was delivering', async () => {
  const { engines, port } = setUp();
  port.onGet = (id) => begin(port, id);
  const delivery = (await engines.ask(row, { start: 0, end: 10 }, wish))!;
  await delivery.next();
  engines.detach('page');
  await assert.rejects(delivery.next(), /the engine stopped/);
  assert.ok(port.closed);
  assert.equal(await engines.ask(row, { start: 0, end: 10 }, wish), undefined);
});

test('an engine whose page is no longer there is not asked', async () => {
  const { engines, port } = setUp();
  present.clear();
  assert.equal(await engines.ask(row, { start: 0, end: 10 }, wish), undefined);
  assert.ok(!port.heard.some(({ type }) => type === 'get'));
});

test('a request may wait for an engine to appear', async () => {
  const { engines, port } = setUp();
  engines.detach('page');
  const late = new FakePort();
  late.onGet = (id) => begin(late, id);
  const asked = engines.ask(row, { start: 0, end: 10 }, { ...wish, engineMs: 5000, answerMs: 5000, doneMs: 5000 });
  setImmediate(() => engines.attach('page', late as unknown as MessagePort));
  assert.ok(await asked);
  assert.ok(port.closed);
});

test('what was waited for an engine is taken off what it has itself', async () => {
  const { engines } = setUp();
  engines.detach('page');
  const mute = new FakePort();
  // The request began a second ago: of two, one is left.
  const late = { ...wish, engineMs: 1500, answerMs: 1020, doneMs: 2000, beganMs: performance.now() - 1000 };
  const asked = engines.ask(row, { start: 0, end: 10 }, late);
  setImmediate(() => engines.attach('page', mute as unknown as MessagePort));
  assert.equal(await asked, undefined);
  const [get] = mute.heard.filter((message) => message.type === 'get');
  assert.ok(get!.deadlineMs <= 1000, `${get!.deadlineMs} ms`);
  assert.ok(performance.now() - late.beganMs < 2000);
});

test('counts add up, whatever is said', () => {
  const { port, site } = setUp();
  port.say({ type: 'count', origin: 1, peers: 2, uploaded: 3 });
  port.say({ type: 'count', origin: NaN, peers: '5' as unknown as number, uploaded: undefined as unknown as number });
  assert.deepEqual(site.totals, { origin: 1, peers: 7, store: 0, uploaded: 3 });
});
