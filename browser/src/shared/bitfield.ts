/** A set of piece indexes, in the byte order of the bitfield message (BEP 3: the high bit of byte 0 is piece 0). */
import type { Bytes } from './wire.ts';

export class Bitfield {
  readonly length: number;
  readonly bytes: Bytes;
  #count = 0;

  /** @param length the number of pieces */
  constructor(length: number) {
    this.length = length;
    this.bytes = new Uint8Array((length + 7) >> 3);
  }

  /** From a bitfield message; undefined if it has the wrong length. Spare bits at the end are ignored. */
  static from(bytes: Bytes, length: number): Bitfield | undefined {
    const field = new Bitfield(length);
    if (bytes.length !== field.bytes.length) return undefined;
    for (let i = 0; i < length; i++) if (bytes[i >> 3]! & (0x80 >> (i & 7))) field.add(i);
    return field;
  }

  /** How many pieces are in the set. */
  get count(): number {
    return this.#count;
  }

  /** False for one out of range. */
  has(index: number): boolean {
    return (this.bytes[index >> 3]! & (0x80 >> (index & 7))) !== 0;
  }

  /** Returns whether the piece was not in the set before; false for one out of range. */
  add(index: number): boolean {
    if (index < 0 || index >= this.length || this.has(index)) return false;
    this.bytes[index >> 3]! |= 0x80 >> (index & 7);
    this.#count++;
    return true;
  }

  delete(index: number): boolean {
    if (index < 0 || index >= this.length || !this.has(index)) return false;
    this.bytes[index >> 3]! &= ~(0x80 >> (index & 7));
    this.#count--;
    return true;
  }

  fill(): void {
    for (let i = 0; i < this.length; i++) this.add(i);
  }

  /** Whether this set has a piece that `other`, of the same length, lacks. */
  exceeds(other: Bitfield): boolean {
    return this.bytes.some((byte, i) => (byte & ~other.bytes[i]!) !== 0);
  }
}
