import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Health } from './health.ts';

function setUp(random = () => 1) {
  let now = 1000;
  const health = new Health(() => now, random);
  const ranked = (): string => health.ranked(['a', 'b', 'c'], (host) => host).join('');
  return { health, ranked, tick: (ms: number) => (now += ms) };
}

test('the healthy come first, in their own order; then who will have rested soonest', () => {
  const { health, ranked, tick } = setUp();
  assert.equal(ranked(), 'abc');
  health.note('a', false);
  assert.equal(ranked(), 'bca');
  tick(1);
  health.note('b', false);
  assert.equal(ranked(), 'cab');
  tick(1999);
  assert.equal(ranked(), 'acb');
  tick(1);
  assert.equal(ranked(), 'abc');
});

test('each further failure doubles the rest, up to a minute; a success ends it', () => {
  const { health, tick } = setUp();
  for (const seconds of [2, 4, 8, 16, 32, 60, 60]) {
    health.note('a', false);
    tick(seconds * 1000 - 1);
    assert.ok(health.rests('a'), `${seconds} s`);
    tick(1);
    assert.ok(!health.rests('a'), `${seconds} s`);
  }
  health.note('a', false);
  health.note('a', true);
  assert.ok(!health.rests('a'));
  health.note('a', false);
  tick(2000);
  assert.ok(!health.rests('a'), 'counted anew');
});

test('rests differ by half, from visitor to visitor', () => {
  for (const [random, ms] of [[0, 1000], [0.5, 1500], [1, 2000]] as const) {
    const { health, tick } = setUp(() => random);
    health.note('a', false);
    tick(ms - 1);
    assert.ok(health.rests('a'));
    tick(1);
    assert.ok(!health.rests('a'));
  }
});
