/**
 * SHA-256 (FIPS 180-4) at once, for the nodes of hash trees: `crypto.subtle` takes many times as long for 64 bytes, on
 * two threads, and who has much to hash asks it for many of them.
 */
import type { Bytes } from '../shared/bytes.ts';

/** The first 32 bits of the fractional parts of the square roots of eight primes, and of the cube roots of 64. */
const initial = new Int32Array(8);
const constants = new Int32Array(64);
for (let n = 2, count = 0; count < 64; n++) {
  let divisor = 2;
  while (n % divisor) divisor++;
  if (divisor < n) continue;
  initial[count] = n ** 0.5 * 2 ** 32;
  constants[count++] = n ** (1 / 3) * 2 ** 32;
}

/** a to h */
type State = [number, number, number, number, number, number, number, number];

const words = new Int32Array(64);

const rotate = (x: number, by: number): number => (x >>> by) | (x << -by);
const mixed = (x: number, i: number, j: number, rest: number): number => rotate(x, i) ^ rotate(x, j) ^ rest;

export function sha256(data: Bytes): Bytes {
  // A one bit, zeros, and the length in bits, to a multiple of 64 bytes.
  const padded = new Uint8Array(((data.length + 72) >> 6) << 6);
  padded.set(data);
  padded[data.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 4, 8 * data.length);
  const state = initial.slice();
  for (let at = 0; at < padded.length; at += 64) {
    let [a, b, c, d, e, f, g, h] = state as Iterable<number> as State;
    for (let i = 0; i < 64; i++) {
      const [x, y] = [words[i - 15]!, words[i - 2]!];
      words[i] =
        i < 16
          ? view.getInt32(at + 4 * i)
          : words[i - 16]! + mixed(x, 7, 18, x >>> 3) + words[i - 7]! + mixed(y, 17, 19, y >>> 10);
      const one = h + mixed(e, 6, 11, rotate(e, 25)) + ((e & f) ^ (~e & g)) + constants[i]! + words[i]!;
      const two = mixed(a, 2, 13, rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g;
      g = f;
      f = e;
      e = (d + one) | 0;
      d = c;
      c = b;
      b = a;
      a = (one + two) | 0;
    }
    [a, b, c, d, e, f, g, h].forEach((word, i) => (state[i]! += word));
  }
  state.forEach((word, i) => view.setInt32(4 * i, word));
  return padded.slice(0, 32);
}
