import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FileRow } from './manifest.ts';
import { documentAndLoads, mayPrefetch } from './prefetch.ts';

test('bytes are spent where they cost nothing', () => {
  for (const [connection, phone, want] of [
    [{}, false, true],
    [{}, true, false],
    [{ saveData: true }, false, false],
    [{ saveData: true, type: 'wifi' }, true, false],
    [{ type: 'wifi' }, true, true],
    [{ type: 'ethernet', effectiveType: '4g' }, true, true],
    [{ type: 'cellular', effectiveType: '4g' }, true, false],
    [{ type: 'cellular' }, false, false],
    [{ type: 'wifi', effectiveType: 'slow-2g' }, true, false],
    [{ effectiveType: '2g' }, false, false],
    [{ effectiveType: '4g' }, false, true],
    [{ effectiveType: '4g' }, true, false],
  ] as const) {
    assert.equal(mayPrefetch(connection, phone), want, JSON.stringify([connection, phone]));
  }
});

test('a document comes with what it loads, each content once, in order', () => {
  const [page, style, copy, empty, image]: FileRow[] = [
    ['a.html', 'aa', 10, 0, [1, 2, 3, 4, 9]],
    ['a.css', 'bb', 20, 1],
    ['copy.css', 'bb', 20, 1],
    ['empty.js', 'cc', 0, 0],
    ['a.png', 'dd', 30, 2],
  ];
  const table = [page!, style!, copy!, empty!, image!];
  assert.deepEqual(documentAndLoads(page!, table), [page, style, image]);
  assert.deepEqual(documentAndLoads(style!, table), [style]);
});
