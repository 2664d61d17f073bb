import assert from 'node:assert/strict';
import { test } from 'node:test';
import { median } from '../harness/figures.ts';
import { Clock, Heap, randomFrom } from './clock.ts';
import { Link } from './link.ts';
import { crowd, day, spaced } from './scenarios.ts';

test('a heap gives the least first', () => {
  const heap = new Heap<number>();
  const random = randomFrom(7);
  const keys = Array.from({ length: 500 }, () => Math.floor(random() * 100));
  for (const key of keys) heap.push(key, key);
  const out = keys.map(() => heap.pop()!);
  assert.deepEqual(out, keys.sort((a, b) => a - b));
  assert.equal(heap.pop(), undefined);
  assert.equal(heap.least, Infinity);
});

test('a link shares its rate evenly, and gives to the others what one that is cancelled leaves', () => {
  const clock = new Clock();
  const link = new Link(clock, 10);
  const ends: [string, number][] = [];
  const end = (name: string) => () => void ends.push([name, Math.round(clock.nowMs)]);
  link.start(1000, end('a'));
  clock.at(50, () => link.start(250, end('b'))); // a has had 500 and both get 5 a ms: b ends at 100, a at 125
  const never = link.start(1000, end('never'));
  clock.at(0, () => assert.equal(never.cancel(), 1000));
  clock.run();
  assert.deepEqual(ends, [['b', 100], ['a', 125]]);
  assert.equal(Math.round(link.sent), 1250);
  assert.equal(never.cancel(), 0);
});

test('one transfer gets no more than its most', () => {
  const clock = new Clock();
  new Link(clock, 100, 10).start(1000, () => assert.equal(clock.nowMs, 100));
  clock.run();
  assert.equal(clock.nowMs, 100);
});

test('plain HTTP costs the origin one copy a visitor', () => {
  const { originBytes, views } = spaced(8, 1000, 2000, { system: 'plain' }, 1);
  assert.equal(Math.round(originBytes), 8 * (1_500 + 40 * 100_350));
  assert.equal(views.length, 8);
  assert.ok(views.every(({ ms }) => ms >= 2000));
});

test('a visitor alone costs the origin a copy and the runtime, and nothing is shared', () => {
  for (const prefer of ['speed', 'offload'] as const) {
    const { originBytes, shared } = spaced(1, 0, 2000, { prefer }, 1);
    assert.equal(Math.round(originBytes), 48_000 + 1_500 + 40 * 100_350);
    assert.equal(shared, 0);
  }
});

test('with offload a crowd costs the origin little more than one copy, by the scheduler that ships', () => {
  const plain = crowd(100, { system: 'plain' }, 1);
  const ours = crowd(100, { prefer: 'offload' }, 1);
  assert.equal(ours.views.length, 100);
  assert.ok(ours.originBytes < 0.25 * plain.originBytes, `${ours.originBytes / plain.originBytes}`);
  assert.ok(ours.shared > 0.7 * plain.originBytes);
});

test('with offload nobody waits for slow peers much longer than the two seconds meant for it', () => {
  const slow: [number, number][] = [[1, 600]];
  const { originBytes, views } = spaced(8, 3000, 12_500, { prefer: 'offload', uplinks: slow, prefetch: 0 }, 1);
  const plain = 8 * (1_500 + 40 * 100_350);
  assert.ok(views.every(({ ms }) => ms < 4000), `${Math.max(...views.map(({ ms }) => ms))}`);
  assert.ok(originBytes < 0.5 * plain, `${originBytes / plain}`);
});

test('an ordinary day costs the origin no more than plain HTTP does, and its visitors next to no time', () => {
  const plain = day({ system: 'plain' }, 1);
  const ours = day({ prefer: 'speed', firstVisit: 'plain' }, 1);
  assert.equal(ours.views.length, plain.views.length);
  assert.ok(ours.originBytes <= plain.originBytes, `${ours.originBytes / plain.originBytes}`);
  const [plainMs, oursMs] = [plain, ours].map(({ views }) => median(views.map(({ ms }) => ms)));
  assert.ok(oursMs! <= 1.02 * plainMs!, `${oursMs! / plainMs!}`);
});

test('the same seed gives the same outcome', () => {
  assert.deepEqual(spaced(8, 1000, 2000, {}, 3), spaced(8, 1000, 2000, {}, 3));
  assert.notDeepEqual(spaced(8, 1000, 2000, {}, 3).views, spaced(8, 1000, 2000, {}, 4).views);
});
