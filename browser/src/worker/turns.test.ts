import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import type { FileRow } from '../shared/manifest.ts';
import type { ToEngine } from '../shared/messages.ts';
import { maxGatherMs as gatherMs, minTurns as least, offloadMs, turnLimitMs } from '../shared/policy.ts';
import type { Site } from './site.ts';
import { Turns } from './turns.ts';
import type { Turn } from './turns.ts';

const minTurns = least.speed;
const row = (i: number): FileRow => [`${i}.png`, String(i).padStart(64, '0'), 100_000, i];

function setUp(
  prefer: 'speed' | 'offload',
  engine: { ageMs?: number | undefined; connections: number } = { connections: 0 },
  userAgent = '',
) {
  const told: string[] = [];
  const site = {
    clients: new Map(),
    speed: { latencyMs: 50, leastMs: 50, bytesPerMs: 1000 },
    snapshots: { current: { root: { policy: { prefer } } } },
    engines: {
      ...engine,
      tell(message: ToEngine) {
        assert.ok(message.type === 'fetching');
        told.push(`${message.active ? '+' : '-'}${Number(message.content.hash)}`);
      },
    },
  };
  const turns = new Turns(site as unknown as Site, userAgent);
  let entered = 0;
  const enter = (destination = 'image', shared = true): Turn => {
    const event = { clientId: 'page', request: { destination } } as unknown as FetchEvent;
    return turns.enter(event, row(entered++), performance.now() - gatherMs, 0, shared);
  };
  return { turns, enter, told, site };
}

// What a test leaves waiting ends with it.
beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
afterEach(() => mock.timers.reset());

/** Requests made in one go are ranked in one go. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const come = (turns: Turn[]): number[] => turns.flatMap((turn, i) => (turn.come.aborted ? [i] : []));

test('a few run at once, and one that ends makes room for another', async () => {
  const { enter } = setUp('speed');
  const all = Array.from({ length: 20 }, () => enter());
  await settle();
  const first = come(all);
  assert.equal(first.length, minTurns);
  all[first[0]!]!.leave();
  all[first[0]!]!.leave();
  assert.equal(come(all).length, minTurns + 1);
});

test('another page has turns of its own', async () => {
  const { enter, turns } = setUp('speed');
  for (let i = 0; i < 20; i++) enter();
  const event = { clientId: 'other', request: { destination: 'image' } } as unknown as FetchEvent;
  const turn = turns.enter(event, row(99), performance.now() - gatherMs, 0, true);
  await settle();
  assert.ok(turn.come.aborted);
});

test('what rendering waits for goes first, whenever it was asked for', async () => {
  const { enter } = setUp('speed');
  const images = Array.from({ length: 20 }, () => enter());
  const scripts = Array.from({ length: minTurns }, () => enter('script'));
  await settle();
  assert.equal(come(scripts).length, minTurns);
  assert.equal(come(images).length, 0);
});

test('what fills no place waits for none', async () => {
  const { enter, told } = setUp('speed');
  for (let i = 0; i < 20; i++) enter();
  await settle();
  told.length = 0;
  const stream = enter('video', false);
  await settle();
  assert.ok(stream.come.aborted);
  stream.leave();
  assert.deepEqual(told, []);
});

test('engines are told what is fetched, and when that ends', async () => {
  const { enter, told } = setUp('speed');
  const turn = enter();
  await settle();
  assert.deepEqual(told, ['+0']);
  turn.leave();
  turn.leave();
  assert.deepEqual(told, ['+0', '-0']);
});

test('one that has arrived makes room before it is kept', async () => {
  const { enter, told } = setUp('speed');
  const all = Array.from({ length: minTurns + 1 }, () => enter('script'));
  await settle();
  assert.equal(come(all).length, minTurns);
  all[0]!.arrived();
  assert.equal(come(all).length, minTurns + 1);
  assert.ok(!told.includes('-0'), 'engines are told when it is kept');
});

test('one that an engine serves leaves the queue, and comes back if that fails', async () => {
  const { enter, told } = setUp('offload', { connections: 2 });
  const turn = enter();
  turn.hear('accept');
  turn.hear(false);
  await settle();
  assert.ok(turn.come.aborted);
  const served = enter();
  served.hear('accept');
  served.leave();
  await settle();
  assert.ok(!served.come.aborted);
  assert.deepEqual(told, ['+0']);
});

test('offload waits for peers, until the engine says that there are none, or long enough', async (t) => {
  const now = mock.method(performance, 'now', () => 1000);
  t.after(() => now.mock.restore());
  const { enter } = setUp('offload', { connections: 0 });
  const patient = enter();
  const { enter: another } = setUp('offload', { connections: 0 });
  const told = another();
  await settle();
  assert.deepEqual(come([patient, told]), []);
  told.hear(false);
  await settle();
  assert.deepEqual(come([patient, told]), [1]);
  now.mock.mockImplementation(() => 1000 + offloadMs);
  mock.timers.tick(offloadMs);
  assert.deepEqual(come([patient, told]), [0, 1]);
});

test('offload: who was alone a moment ago waits for no engine', async () => {
  const engine: { ageMs: number | undefined; connections: number } = { ageMs: 1000, connections: 0 };
  const { enter, site } = setUp('offload', engine);
  enter().hear(false);
  await settle();
  site.engines.ageMs = undefined;
  const next = enter();
  await settle();
  assert.ok(next.come.aborted);
});

test('offload: who has been connected since is not alone any more', async () => {
  const engine: { ageMs: number | undefined; connections: number } = { ageMs: 1000, connections: 0 };
  const { enter, site, turns } = setUp('offload', engine);
  enter().hear(false);
  await settle();
  site.engines.connections = 1;
  turns.look();
  Object.assign(site.engines, { ageMs: undefined, connections: 0 });
  const next = enter();
  await settle();
  assert.ok(!next.come.aborted);
});

test('a body that nobody reads does not keep the others', async () => {
  const { enter, told } = setUp('speed');
  const all = Array.from({ length: minTurns + 1 }, () => enter());
  await settle();
  mock.timers.tick(turnLimitMs);
  assert.equal(come(all).length, all.length);
  assert.ok(!told.some((what) => what.startsWith('-')), 'it is still being fetched');
});

test('the origin alone would take as long as what is before it in the queue', async () => {
  const { enter } = setUp('speed');
  const scripts = Array.from({ length: minTurns + 4 }, () => enter('script'));
  await settle();
  // Six at the origin, three before it, its own, at 1000 bytes a millisecond.
  assert.equal(scripts.at(-1)!.dueMs(), 50 + 10 * 100);
});

test('in Firefox no script waits for an engine, which waits for scripts there', async () => {
  const { enter, site, turns } = setUp('offload', { connections: 0 }, 'Mozilla/5.0 (rv:153.0) Gecko/20100101 Firefox/153.0');
  const [script, style, image] = [enter('script'), enter('style'), enter()];
  await settle();
  assert.deepEqual(come([script, style, image]), [0, 1]);
  site.engines.connections = 1;
  const later = enter('script');
  turns.look();
  assert.deepEqual(come([later]), []);
  for (const turn of [script, style, image, later]) turn.leave();
});
