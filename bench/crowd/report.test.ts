import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Entry } from '../harness/origin.ts';
import type { Site } from '../harness/sites.ts';
import type { Run } from './crowd.ts';
import { figures, summary, targetsTable } from './report.ts';

const site: Site = { name: 'two', dir: '', page: 'index.html', tiny: '', resources: new Map([['a.png', 1_000]]) };

function request(path: string, wire: number, tracker = false): Entry {
  return { visitor: 0, method: 'GET', path, by: '', status: 200, body: wire, wire, tracker, startMs: 0, endMs: 1 };
}

const plain: Run = {
  system: 'plain',
  visits: [1_000, 3_000].map((ms) => ({ ms, startMs: 0 })),
  entries: [1, 2].flatMap(() => [request('/index.html', 500), request('/a.png', 1_500)]),
};
const ours: Run = {
  system: 'planktos',
  visits: [1_000, 2_000].map((ms) => ({ ms, startMs: 0 })),
  entries: [
    request('/index.html', 500),
    request('/planktos.sw.min.js', 1_000),
    request(`/planktos/${'0'.repeat(64)}`, 500),
    request('/planktos/tracker', 9_000, true),
  ],
};

test('shares are of plain HTTP in the same round, without the tracker', () => {
  const is = figures(ours, plain, site);
  assert.equal(is.wire, 2_000);
  assert.equal(is.trackerWire, 9_000);
  assert.equal(is.share, 0.5);
  assert.equal(is.visit, 0.75);
  assert.equal(is.later, -0.5);
  assert.equal(is.worst, 2 / 3);
  assert.equal(is.count, 3);
  assert.equal(is.requests, 1); // a page and a copy, of two contents
});

test('rounds are summed up by their medians', () => {
  const is = figures(ours, plain, site);
  const all = [0.2, 0.9, 0.4].map((share) => ({ ...is, share }));
  assert.equal(summary(all).share, 0.4);
});

test('a target is met up to its bound', () => {
  const is = figures(ours, plain, site);
  const verdict = (most: number): string | undefined =>
    targetsTable('row', [{ what: 'bytes', figure: ({ share }) => share, most }], is)[0]?.at(-1);
  assert.equal(verdict(0.5), 'pass');
  assert.equal(verdict(0.49), 'MISS');
});
