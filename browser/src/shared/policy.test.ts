import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as policy from './policy.ts';

const idle: policy.Standing = {
  ...{ alone: false, gatherMs: 0, waitedMs: 0, pageAgeMs: 100, connections: 0, soon: undefined },
  ...{ engineAgeMs: 1e6, greeted: true, urgent: false, barsEngine: false, measured: false, pageMs: 1000 },
};

test('speed leaves the origin alone only while peers have not answered, or the first is about to come', () => {
  for (const [change, want] of [
    [{}, 0],
    [{ engineAgeMs: undefined }, 0],
    [{ connections: 3 }, policy.answerMs],
    [{ connections: 3, soon: true, waitedMs: 20 }, 480],
    [{ connections: 3, soon: true, urgent: true, waitedMs: 20 }, policy.answerMs - 20],
    [{ connections: 3, soon: true, pageMs: 40 }, policy.answerMs],
    [{ connections: 3, soon: false }, 0],
    [{ connections: 3, waitedMs: 1e6 }, 0],
    [{ soon: true }, 500],
    [{ soon: true, waitedMs: 400 }, 100],
    [{ soon: true, waitedMs: 500 }, 0],
    [{ soon: true, pageMs: 40 }, 20],
    [{ soon: true, pageMs: 1e6 }, policy.connectMs],
    [{ soon: true, urgent: true }, 0],
    [{ measured: true, engineAgeMs: undefined, pageMs: 900 }, 200],
    [{ measured: true, pageMs: 1e6 }, policy.connectMs - 100],
    [{ measured: true, pageAgeMs: 400 }, 0],
    [{ measured: true, urgent: true }, 0],
    [{ measured: true, alone: true }, 0],
    [{ gatherMs: 7 }, 7],
    [{ gatherMs: 7, soon: false, waitedMs: 7 }, 0],
  ] as const) {
    assert.equal(policy.turnWaitMs('speed', { ...idle, ...change }), want, JSON.stringify(change));
  }
});

test('offload waits for an engine, for the first connection, and for what a peer is fetching', () => {
  for (const [what, change, want] of [
    ['the engine looks for peers', {}, policy.offloadMs],
    ['it has looked for long', { waitedMs: policy.offloadMs }, 0],
    ['it has been there for a moment', { waitedMs: policy.offloadMs, engineAgeMs: 300 }, policy.offloadMs - 300],
    ['there is none yet', { engineAgeMs: undefined }, policy.greetedMs - 100],
    ['nobody has said that there will be', { engineAgeMs: undefined, greeted: false }, policy.engineStartMs - 100],
    ['there is none before this has come', { engineAgeMs: undefined, barsEngine: true }, 0],
    ['there is one in another page', { connections: 3, barsEngine: true }, policy.offloadMs],
    ['there is none any more', { engineAgeMs: undefined, pageAgeMs: 60_000 }, 0],
    ['nobody has it or is about to', { connections: 3, soon: false }, 0],
    ['it was alone a moment ago', { engineAgeMs: undefined, alone: true }, 0],
    ['it was alone, but somebody has come', { connections: 1, alone: true }, policy.offloadMs],
    ['a peer is fetching it', { connections: 3, soon: true, waitedMs: 3000 }, policy.trustMs - 3000],
    ['a peer said so long ago', { connections: 3, soon: true, waitedMs: policy.trustMs }, 0],
  ] as const) {
    assert.equal(policy.turnWaitMs('offload', { ...idle, ...change }), want, what);
  }
});

test('turns are a few at least, and as many as fill the way from the origin', () => {
  const far = { latencyMs: 400, leastMs: 200, bytesPerMs: 1000 };
  assert.ok(policy.turnFree('speed', 5, 1e9, far));
  assert.ok(!policy.turnFree('speed', 6, 400_000, far));
  assert.ok(policy.turnFree('speed', 60, 399_999, far));
  assert.ok(!policy.turnFree('offload', 3, 400_000, far));
});

