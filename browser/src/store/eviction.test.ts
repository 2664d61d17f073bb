import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expendable } from './eviction.ts';
import { parseName } from './store.ts';

const hours = 3_600_000;
const nowMs = 100 * hours;
const name = (letter: string, size: number): string => `${letter.repeat(64)}-${size}`;
/** The letters, and suffixes, of what goes. `used` names what was used, the longest unused first; `reading`, what is. */
function goes(files: string[], named: string[], { used = '', reading = '', limit = Infinity, neededBytes = 0 } = {}): string[] {
  const usedAt = ({ hash }: { hash: string }): number => (reading.includes(hash[0]!) ? Infinity : used.indexOf(hash[0]!));
  const sweep = { named: new Set(named), usedAt, limit, neededBytes, nowMs };
  return expendable(files.map((file) => parseName(file)!), sweep).map(({ hash, suffix }) => hash[0] + suffix);
}

const [a, b, c, d] = [name('a', 10), name('b', 20), name('c', 30), name('d', 40)];

test('what nobody names goes, parts too', () => {
  assert.deepEqual(goes([a, b, `${c}.part`, `${d}.part`], [a, c]), ['b', 'd.part']);
});

test('a part goes once the whole is there', () => {
  assert.deepEqual(goes([a, `${a}.part`, `${b}.part`], [a, b]), ['a.part']);
});

test('the longest unused goes first, never used before any, and no more than has to', () => {
  const all = [a, b, c, `${d}.part`];
  assert.deepEqual(goes(all, [a, b, c, d], { used: 'cbad', limit: 100 }), []);
  assert.deepEqual(goes(all, [a, b, c, d], { used: 'cbad', limit: 99 }), ['c']);
  assert.deepEqual(goes(all, [a, b, c, d], { used: 'cbad', limit: 69 }), ['c', 'b']);
  assert.deepEqual(goes(all, [a, b, c, d], { used: 'cba', limit: 60 }), ['d.part']);
  assert.deepEqual(goes(all, [a, b, c, d], { used: 'cbad', limit: 0 }), ['c', 'b', 'a', 'd.part']);
});

test('what is being read stays, whatever the room, as long as somebody names it', () => {
  assert.deepEqual(goes([a, b, c], [a, b, c], { used: 'abc', reading: 'ac', limit: 0 }), ['b']);
  assert.deepEqual(goes([a, b, c], [a, b, c], { used: 'abc', reading: 'abc', neededBytes: 100 }), []);
  assert.deepEqual(goes([a, b], [b], { reading: 'ab', limit: 0 }), ['a']);
});

test('what nobody names makes room for what is named', () => {
  assert.deepEqual(goes([a, b, c], [a, b], { used: 'abc', limit: 30 }), ['c']);
});

test('room is made for what is needed, and for some more', () => {
  const needing = (neededBytes: number) => goes([a, b, c, d], [a, b, c, d], { used: 'abcd', neededBytes });
  assert.deepEqual(needing(1), ['a', 'b']);
  assert.deepEqual(needing(30), ['a', 'b']);
  assert.deepEqual(needing(31), ['a', 'b', 'c']);
  assert.deepEqual(needing(1000), ['a', 'b', 'c', 'd']);
});

test('a part goes before what is whole, and is not counted on for room: it may be being written', () => {
  const sizes = (neededBytes: number) => goes([a, b, c, `${d}.part`], [a, b, c, d], { used: 'abc', neededBytes });
  assert.deepEqual(sizes(10), ['d.part', 'a', 'b']);
  assert.deepEqual(sizes(40), ['d.part', 'a', 'b', 'c']);
});

test('temporary files go when no writer can be alive, whatever they would have become', () => {
  const at = (hoursAgo: number): string => `${a}.${nowMs - hoursAgo * hours}.x.tmp`;
  assert.deepEqual(goes([at(23), at(25), `${a}.x.tmp`], []), [`a.${75 * hours}.x.tmp`]);
});
