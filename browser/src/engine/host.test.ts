import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { protocol, type FromEngine, type ToEngine } from '../shared/messages.ts';
import { startHost } from './host.ts';
import { remember } from './memory.ts';
import type { FromHost, Joined, ToHost } from './rtc.ts';
import { FakePeerConnection, pass, setUp, tearDown } from './webrtc.test.ts';

const script = 'https://site.test/planktos/engine.min.js';
const progress = { left: 1, uploaded: 0, downloaded: 0 };
const torrent: Joined = { infoHash: 'aa'.repeat(20), trackers: ['ws://tracker.test/'], ice: [], peers: 8, progress };

class FakeWorker {
  static last: FakeWorker | undefined;
  static forbidden = false;
  onmessage: ((event: { data: ToHost }) => void) | null = null;
  onerror: ((event: Event) => void) | null = null;
  posted: FromHost[] = [];
  terminated = false;
  readonly name: string;
  constructor(url: string, { name }: { name: string }) {
    if (FakeWorker.forbidden) throw new DOMException('', 'SecurityError');
    assert.equal(url, script);
    this.name = name;
    FakeWorker.last = this;
  }
  postMessage(message: FromHost): void {
    assert.equal(this.terminated, false);
    this.posted.push(message);
  }
  terminate(): void {
    this.terminated = true;
  }
}

class FakeSocket {
  static all: FakeSocket[] = [];
  readyState = 0;
  constructor() {
    FakeSocket.all.push(this);
  }
  send(): void {}
  close(): void {
    this.readyState = 3;
  }
}

let stored: Map<string, string>;
let ports: MessagePort[];
let wakes = 0;
const start = () =>
  startHost({
    script,
    connect: (port) => void ports.push(port as MessagePort),
    wake: () => void wakes++,
    heard: () => {},
  });
const open = (): FakeSocket[] => FakeSocket.all.filter(({ readyState }) => readyState !== 3);

/** Asks what is at the other end of a port whether it runs. */
function beats(port: MessagePort): Promise<FromEngine> {
  return new Promise((resolve) => {
    port.onmessage = ({ data }: MessageEvent<FromEngine>) => data.type === 'beat' && resolve(data);
    port.postMessage({ type: 'beat' } satisfies ToEngine);
  });
}

beforeEach(() => {
  [stored, ports] = [new Map(), []];
  FakeSocket.all = [];
  FakeWorker.forbidden = false;
  setUp(FakeSocket, () => 0.5);
  const sessionStorage = {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => void stored.set(key, value),
    removeItem: (key: string) => stored.delete(key),
  };
  Object.assign(globalThis, { Worker: FakeWorker, sessionStorage });
});
afterEach(() => {
  for (const port of ports) port.close();
  tearDown();
});

test('the core runs in a worker, which is told how we name ourselves', () => {
  const engine = start();
  const worker = FakeWorker.last!;
  assert.match(worker.name, /^2d504b303030312d[0-9a-f]{24}$/);
  assert.deepEqual(worker.posted.map(({ type }) => type), ['port']);
  worker.onmessage!({ data: { type: 'meet', torrent } });
  assert.equal(worker.onerror, null, 'what goes wrong later is no failure to start');
  assert.equal(open().length, 1);
  worker.onmessage!({ data: { type: 'beat' } });
  assert.equal(worker.posted.at(-1)!.type, 'beat');
  worker.onmessage!({ data: { type: 'wake' } });
  assert.equal(wakes, 1);
  engine.reconnect();
  assert.equal(worker.posted.at(-1)!.type, 'port', 'the service worker was restarted');
  worker.onmessage!({ data: { type: 'leave', infoHash: torrent.infoHash } });
  assert.equal(open().length, 0);
});

test('an engine that is closed leaves no worker behind, and no connection', () => {
  const engine = start();
  const worker = FakeWorker.last!;
  worker.onmessage!({ data: { type: 'meet', torrent } });
  engine.close();
  assert.deepEqual([open().length, worker.terminated], [0, true]);
  engine.close();
  const before = wakes;
  worker.onmessage!({ data: { type: 'wake' } });
  assert.equal(wakes, before, 'the page may be on its way into the back/forward cache');
  worker.onerror?.(new Event('error', { cancelable: true }));
  assert.equal(ports.length, 1, 'what fails too late is not replaced');
});

test('where the page may make no worker, the core runs in the page', async () => {
  FakeWorker.forbidden = true;
  start();
  assert.equal((await beats(ports[0]!)).type, 'beat');
});

test('where the worker does not start, the core runs in the page, by a port of its own', async () => {
  start();
  const worker = FakeWorker.last!;
  const error = new Event('error', { cancelable: true });
  worker.onerror!(error);
  assert.equal(error.defaultPrevented, true);
  assert.equal(worker.terminated, true);
  assert.equal(ports.length, 2);
  assert.equal((await beats(ports[1]!)).type, 'beat');
  ports[1]!.postMessage({ type: 'configure', protocol: protocol + 1 }); // of another version: not obeyed
  assert.equal((await beats(ports[1]!)).type, 'beat');
});

test('where the script of the worker never comes, the core runs in the page', async () => {
  start();
  const [runs, waits] = [FakeWorker.last!, (start(), FakeWorker.last!)];
  runs.onmessage!({ data: { type: 'beat' } });
  await pass(10_000);
  assert.deepEqual([runs.terminated, waits.terminated, ports.length], [false, true, 3]);
  assert.equal((await beats(ports[2]!)).type, 'beat');
});

test('what the last page met is met at once, and left again unless the core wants it', async () => {
  remember(script, { torrent, peers: ['bb'.repeat(20)], ropes: [] });
  start();
  assert.equal(FakePeerConnection.made, 1);
  assert.equal(open().length, 1);
  await pass(5_000);
  assert.equal(open().length, 0);

  remember(script, { torrent, peers: ['bb'.repeat(20)], ropes: [] });
  start();
  FakeWorker.last!.onmessage!({ data: { type: 'meet', torrent } });
  assert.equal(open().length, 1, 'over the same socket');
  await pass(5_000);
  assert.equal(open().length, 1);
  const elsewhere = { ...torrent, trackers: ['ws://another.test/'] };
  FakeWorker.last!.onmessage!({ data: { type: 'meet', torrent: elsewhere } });
  assert.equal(open().length, 1);
  assert.equal(FakeSocket.all.length, 3, 'other trackers are other sockets');
});
