import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cut, deliveryOf, firstOf, hedged } from './streams.ts';

const body = (...chunks: number[][]): ReadableStream<Uint8Array<ArrayBuffer>> =>
  new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(new Uint8Array(chunk));
      controller.close();
    },
  });

async function read(delivery: ReturnType<typeof cut>): Promise<number[]> {
  const all: number[] = [];
  for (let chunk; (chunk = await delivery.next()); ) all.push(...chunk);
  return all;
}

test('a range is cut out of a body, wherever its chunks begin', async () => {
  const all = [0, 1, 2, 3, 4, 5, 6, 7];
  for (let start = 0; start < all.length; start++) {
    for (let end = start + 1; end <= all.length; end++) {
      const source = deliveryOf(body([0, 1, 2], [], [3], [4, 5, 6, 7]));
      assert.deepEqual(await read(cut(source, { start, end })), all.slice(start, end), `[${start}, ${end})`);
    }
  }
});

test('what comes after the range is not waited for', async () => {
  let cancelled = false;
  const endless = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull: (controller) => controller.enqueue(new Uint8Array([1, 2])),
    cancel: () => void (cancelled = true),
  });
  assert.deepEqual(await read(cut(deliveryOf(endless), { start: 3, end: 6 })), [2, 1, 2]);
  assert.equal(cancelled, true);
});

test('a body shorter than promised is no answer', async () => {
  await assert.rejects(read(cut(deliveryOf(body([0, 1])), { start: 1, end: 4 })), /short/);
});

const never = new Promise<undefined>(() => {});
const turns = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
};

test('the first of all that comes to something', async () => {
  assert.equal(await firstOf([never, Promise.reject(new Error()), Promise.resolve(undefined), Promise.resolve(0)]), 0);
  assert.equal(await firstOf([Promise.reject(new Error()), Promise.resolve(undefined)]), undefined);
  assert.equal(await firstOf([]), undefined);
});

test('one is tried after the other: at once where there is nothing, and after a while where there is no answer', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const tried: string[] = [];
  let answer: (value: string) => void = () => {};
  const late = new Promise<string>((resolve) => (answer = resolve));
  const attempt = (name: string, result: Promise<string | undefined>) => (): Promise<string | undefined> => {
    tried.push(name);
    return result;
  };
  const got = hedged(1000, [
    attempt('fails', Promise.reject(new Error())),
    attempt('late', late),
    attempt('lacks it', Promise.resolve(undefined)),
    attempt('hangs', never),
    attempt('last', never),
  ]);
  await turns();
  assert.deepEqual(tried, ['fails', 'late']);
  t.mock.timers.tick(999);
  await turns();
  assert.deepEqual(tried, ['fails', 'late']);
  t.mock.timers.tick(1);
  await turns();
  assert.deepEqual(tried, ['fails', 'late', 'lacks it', 'hangs']);
  // What comes first counts, though it was not waited for.
  answer('late');
  assert.equal(await got, 'late');
  t.mock.timers.tick(1000);
  await turns();
  assert.equal(await hedged(1000, []), undefined);
});
