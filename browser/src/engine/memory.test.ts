import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { recall, remember, type Memory } from './memory.ts';

const id = (n: number): string => `${n}`.padStart(40, '0');
const progress = { left: 0, uploaded: 0, downloaded: 0 };
const torrent = { infoHash: id(1), trackers: ['ws://tracker.test/'], ice: [], peers: 8, progress };
let stored: Map<string, string>;

beforeEach(() => {
  stored = new Map();
  mock.timers.enable({ apis: ['Date'] });
  const sessionStorage = {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => void stored.set(key, value),
    removeItem: (key: string) => stored.delete(key),
  };
  Object.assign(globalThis, { sessionStorage });
});
afterEach(() => mock.timers.reset());

test('what was remembered is recalled once, and few of many peers', () => {
  const peers = Array.from({ length: 30 }, (_, i) => id(i));
  const ropes = [{ peerId: id(1), id: id(2), offer: 'v=0', answer: 'v=0' }];
  const tracker = 'ws://tracker.test/';
  remember('key', { torrent, peers, ropes, tracker });
  assert.equal(recall('another'), undefined);
  assert.deepEqual(recall('key'), { torrent, peers: peers.slice(0, 8), ropes, tracker });
  assert.equal(recall('key'), undefined);
});

test('after minutes it is forgotten', () => {
  remember('key', { torrent, peers: [id(2)], ropes: [] });
  mock.timers.tick(5 * 60_000);
  assert.equal(recall('key'), undefined);
});

test('what others wrote, or no storage at all, is nothing', () => {
  const atMs = Date.now();
  const good: Memory & { atMs: number } = { atMs, torrent, peers: [id(2)], ropes: [] };
  const bad = [
    ...['', 'null', '[]', '{}', '7', '{'],
    JSON.stringify({ ...good, peers: ['<script>'] }),
    JSON.stringify({ ...good, peers: { length: 1 } }),
    JSON.stringify({ ...good, ropes: 7 }),
    JSON.stringify({ ...good, ropes: [{ peerId: id(1), id: '', offer: '', answer: '' }] }),
    JSON.stringify({ ...good, ropes: [{ peerId: id(1), id: id(2), offer: 1, answer: '' }] }),
    JSON.stringify({ ...good, torrent: { ...torrent, infoHash: 1 } }),
    JSON.stringify({ ...good, torrent: { ...torrent, trackers: 'ws://x/' } }),
  ];
  for (const text of bad) {
    stored.set('key', text);
    assert.equal(recall('key'), undefined, text);
  }
  Object.assign(globalThis, { sessionStorage: undefined });
  remember('key', good);
  assert.equal(recall('key'), undefined);
});
