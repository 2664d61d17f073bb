import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contentRange, ifRangeHolds, parseRange } from './ranges.ts';

const none = undefined;
for (const [header, size, want] of [
  [null, 10, none],
  ['', 10, none],
  ['bytes=0-', 10, { start: 0, end: 10 }],
  ['bytes=2-4', 10, { start: 2, end: 5 }],
  ['BYTES=2-4', 10, { start: 2, end: 5 }],
  ['bytes=9-9', 10, { start: 9, end: 10 }],
  ['bytes=2-400', 10, { start: 2, end: 10 }],
  ['bytes=-3', 10, { start: 7, end: 10 }],
  ['bytes=-30', 10, { start: 0, end: 10 }],
  ['bytes=-0', 10, 'unsatisfiable'],
  ['bytes=10-', 10, 'unsatisfiable'],
  ['bytes=99999999999999999999-', 10, 'unsatisfiable'],
  ['bytes=0-99999999999999999999', 10, { start: 0, end: 10 }],
  ['bytes=4-2', 10, none],
  ['bytes=-', 10, none],
  ['bytes=0-1,4-5', 10, none],
  ['bytes=a-b', 10, none],
  ['items=0-1', 10, none],
  ['bytes=0-', 0, 'unsatisfiable'],
  ['bytes=-5', 0, none],
] as const) {
  test(`range ${header} of ${size}`, () => assert.deepEqual(parseRange(header, size), want));
}

test('Content-Range', () => {
  assert.equal(contentRange({ start: 2, end: 5 }, 10), 'bytes 2-4/10');
  assert.equal(contentRange(undefined, 10), 'bytes */10');
});

test('If-Range holds for strong validators of the content alone', () => {
  const modified = 'Wed, 21 Oct 2015 07:28:00 GMT';
  assert.ok(ifRangeHolds(null, null, null));
  assert.ok(ifRangeHolds('"a"', '"a"', null));
  assert.ok(ifRangeHolds(modified, '"a"', modified));
  assert.ok(!ifRangeHolds('"a"', '"b"', modified));
  assert.ok(!ifRangeHolds('W/"a"', 'W/"a"', null));
  assert.ok(!ifRangeHolds('"a"', null, null));
});
