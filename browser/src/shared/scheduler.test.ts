import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Bitfield } from './bitfield.ts';
import { Claims } from './claims.ts';
import { claimMs, decide, depth, estimateMs, expectSoon, inOrder } from './scheduler.ts';
import { learn, leftMs, outruns, seedNow, seedRun, seedSlow, stallMs, uploadClock } from './scheduler.ts';
import type { Due, Load, Offer, Pace } from './scheduler.ts';
import { blockBytes } from './wire.ts';

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
    size: 100_000,
    connections: 1,
    bytes: 100_000,
    covered: 100_000,
    announced: 0,
    peers: [quick],
    coming: 0,
    deadlineMs: 200,
    originMs: 100,
    prefer: 'speed',
    peersOnly: false,
  };
  const cases: [string, Partial<Offer>, 'accept' | 'wait' | 'decline'][] = [
    ['in time', {}, 'accept'],
    ['too late for now', { bytes: 300_000, covered: 300_000 }, 'wait'],
    ['later than the deadline, offload', { deadlineMs: 10, prefer: 'offload' }, 'accept'],
    ['much too late, offload', { deadlineMs: 10, prefer: 'offload', bytes: 2e6, covered: 2e6 }, 'wait'],
    ['two peers are faster', { bytes: 300_000, covered: 300_000, peers: [quick, quick] }, 'accept'],
    ['a busy peer', { peers: [{ ...quick, queued: 100_001 }] }, 'wait'],
    ['half of it', { covered: 50_000 }, 'accept'],
    ['less than half', { covered: 49_999 }, 'wait'],
    ['large, somebody to share it with', { size: 1 << 20, covered: 0, peers: [] }, 'accept'],
    ['large, nobody there', { size: 1 << 20, covered: 0, peers: [], connections: 0 }, 'wait'],
    ['large, nobody to wait for, offload', { size: 1 << 20, covered: 0, peers: [], connections: 0, prefer: 'offload' }, 'accept'],
    ['nobody yet', { covered: 0, peers: [] }, 'wait'],
    ['the origin would begin only now', { deadlineMs: 0 }, 'accept'],
    ['no origin, all of it, however slow', { peersOnly: true, deadlineMs: 1 }, 'accept'],
    ['no origin, not all of it', { peersOnly: true, covered: 99_999, coming: 1 }, 'wait'],
    ['no origin, nobody to come', { peersOnly: true, covered: 99_999 }, 'decline'],
    ['no origin, time is up', { peersOnly: true, covered: 0, coming: 1, deadlineMs: 0 }, 'decline'],
  ];
  for (const [name, change, want] of cases) assert.equal(decide({ ...base, ...change }), want, name);
  assert.equal(estimateMs({ bytes: 1, peers: [] }), Infinity);
  const nobody = { ...base, covered: 0, peers: [] };
  assert.equal(expectSoon(nobody), false);
  assert.equal(expectSoon({ ...nobody, coming: 1 }), false, 'speed waits for no further connection');
  assert.equal(expectSoon({ ...nobody, coming: 1, connections: 0 }), true, 'but for the first');
  assert.equal(expectSoon({ ...nobody, coming: 1, prefer: 'offload' }), true);
  assert.equal(expectSoon({ ...nobody, announced: 49_999 }), false);
  assert.equal(expectSoon({ ...nobody, announced: 49_999, covered: 1 }), true);
  assert.equal(expectSoon({ ...nobody, covered: 50_000 }), false, 'holders that are too slow');
});

const waiting: Due = {
  ...{ index: 0, urgent: true, holders: 1, coming: false, kept: false },
  ...{ waitedMs: 0, idleMs: 0, quietMs: 3000, lateMs: -1, originMs: 700, leftMs: 0 },
};

test('the web seed steps in where nobody holds a piece, or nothing comes of it', () => {
  const cases: [string, Partial<Due>, boolean, boolean][] = [
    ['nobody holds it', { holders: 0, urgent: false }, true, true],
    ['it has just been asked for', {}, false, false],
    ['nothing comes', { idleMs: 701 }, true, false],
    ['nothing comes for long', { idleMs: 2701 }, true, true],
    ['its turn will come', { idleMs: 2701, quietMs: 100 }, false, false],
    ['its turn has not come, and it is late', { idleMs: 2701, quietMs: 100, lateMs: 1 }, true, true],
    ['it is late, and comes', { idleMs: 10, quietMs: 10, lateMs: 1 }, false, false],
    ['it takes very long', { idleMs: 10, quietMs: 10, waitedMs: 10_801 }, true, true],
    ['nothing comes of what is not needed yet', { idleMs: 9000, urgent: false }, false, false],
    ['nothing comes, and the origin is fast', { idleMs: 600, originMs: 0 }, false, false],
    ['nothing comes, and the origin is slow', { idleMs: 2001, originMs: 1e9 }, true, false],
  ];
  for (const [name, change, speed, offload] of cases) {
    assert.equal(seedNow({ ...waiting, ...change }, 'speed'), speed, `${name}, speed`);
    assert.equal(seedNow({ ...waiting, ...change }, 'offload'), offload, `${name}, offload`);
  }
});