test('images come in flocks, and what is not the first of its page; what rendering waits for does not wait', () => {
  const origin = { latencyMs: 900, leastMs: 50, bytesPerMs: 1000 };
  assert.equal(policy.gatherMs('image', 0, 50_000, origin), 5);
  assert.equal(policy.gatherMs('image', 0, 1e6, origin), policy.maxGatherMs);
  assert.equal(policy.gatherMs('', 1, 50_000, origin), 5);
  assert.equal(policy.gatherMs('', 0, 50_000, origin), 0);
  assert.equal(policy.gatherMs('style', 5, 50_000, origin), 0);
});

test('what rendering waits for goes first and in order, the rest as chance has it', () => {
  const ranks = [
    policy.turnRank(policy.isUrgent('style'), 7, 0.9),
    policy.turnRank(policy.isUrgent('script'), 8, 0.1),
    policy.turnRank(policy.isUrgent('image'), 2, 0.1),
    policy.turnRank(policy.isUrgent(''), 1, 0.2),
    policy.turnRank(policy.isUrgent('image'), 0, 0.9),
    policy.turnRank(true, 0, 0, true),
  ];
  assert.deepEqual(ranks.toSorted((a, b) => a - b), ranks);
});

test('Firefox is known by its engine, which others are only like', () => {
  for (const [userAgent, want] of [
    ['Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0', true],
    ['Mozilla/5.0 (Android 16; Mobile; rv:153.0) Gecko/153.0 Firefox/153.0', true],
    ['Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36', false],
    ['Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/605.1.15', false],
  ] as const) {
    assert.equal(policy.importsLast(userAgent), want, userAgent);
  }
});

test('small files go to the origin where speed is preferred', () => {
  assert.ok(!policy.worthAsking('speed', 4096));
  assert.ok(policy.worthAsking('speed', 4097));
  assert.ok(policy.worthAsking('offload', 1));
});

test('measurements are averaged, and small bodies say nothing of throughput', () => {
  const before = { latencyMs: 100, leastMs: 50, bytesPerMs: 100 };
  assert.deepEqual(policy.withLatency(before, 200), { latencyMs: 130, leastMs: 51, bytesPerMs: 100 });
  assert.equal(policy.withLatency(before, 10).leastMs, 10);
  assert.equal(policy.withBody(before, 100, 1), before);
  assert.equal(policy.withBody(before, 1e6, 1000).bytesPerMs, 370);
});

test('who may share', () => {
  const wish = { saveData: false, gpc: false, paused: false };
  assert.ok(policy.mayShare('auto', 'unset', wish));
  assert.ok(!policy.mayShare('auto', 'denied', wish));
  assert.ok(!policy.mayShare('auto', 'unset', { ...wish, gpc: true }));
  assert.ok(!policy.mayShare('auto', 'unset', { ...wish, saveData: true }));
  assert.ok(policy.mayShare('auto', 'granted', { ...wish, gpc: true }));
  assert.ok(!policy.mayShare('auto', 'granted', { ...wish, paused: true }));
  assert.ok(!policy.mayShare('ask', 'unset', wish));
  assert.ok(policy.mayShare('ask', 'granted', wish));
  assert.ok(!policy.mayShare('off', 'granted', wish));
});

test('three starts within a minute are a crash loop', () => {
  assert.ok(policy.crashLoop([1000, 2000, 3000]));
  assert.ok(!policy.crashLoop([1000, 2000]));
  assert.ok(!policy.crashLoop([1000, 2000, 61_000]));
  assert.ok(policy.crashLoop([1000, 62_000, 63_000, 64_000]));
});

test('what runs or styles is active, by type or by destination', () => {
  for (const [type, destination, want] of [
    ['text/html', '', true],
    ['image/svg+xml', 'image', true],
    ['application/wasm', '', true],
    ['image/png', 'image', false],
    ['application/octet-stream', 'sharedworker', true],
    ['application/octet-stream', 'script', true],
    ['video/mp4', 'video', false],
  ] as const) {
    assert.equal(policy.isActive(type, destination), want, `${type} as ${destination}`);
  }
});
