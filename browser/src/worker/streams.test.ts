import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cut, deliveryOf } from './streams.ts';

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
  await assert.rejects(read(cut(deliveryOf(body([0, 1])), { start: 1, end: 4 })), /shorter/);
});