test('a peer that is too slow is raced at the last moment at which the origin is in time', () => {
  const slow = { ...waiting, idleMs: 10, quietMs: 10, originMs: 200, leftMs: 5000 };
  const cases: [string, Partial<Due>, boolean, boolean][] = [
    ['it has time', { lateMs: -51, waitedMs: 1799 }, false, false],
    ['it will be late', { lateMs: -49, waitedMs: 1799 }, true, false],
    ['it will be very late', { lateMs: -49, waitedMs: 1801 }, true, true],
    ['by the time the origin has it, it is there', { lateMs: 1000, waitedMs: 2200, leftMs: 550 }, false, false],
    ['it is not needed yet', { lateMs: 9000, waitedMs: 9000, urgent: false }, false, false],
    ['the origin is no faster', { lateMs: 9000, waitedMs: 2100, originMs: 2500 }, false, false],
    ['a peer is fetching it', { lateMs: 100, waitedMs: 100, coming: true }, false, false],
  ];
  for (const [name, change, speed, offload] of cases) {
    assert.equal(seedNow({ ...slow, ...change }, 'speed'), speed, `${name}, speed`);
    assert.equal(seedNow({ ...slow, ...change }, 'offload'), offload, `${name}, offload`);
  }
});

test('a piece takes as long as the slowest of those who are asked for some of it', () => {
  const [quick, slow] = [{ rate: 1000, latencyMs: 50 }, { rate: 10, latencyMs: 50 }];
  const peers = (quickPart: number, slowPart: number) => [
    { pace: quick, queued: 40_000, part: quickPart },
    { pace: slow, queued: 40_000, part: slowPart },
  ];
  assert.equal(leftMs(65_536, peers(40_000, 16_384)), 1638.4);
  assert.equal(leftMs(65_536, peers(20_000, 0)), 20);
  assert.equal(leftMs(65_536, [{ pace: fresh, queued: 40_000, part: 20_000 }]), 20, 'one that is not known yet');
  assert.equal(leftMs(65_536, peers(0, 0)), estimateMs({ bytes: 65_536, peers: peers(0, 0) }), 'nobody is asked yet');
  assert.equal(leftMs(65_536, []), Infinity);
});

test('what a peer is fetching is left to it, for a time', () => {
  const piece = { ...waiting, holders: 0, coming: true, idleMs: 3000 };
  assert.equal(seedNow(piece, 'speed'), false);
  const cases: [Partial<Due>, boolean, boolean][] = [
    [{ waitedMs: 700 }, true, false],
    [{ waitedMs: 2700 }, true, true],
    [{ waitedMs: 7999, kept: true }, false, false],
    [{ waitedMs: 7999, urgent: false }, false, false],
    [{ waitedMs: 8000, kept: true }, true, true],
    [{ waitedMs: 8000, urgent: false }, true, true],
  ];
  for (const [change, speed, offload] of cases) {
    assert.equal(seedNow({ ...piece, ...change }, 'speed'), speed);
    assert.equal(seedNow({ ...piece, ...change }, 'offload'), offload);
  }
  assert.deepEqual([claimMs(100, 'speed'), claimMs(100, 'offload'), claimMs(1e9, 'speed')], [1300, 3300, 7000]);
});

test('a claim is believed until its time is over, and a peer that brought nothing of one not before it does', () => {
  const claims = new Claims();
  const coming = (piece: number, now: number) => claims.coming(piece, now);
  claims.begin({ first: 3, count: 2 }, 100);
  assert.deepEqual([2, 3, 4, 5].map((piece) => coming(piece, 100)), [false, true, true, false]);
  claims.end({ first: 3, count: 2 });
  assert.equal(coming(3, 100), false);
  claims.begin({ first: 7, count: 1 }, 200);
  assert.equal(coming(7, 150), true, 'ending without it costs nothing');
  assert.equal(coming(7, 201), false);
  claims.begin({ first: 8, count: 2 }, 400);
  assert.equal(coming(8, 300), false, 'it is not believed again');
  claims.gained(9);
  assert.deepEqual([coming(8, 300), coming(7, 300)], [true, false]);
  claims.begin({ first: 20, count: 1 }, 400);
  assert.deepEqual([claims.coming(8, 300, true), claims.coming(20, 300, true)], [true, false]);
  assert.equal(coming(8, 401), false);
  const many = new Claims();
  for (let i = 0; i < 100; i++) many.begin({ first: i, count: 1 }, 1000);
  assert.deepEqual([0, 63, 64].map((piece) => many.coming(piece, 500)), [true, true, false]);
});

