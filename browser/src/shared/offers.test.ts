import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keepsOld, maxOffers, offersFor, pauseMs } from './offers.ts';

test('a round has an offer for everybody in a small crowd, and never more than a tracker passes on', () => {
  assert.equal(offersFor(8, 0, 0), 0);
  assert.equal(offersFor(1, 1, 0), 1);
  assert.equal(offersFor(8, 7, 0), 7);
  assert.equal(offersFor(2, 7, 6), 7, 'the one stranger is one of seven');
  assert.equal(offersFor(8, 7, 7), 0);
  assert.equal(offersFor(-1, 7, 0), 0);
  assert.equal(offersFor(30, 2 ** 53, 0), maxOffers);
  for (let others = 0; others < 50; others++) {
    for (let known = 0; known < 50; known++) {
      const offers = offersFor(8, others, known);
      assert.ok(Number.isInteger(offers) && offers >= 0 && offers <= maxOffers);
    }
  }
});

test('rounds come ever slower', () => {
  assert.deepEqual([0, 1, 2, 5, 6, 1e9].map(pauseMs), [1000, 2000, 4000, 32_000, 60_000, 60_000]);
});

test('both sides keep the same one of two connections', () => {
  const states = [
    { open: true, ageMs: 10_000 },
    { open: true, ageMs: 0 },
    { open: false, ageMs: 0 },
  ];
  for (const state of states) {
    for (const ours of [true, false]) {
      for (const lower of [true, false]) {
        const here = keepsOld({ ours, ...state }, !ours, lower);
        const there = keepsOld({ ours: !ours, ...state }, ours, !lower);
        assert.equal(here, there, JSON.stringify({ ours, lower, ...state }));
      }
    }
  }
  assert.equal(keepsOld({ ours: false, open: false, ageMs: 1000 }, false, true), true);
  assert.equal(keepsOld({ ours: false, open: false, ageMs: 6000 }, false, true), false, 'the peer has given it up');
});
