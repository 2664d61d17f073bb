import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Bitfield } from './bitfield.ts';
import { decide, depth, estimateMs, learn, seedNow, stallMs, unchoke, type Offer, type Pace } from './scheduler.ts';

const fresh: Pace = { rate: 0, latencyMs: 0 };

test('the pipeline grows with the peer, within what it queues, and shrinks to one when it stalls', () => {
  assert.equal(depth(fresh, 250, false), 16);
  assert.equal(depth(fresh, 5, false), 5);
  assert.equal(depth(fresh, 250, true), 1);
  assert.equal(depth({ rate: 1, latencyMs: 10 }, 250, false), 4);
  assert.equal(depth({ rate: 1638.4, latencyMs: 100 }, 250, false), 50);
  assert.equal(depth({ rate: 1e9, latencyMs: 100 }, 1e9, false), 192);
  assert.equal(depth({ rate: 1, latencyMs: 10 }, 1, false), 1);
});

test('the pace settles at what the peer does, in bursts or steadily', () => {
  let steady = fresh;
  let bursts = fresh;
  for (let i = 0; i < 400; i++) {
    steady = learn(steady, 16384, 4, 50);
    bursts = learn(bursts, 16384, i % 4 ? 0 : 16, 50);
  }
  assert.ok(Math.abs(steady.rate - 4096) < 10, `${steady.rate}`);
  assert.ok(bursts.rate > 2500 && bursts.rate < 7000, `${bursts.rate}`);
  assert.equal(steady.latencyMs, 50);
});

test('short blocks and pauses say nothing of the rate', () => {
  let pace = learn(fresh, 16384, undefined, 80);
  assert.deepEqual(pace, { rate: 0, latencyMs: 80 });
  for (let i = 0; i < 50; i++) pace = learn(pace, 1, 16, 80);
  assert.ok(pace.rate > 900, `${pace.rate}`);
});

test('a stall is told by the latency, within bounds', () => {
  assert.equal(stallMs(fresh), 700);
  assert.equal(stallMs({ rate: 0, latencyMs: 500 }), 2000);
  assert.equal(stallMs({ rate: 0, latencyMs: 60_000 }), 6000);
});

test('decisions', () => {
  const quick = { pace: { rate: 1000, latencyMs: 50 }, queued: 0 };
  const base: Offer = {
    bytes: 100_000,
    covered: 100_000,
    peers: [quick],
    coming: 0,
    deadlineMs: 200,
    prefer: 'speed',
    peersOnly: false,
  };
  const cases: [string, Partial<Offer>, 'accept' | 'wait' | 'decline'][] = [
    ['in time', {}, 'accept'],
    ['too late', { deadlineMs: 149 }, 'decline'],
    ['later than the deadline, offload', { deadlineMs: 10, prefer: 'offload' }, 'accept'],
    ['much too late, offload', { deadlineMs: 10, prefer: 'offload', bytes: 2e6, covered: 2e6 }, 'decline'],
    ['two peers are faster', { deadlineMs: 149, peers: [quick, quick] }, 'accept'],
    ['a busy peer', { peers: [{ ...quick, queued: 100_000 }] }, 'decline'],
    ['half of it', { covered: 50_000 }, 'accept'],
    ['less than half', { covered: 49_999 }, 'decline'],
    ['nobody', { covered: 0, peers: [] }, 'decline'],
    ['nobody yet, speed', { covered: 0, peers: [], coming: 3 }, 'decline'],
    ['nobody yet, offload', { covered: 0, peers: [], coming: 3, prefer: 'offload' }, 'wait'],
    ['nobody to come, offload', { covered: 0, peers: [], prefer: 'offload' }, 'decline'],
    ['waited enough', { covered: 0, peers: [], coming: 3, prefer: 'offload', deadlineMs: 0 }, 'decline'],
    ['no origin, all of it, however slow', { peersOnly: true, deadlineMs: 1 }, 'accept'],
    ['no origin, not all of it', { peersOnly: true, covered: 99_999, coming: 1 }, 'wait'],
    ['no origin, nobody to come', { peersOnly: true, covered: 99_999 }, 'decline'],
    ['no origin, time is up', { peersOnly: true, covered: 0, coming: 1, deadlineMs: 0 }, 'decline'],
  ];
  for (const [name, change, want] of cases) assert.equal(decide({ ...base, ...change }), want, name);
  assert.equal(estimateMs({ bytes: 1, peers: [] }), Infinity);
});

test('the web seed steps in where nobody holds a piece, or nothing comes of it', () => {
  const piece = { holders: 1, waitedMs: 0, idleMs: 0, quietMs: 3000, originMs: 400 };
  assert.equal(seedNow({ ...piece, holders: 0 }, 'offload'), true);
  assert.equal(seedNow(piece, 'speed'), false);
  assert.equal(seedNow({ ...piece, idleMs: 401 }, 'speed'), true);
  assert.equal(seedNow({ ...piece, idleMs: 401 }, 'offload'), false);
  assert.equal(seedNow({ ...piece, idleMs: 2401 }, 'offload'), true);
  assert.equal(seedNow({ ...piece, idleMs: 2401, quietMs: 100 }, 'offload'), false, 'its turn will come');
  assert.equal(seedNow({ ...piece, idleMs: 2401, quietMs: 100, waitedMs: 9601 }, 'offload'), true);
  assert.equal(seedNow({ ...piece, idleMs: 251, originMs: 0 }, 'speed'), true);
  assert.equal(seedNow({ ...piece, idleMs: 2001, originMs: 1e9 }, 'speed'), true);
});

test('upload slots go round: everybody gets one in time, nobody who is not interested while there are too few', () => {
  const peers = Array.from({ length: 20 }, (_, i) => ({ interested: i !== 7, choked: true, sinceMs: 0, turns: 0 }));
  for (let now = 1; now <= 40; now++) {
    const chosen = unchoke(peers, 4, true);
    assert.equal(chosen.size, 4);
    for (const peer of peers) {
      if (peer.choked === chosen.has(peer)) [peer.choked, peer.sinceMs] = [!peer.choked, now];
      if (chosen.has(peer)) peer.turns++;
    }
  }
  assert.deepEqual(peers.filter(({ turns }) => turns === 0), [peers[7]]);
  const before = peers.filter(({ choked }) => !choked);
  assert.deepEqual(unchoke(peers, 4, false), new Set(before.sort((a, b) => a.sinceMs - b.sinceMs)));
  assert.equal(unchoke(peers, 19, true).size, 19, 'there are slots for all that are interested');
  assert.equal(unchoke(peers, 20, true).size, 20, 'and here for all');
  assert.equal(unchoke([], 4, true).size, 0);
});

test('a bitfield is the message it came in', () => {
  const field = new Bitfield(11);
  assert.equal(field.bytes.length, 2);
  assert.deepEqual([field.add(0), field.add(10), field.add(10), field.add(11), field.add(-1)], [true, true, false, false, false]);
  assert.deepEqual([...field.bytes], [0x80, 0x20]);
  assert.equal(Bitfield.from(Uint8Array.of(0x80, 0x3f), 11)!.count, 2);
  assert.equal(Bitfield.from(new Uint8Array(3), 11), undefined);
  const other = Bitfield.from(Uint8Array.of(0xff, 0xff), 11)!;
  assert.deepEqual([other.count, other.exceeds(field), field.exceeds(other)], [11, true, false]);
  assert.deepEqual([other.delete(3), other.delete(3), other.count, other.has(3)], [true, false, 10, false]);
});
