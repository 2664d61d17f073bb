import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import type { Heard, Posted, WorkerMessage } from '../shared/messages.ts';
import { Tab } from './tab.ts';
import { FakeLocks, fakePage, turns } from './testing.test.ts';

const script = 'https://site.test/docs/planktos/engine.min.js';

function tab(locks: FakeLocks | undefined) {
  const { page, document, heard, ends } = fakePage(undefined, locks);
  const engine = { starts: 0, closes: 0, reconnects: 0 };
  const self = new Tab(page, script, (options) => {
    assert.equal(options.script, script);
    engine.starts++;
    options.connect(new MessageChannel().port2);
    return {
      reconnect: () => (engine.reconnects++, options.connect(new MessageChannel().port2)),
      close: () => engine.closes++,
    };
  });
  /** what the worker says, and what comes of it */
  const hear = async ({ type, ...detail }: WorkerMessage): Promise<void> => {
    void self.hear({ planktos: type, detail, hear: true } as Posted);
    await turns();
  };
  const types = (): string[] => heard.map(({ type }) => type);
  return { page, document, engine, hear, types, ends };
}

const run: WorkerMessage = { type: 'engine', act: 'run' };
const steal: WorkerMessage = { type: 'engine', act: 'steal' };
const stop: WorkerMessage = { type: 'engine', act: 'stop' };

beforeEach(() => mock.timers.enable({ apis: ['setTimeout', 'setInterval'] }));
afterEach(() => mock.timers.reset());

test('one tab has the engine; the next takes over when it leaves', async () => {
  const locks = new FakeLocks();
  const [first, second] = [tab(locks), tab(locks)];
  await first.hear(run);
  await second.hear(run);
  assert.deepEqual([first.engine.starts, second.engine.starts], [1, 0]);
  assert.deepEqual([first.types(), second.types()], [['engine'], []]);
  first.page.dispatchEvent(new Event('pagehide'));
  assert.equal(first.engine.closes, 1, 'synchronously');
  assert.deepEqual(first.ends(), [true], 'the page leaves');
  await turns();
  await second.hear(run);
  assert.equal(second.engine.starts, 1);
  await first.hear(run);
  assert.deepEqual(first.engine, { starts: 1, closes: 1, reconnects: 0 }, 'the lock is taken');
});

test('a tab that is back has an engine anew', async () => {
  const locks = new FakeLocks();
  const { document, engine, hear, types, ends } = tab(locks);
  await hear(run);
  document.dispatchEvent(new Event('freeze'));
  await turns();
  assert.equal(locks.held, false);
  await hear(run);
  assert.deepEqual(engine, { starts: 2, closes: 1, reconnects: 0 });
  assert.deepEqual([types(), ends()], [['engine', 'engine'], [true]]);
});

test('the engine is taken over by force, and its former tab closes its own', async () => {
  const locks = new FakeLocks();
  const [first, second] = [tab(locks), tab(locks)];
  await first.hear(run);
  await second.hear(steal);
  assert.deepEqual([first.engine.closes, second.engine.starts], [1, 1]);
  assert.deepEqual(first.ends(), [false], 'the page stays');
  await first.hear(run);
  assert.equal(first.engine.starts, 1, 'the lock is taken');
  await first.hear(steal);
  assert.deepEqual([first.engine.starts, second.engine.closes], [2, 1]);
});

test('a worker without a port is given one anew; one that forbids the engine ends it', async () => {
  const locks = new FakeLocks();
  const { engine, hear, types, ends } = tab(locks);
  await hear(run);
  await hear(run);
  await hear(steal);
  assert.deepEqual(engine, { starts: 1, closes: 0, reconnects: 2 });
  await hear(stop);
  await hear(stop);
  assert.deepEqual([engine.closes, locks.held], [1, false]);
  assert.deepEqual([types(), ends()], [['engine', 'engine', 'engine'], [false]], 'by the last port');
});

test('a tab that is stopped before it has the lock runs nothing', async () => {
  const { page, engine, hear } = tab(new FakeLocks());
  const asked = hear(run);
  page.dispatchEvent(new Event('pagehide'));
  await asked;
  // The lock was granted synchronously here, so an engine that had started was closed.
  assert.equal(engine.starts, engine.closes);
});

test('without Web Locks a tab that is asked runs an engine', async () => {
  const { engine, hear } = tab(undefined);
  await hear(run);
  assert.equal(engine.starts, 1);
  await hear(stop);
  assert.equal(engine.closes, 1);
});

test('the page pings while a response streams', async () => {
  const { page, hear, types } = tab(new FakeLocks());
  await hear({ type: 'stream', active: true });
  mock.timers.tick(25_000);
  assert.deepEqual(types(), ['ping', 'ping']);
  await hear({ type: 'stream', active: false });
  mock.timers.tick(60_000);
  await hear({ type: 'stream', active: true });
  page.dispatchEvent(new Event('pagehide'));
  mock.timers.tick(60_000);
  assert.equal(types().length, 2);
});

test('a tab that stays shown or hidden for a while says so', async () => {
  const { document, types } = tab(new FakeLocks());
  document.dispatchEvent(new Event('visibilitychange'));
  mock.timers.tick(2_000);
  document.dispatchEvent(new Event('visibilitychange'));
  mock.timers.tick(2_000);
  assert.deepEqual(types(), []);
  mock.timers.tick(1_000);
  assert.deepEqual(types(), ['settled']);
  document.dispatchEvent(new Event('resume'));
  mock.timers.tick(3_000);
  assert.deepEqual(types(), ['settled', 'settled']);
});

test('a tab that may share reminds the worker, which may have been stopped, once it is there for a while', async () => {
  const { hear, types } = tab(new FakeLocks());
  const welcome = { type: 'welcome', snapshot: '5f', consent: 'unset', originState: 'up' } as const;
  await hear({ ...welcome, mode: 'worker' });
  mock.timers.tick(60_000);
  assert.deepEqual(types(), []);
  for (let greeted = 0; greeted < 2; greeted++) await hear({ ...welcome, mode: 'peers' });
  mock.timers.tick(60_000);
  assert.deepEqual(types(), ['settled']);
});

test('what a tracker tells of a release is passed on to the worker', async () => {
  const { page, heard } = fakePage(undefined, new FakeLocks());
  const release: Heard = { snapshot: '5f'.repeat(32), root: new ArrayBuffer(3), from: 'tracker' };
  const self = new Tab(page, script, (options) => {
    options.heard(release);
    return { reconnect: () => {}, close: () => {} };
  });
  void self.hear({ planktos: 'engine', detail: { act: 'run' }, hear: true } as Posted);
  await turns();
  assert.deepEqual(heard, [{ type: 'release', ...release }]);
});

test('while the origin is down, a tab reminds the worker now and then', async () => {
  const { page, hear, types } = tab(undefined);
  await hear({ type: 'origin', state: 'down' });
  mock.timers.tick(12_000);
  assert.deepEqual(types(), ['probe']);
  mock.timers.tick(12_000);
  assert.ok(types().length >= 2);
  await hear({ type: 'origin', state: 'up' });
  const before = types().length;
  mock.timers.tick(60_000);
  assert.equal(types().length, before);
  // One that begins, or comes back, in the middle of it.
  await hear({ type: 'welcome', mode: 'worker', snapshot: '5f', consent: 'unset', originState: 'down' });
  page.dispatchEvent(new Event('pagehide'));
  mock.timers.tick(60_000);
  assert.equal(types().length, before);
});
