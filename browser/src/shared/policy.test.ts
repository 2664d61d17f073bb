import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as policy from './policy.ts';

const slow = { latencyMs: 300, bytesPerMs: 100 };

test('speed gives peers what the origin would take, with a floor', () => {
  assert.equal(policy.deadlineMs('speed', 10_000, { latencyMs: 20, bytesPerMs: 10_000 }), policy.graceMs);
  assert.equal(policy.deadlineMs('speed', 100_000, slow), 1300);
});

test('offload adds its allowance', () => {
  assert.equal(policy.deadlineMs('offload', 100_000, slow), 1300 + policy.offloadMs);
});

test('a deadline is bounded whatever the size or the measurement', () => {
  assert.equal(policy.deadlineMs('speed', 1e15, slow), 10_000);
});

test('small files go to the origin where speed is preferred', () => {
  assert.ok(!policy.worthAsking('speed', 4096));
  assert.ok(policy.worthAsking('speed', 4097));
  assert.ok(policy.worthAsking('offload', 1));
});

test('only offload and an outage wait for an engine, and not for long', () => {
  assert.equal(policy.engineWaitMs('speed', 0, false), 0);
  assert.equal(policy.engineWaitMs('offload', 500, false), 1000);
  assert.equal(policy.engineWaitMs('offload', 60_000, false), 0);
  assert.ok(policy.engineWaitMs('speed', 2000, true) > 0);
});

test('measurements are averaged, and small bodies say nothing of throughput', () => {
  assert.deepEqual(policy.measured({ latencyMs: 100, bytesPerMs: 100 }, 200, 100, 1), { latencyMs: 130, bytesPerMs: 100 });
  assert.equal(policy.measured({ latencyMs: 100, bytesPerMs: 100 }, 100, 1e6, 1000).bytesPerMs, 370);
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
  assert.ok(policy.crashLoop([1000, 2000, 3000], 4000));
  assert.ok(!policy.crashLoop([1000, 2000], 4000));
  assert.ok(!policy.crashLoop([1000, 2000, 3000], 62_500));
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
