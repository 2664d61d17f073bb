import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { Records } from './records.ts';
import { FakeCaches, scope, settled } from './testing.test.ts';

let caches: FakeCaches;

beforeEach(() => {
  caches = new FakeCaches();
  Object.assign(globalThis, { caches });
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout'] });
});

const open = (limit?: number) => new Records(scope).table<number>('numbers', 300, limit);

test('a burst is written once, and there again after a restart', async () => {
  const table = open();
  for (const [i, key] of ['a', 'b', 'c'].entries()) await table.set(key, i);
  mock.timers.tick(299);
  await settled();
  assert.equal(caches.writes, 0);
  mock.timers.tick(1);
  await settled();
  assert.equal(caches.writes, 1);
  const again = open();
  assert.deepEqual(await Promise.all(['b', 'd'].map((key) => again.get(key))), [1, undefined]);
});

test('the row that was set the longest ago makes room', async () => {
  const table = open(2);
  for (const [i, key] of ['a', 'b', 'a', 'c'].entries()) await table.set(key, i);
  assert.deepEqual([...(await table.rows())], [['a', 2], ['c', 3]]);
});

test('what is forgotten stays so', async () => {
  const table = open();
  for (const [i, key] of ['a', 'b'].entries()) await table.set(key, i);
  mock.timers.tick(300);
  await settled();
  await open().forget((key) => key === 'a');
  mock.timers.tick(300);
  await settled();
  assert.deepEqual([...(await open().rows())], [['b', 1]]);
});

test('what is cleared is gone from memory, too', async () => {
  const records = new Records(scope);
  const table = records.table<number>('numbers', 300);
  await table.set('a', 1);
  mock.timers.tick(300);
  await settled();
  await records.clear();
  assert.equal(await table.get('a'), undefined);
  assert.equal(await open().get('a'), undefined);
});

test('without storage, and with what nobody can read, there is nothing', async () => {
  for (const text of ['not JSON', '7', '[7]', '{}', 'null']) {
    await (await caches.open('planktos:/')).put(`${scope}planktos/:numbers`, new Response(text));
    assert.equal(await open().get('a'), undefined, text);
  }
  caches.open = () => Promise.reject(new Error('no storage'));
  assert.equal(await open().get('a'), undefined);
});