test('a claim cannot be renewed, neither while it stands nor by ending it for ever', () => {
  const claims = new Claims();
  const run = { first: 0, count: 2 };
  claims.begin(run, 100);
  assert.throws(() => claims.begin(run, 200));
  claims.end(run);
  for (let i = 0; i < 3; i++) {
    claims.begin(run, 100);
    assert.equal(claims.coming(0, 50), true, `ended ${i + 1} times`);
    claims.end(run);
  }
  claims.begin(run, 100);
  assert.equal(claims.coming(0, 50), false);
  claims.gained(1);
  assert.equal(claims.coming(0, 50), true, 'it has brought something');
  claims.end(run);
  claims.begin(run, 100);
  assert.equal(claims.coming(0, 50), true, 'what has ended well counts for nothing');
});

test('what another is slow with is asked of a peer with nothing to do that needs less than half as long', () => {
  const idle: Load = { pace: { rate: 1000, latencyMs: 50 }, queued: 0 };
  const slow = (part: number) => ({ pace: { rate: 100, latencyMs: 50 }, queued: part, part });
  assert.equal(outruns(idle, slow(blockBytes)), true);
  assert.equal(outruns({ ...idle, queued: 100_000 }, slow(blockBytes)), false, 'nor more than it can do with');
  assert.equal(outruns(idle, { ...slow(4 * blockBytes), pace: idle.pace }), false);
  assert.equal(outruns(slow(0), { ...idle, part: 50_000 }), false);
});

test('a web seed is slow once it has needed twice as long, and a while', () => {
  assert.deepEqual([700, 900].map((ms) => seedSlow(ms, 100)), [false, true]);
  assert.deepEqual([4000, 5000].map((ms) => seedSlow(ms, 2000)), [false, true]);
});

test('pieces are had in order near the playhead, else the rarest first, in an order of the visitor\'s own', () => {
  const wanted = Array.from({ length: 40 }, (_, index) => {
    return { index, urgent: index < 8, holders: index === 30 ? 1 : index % 5 === 0 ? 0 : 2 };
  });
  const order = (salt: number) => inOrder(wanted, salt).map(({ index }) => index);
  const [mine, yours] = [order(1), order(2)];
  assert.deepEqual(mine.slice(0, 8), [0, 1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual(mine.slice(8, 13).sort((a, b) => a - b), [10, 15, 20, 25, 35]);
  assert.equal(mine[13], 30);
  assert.notDeepEqual(mine, yours);
  assert.deepEqual(order(1), mine);
  assert.deepEqual([...mine].sort((a, b) => a - b), wanted.map(({ index }) => index));
  const runs = inOrder(wanted.map(({ index }) => ({ index, urgent: false, holders: 1 })), 1, 8).map(({ index }) => index);
  for (let i = 0; i < 40; i++) assert.equal(runs[i], i % 8 ? runs[i - 1]! + 1 : runs[i]! - (runs[i]! % 8));
  assert.ok(runs.some((index, i) => index !== i), 'stretches are in no common order');
});

test('the web seed is asked for what is urgent, and else for long stretches alone, by each visitor for another', () => {
  const due = (indexes: number[], urgent = 0) => indexes.map((index, i) => ({ index, urgent: i < urgent, holders: 0 }));
  const range = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i);
  assert.equal(seedRun([], 4, 16, 1), undefined);
  assert.deepEqual(seedRun(due(range(3, 10), 1), 4, 16, 1), { first: 3, count: 10 });
  assert.deepEqual(seedRun(due([3, 20, 21, 22, 23, 24], 1), 4, 16, 1), { first: 3, count: 1 });
  assert.deepEqual(seedRun(due([3, 20, 21, 22, 23, 24]), 4, 16, 1), { first: 20, count: 5 });
  assert.equal(seedRun(due([3, 20, 21]), 4, 16, 1), undefined, 'too little to be worth a request');
  const large = due(range(0, 160));
  const chosen = new Set(range(1, 50).map((salt) => seedRun(large, 4, 16, salt)!.first));
  assert.ok(chosen.size >= 8, `${chosen.size} of 10 stretches`);
  assert.ok([...chosen].every((first) => first % 16 === 0));
});

test('uploads keep to a rate, and to a lower one while the page has downloads of its own', () => {
  for (const [busy, rate] of [[false, 32_000], [true, 5_000]] as const) {
    let clock = 0;
    let sent = 0;
    for (let now = 10_000; now < 11_000; now += 10) {
      while (clock <= now) {
        clock = uploadClock(clock, 16_384, now, busy);
        sent += 16_384;
      }
    }
    assert.ok(Math.abs(sent / 1000 - rate) < rate * 0.1, `${sent / 1000} bytes a ms`);
  }
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
