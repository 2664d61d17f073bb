import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FileRow } from '../shared/manifest.ts';
import type { ToEngine } from '../shared/messages.ts';
import { Store } from '../store/store.ts';
import { hashOf, take } from './content.ts';
import type { Site } from './site.ts';
import type { Snapshot } from './snapshots.ts';

Object.assign(globalThis, { self: { clients: { get: async () => undefined } } });

const blob = new Blob(['a picture']);
const row: FileRow = ['a.png', await hashOf(blob), blob.size, 0];
const snapshot = { id: 's' } as Snapshot;

function setUp(put: (site: Site) => Promise<boolean>, shared = true) {
  const told: ToEngine['type'][] = [];
  const records = new Map<string, unknown>();
  let stored = false;
  const store = Object.assign(new Store(), {
    has: async () => stored,
    publish: async () => {
      stored = await put(site);
      if (!stored) throw new Error('not published');
    },
    delete: async () => (stored = false),
  });
  Object.defineProperty(store, 'shared', { value: shared });
  const site = {
    snapshots: { live: new Map([['s', snapshot]]) },
    store,
    records: { set: async () => {} },
    known: { set: async (path: string, learnt: unknown) => void records.set(path, learnt) },
    keeper: { used() {} },
    engines: { tell: ({ type }: ToEngine) => void told.push(type) },
    count() {},
  } as unknown as Site;
  return { site, told, records, stored: () => stored };
}

const arrival = (response = new Response(blob)) => ({ response, rows: [row], snapshot, path: 'a.png', client: '' });

test('what matches is kept, its headers too, and engines are told', async () => {
  const { site, told, records, stored } = setUp(async () => true);
  assert.equal(await take(site, blob, arrival()), row);
  assert.deepEqual(told, ['have']);
  assert.ok(stored());
  assert.ok(records.has('a.png'));
});

test('engines are not told of what only the worker has', async () => {
  const { site, told, stored } = setUp(async () => true, false);
  assert.equal(await take(site, blob, arrival()), row);
  assert.ok(stored());
  assert.deepEqual(told, []);
});

test('what is private, or another content, is not kept', async () => {
  const { site, told, records } = setUp(async () => assert.fail('put'));
  assert.equal(await take(site, new Blob(['other']), arrival()), undefined);
  const headers = { 'cache-control': 'private' };
  assert.equal(await take(site, blob, arrival(new Response(blob, { headers }))), row);
  assert.deepEqual([told, records.size], [[], 0]);
});

for (const [when, purge] of [['before', true], ['while', false]] as const) {
  test(`nothing is kept of a site that was purged ${when} it is written`, async () => {
    const { site, told, records, stored } = setUp(async ({ snapshots }) => {
      snapshots.live.clear();
      return true;
    });
    if (purge) site.snapshots.live.clear();
    await take(site, blob, arrival());
    assert.ok(!stored());
    assert.ok(!told.includes('have'));
    assert.equal(records.size, 0);
  });
}
