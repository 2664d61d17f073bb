import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as policy from './policy.ts';

const slow = { latencyMs: 300, bytesPerMs: 100 };

test('speed answers within the grace, whatever the origin is like, and waits for no engine', () => {
  for (const origin of [slow, { latencyMs: 20, bytesPerMs: 10_000 }]) {
    for (const size of [1, 10_000, 1e15]) {
      const { engineMs, answerMs } = policy.budget('speed', size, origin, 0, false);
      assert.deepEqual([engineMs, answerMs], [0, policy.graceMs]);
    }
  }
});

test('peers have what the origin alone would take, with a floor and a bound', () => {
  assert.equal(policy.budget('speed', 10_000, { latencyMs: 20, bytesPerMs: 10_000 }, 0, false).doneMs, policy.graceMs);
  assert.equal(policy.budget('speed', 100_000, slow, 0, false).doneMs, 1300);
  assert.equal(policy.budget('speed', 1e15, slow, 0, false).doneMs, 10_000);
});

test('offload adds its allowance once: waiting for an engine is part of it', () => {
  for (const pageAgeMs of [0, 500, 60_000]) {
    const { engineMs, answerMs, doneMs } = policy.budget('offload', 100_000, slow, pageAgeMs, false);
    assert.equal(engineMs, Math.max(0, policy.engineStartMs - pageAgeMs));
    assert.equal(answerMs, policy.offloadMs);
    assert.equal(doneMs, 1300 + policy.offloadMs);
    assert.ok(engineMs <= answerMs && answerMs <= doneMs);
  }
});

test('in an outage there is time', () => {
  assert.deepEqual(policy.budget('speed', 1, slow, 2000, true), { engineMs: 2500, answerMs: 15_000, doneMs: 15_000 });
});

test('small files go to the origin where speed is preferred', () => {
  assert.ok(!policy.worthAsking('speed', 4096));
  assert.ok(policy.worthAsking('speed', 4097));
  assert.ok(policy.worthAsking('offload', 1));
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
