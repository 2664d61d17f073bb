import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { sha256 } from './sha256.ts';

test('hashes of every length up to three blocks are those of another implementation', () => {
  const data = Uint8Array.from({ length: 200 }, (_, i) => 37 * i + 11);
  for (let length = 0; length <= data.length; length++) {
    const part = data.subarray(data.length - length);
    assert.equal(Buffer.from(sha256(part)).toString('hex'), createHash('sha256').update(part).digest('hex'));
  }
});
