/** Deterministic bytes, and their names. */
import { createHash } from 'node:crypto';

/** `size` bytes that look random and depend on `seed` alone: SHA-256(seed || counter), block after block. */
export function noise(seed: string, size: number): Buffer {
  const out = Buffer.alloc(size);
  for (let at = 0, block = 0; at < size; at += 32, block++) {
    createHash('sha256').update(`${seed}\0${block}`).digest().copy(out, at);
  }
  return out;
}

/** SHA-256 in hex: how the tests compare contents, which is no hash that Planktos itself computes of large files. */
export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
