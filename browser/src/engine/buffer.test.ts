import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Part } from '../store/part.ts';
import { PieceBuffer } from './buffer.ts';
import { noise } from './testing.test.ts';

/** A part in memory that notes its writes. */
function fakePart(size: number, writes: [number, number][]): { part: Part; data: Uint8Array } {
  const data = new Uint8Array(size);
  const part: Part = {
    resumed: false,
    read: (start, end) => data.slice(start, end),
    write(start, bytes) {
      writes.push([start, bytes.length]);
      data.set(bytes, start);
    },
    note: () => {},
    finish: async () => true,
    close: () => {},
  };
  return { part, data };
}

test('pieces are written many at a time, and can be read before and after', () => {
  for (const pieceLength of [16384, 65536, 1 << 21]) {
    const size = 9 * (1 << 20) + 777;
    const whole = noise(size, 1);
    const writes: [number, number][] = [];
    const { part, data } = fakePart(size, writes);
    const buffer = new PieceBuffer(part, pieceLength);
    const count = Math.ceil(size / pieceLength);
    const added: number[] = [];
    for (let i = 0; i < count; i++) {
      // Neighbours swapped, as pieces come.
      const index = (i ^ 1) < count ? i ^ 1 : i;
      added.push(index);
      buffer.add(index, whole.slice(index * pieceLength, (index + 1) * pieceLength));
      const end = Math.min(size, (Math.max(...added) + 1) * pieceLength);
      const start = Math.max(0, end - 3 * pieceLength - 5);
      const there = Array.from({ length: count }, (_, piece) => piece).every((piece) => {
        return added.includes(piece) || (piece + 1) * pieceLength <= start || piece * pieceLength >= end;
      });
      if (there) assert.deepEqual(buffer.read(start, end), whole.slice(start, end));
    }
    assert.deepEqual(buffer.read(5, size - 5), whole.slice(5, size - 5));
    buffer.flush();
    assert.equal(Buffer.compare(data, whole), 0);
    assert.ok(writes.length <= 30, `${writes.length} writes`);
    buffer.flush();
    assert.equal(writes.reduce((sum, [, length]) => sum + length, 0), size, 'each once');
  }
});

test('what cannot be written is told', () => {
  const part = fakePart(1, []).part;
  part.write = () => {
    throw new Error('no space');
  };
  const buffer = new PieceBuffer(part, 1 << 20);
  assert.throws(() => buffer.add(0, new Uint8Array(1 << 20)), /no space/);
});
