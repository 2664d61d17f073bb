import assert from 'node:assert/strict';
import { test } from 'node:test';
import { groups, median, percentile, table } from './figures.ts';
import { carries } from './origin.ts';

test('medians and nearest ranks', () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.equal(percentile([5, 1, 4, 2, 3], 95), 5);
  assert.equal(percentile([5, 1, 4, 2, 3], 20), 1);
  assert.equal(percentile([5, 1, 4, 2, 3], 21), 2);
  assert.ok(Number.isNaN(median([])));
});

test('columns are as wide as their widest cell', () => {
  assert.equal(
    table([
      ['name', 'figure'],
      ['a longer one', '1'],
    ]),
    'name          figure\na longer one       1',
  );
});

test('groups keep the order of their first item', () => {
  const all = groups(['b1', 'a1', 'b2'], (item) => item[0]);
  assert.deepEqual([...all], [
    ['b', ['b1', 'b2']],
    ['a', ['a1']],
  ]);
});

test('what a path of a packed site carries', () => {
  const hash = 'ab'.repeat(32);
  for (const [path, kind] of [
    ['/index.html', 'content'],
    ['/planktos-logo.png', 'content'],
    [`/planktos/${hash}`, 'copy'],
    [`/planktos/${hash}.layer`, 'layer'],
    [`/planktos/shards/${hash}.json`, 'manifest'],
    ['/planktos/manifest.json?1', 'manifest'],
    ['/planktos/engine.min.js', 'runtime'],
    ['/planktos.sw.min.js', 'runtime'],
  ] as const) {
    assert.equal(carries(path), kind, path);
  }
});
