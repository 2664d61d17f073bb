/** The tables of a large site. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ToEngine } from '../shared/messages.ts';
import { asWorker, bytes, idOf, rootOf, rowOf, scope, shardOf } from './testing.test.ts';

/** What the origin has: by path, its bytes. */
const files = new Map<string, Uint8Array<ArrayBuffer>>();
const asked: string[] = [];
asWorker({
  async fetch(url) {
    const path = new URL(String(url)).pathname.slice(1);
    asked.push(path);
    const data = files.get(path);
    return new Response(data ?? null, { status: data ? 200 : 404 });
  },
});
const { Site } = await import('./site.ts');

test('what a page asks for at once has its table loaded once, and again only if that fails', async () => {
  const rows = [await rowOf('a/1', '1'), await rowOf('a/2', '2'), await rowOf('a/3', '3')];
  const [shard, document] = await shardOf('', rows);
  const root = rootOf(idOf(1), { shards: [shard] });
  files.set('planktos/manifest.json', bytes(JSON.stringify(root)));
  const site = (await Site.open(scope, true))!;
  const told: ToEngine['type'][] = [];
  site.engines.tell = ({ type }) => void told.push(type);
  await site.snapshots.validate();
  const all = () => Promise.all(rows.map(([path]) => site.snapshots.row(site.snapshots.current!, path)));
  assert.deepEqual(await all(), [undefined, undefined, undefined]);

  const path = `planktos/shards/${shard[1]}.json`;
  files.set(path, document);
  asked.length = told.length = 0;
  assert.deepEqual(await all(), rows);
  assert.deepEqual(asked, [path]);
  assert.deepEqual(told.filter((type) => type === 'rows'), ['rows']);
});
