/** What the fuzz tests draw from: a generator of the same numbers for the same seed. */
import type { Bytes } from './wire.ts';

/** Numbers that codecs get wrong: ends of ranges, signs, and what is no integer. */
const edges = [
  0,
  1,
  -1,
  2,
  255,
  256,
  16383,
  16384,
  65535,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 53 - 1,
  2 ** 53,
  0.5,
  1e300,
];
/** Text that parsers get wrong. */
const snippets = [
  '',
  ' ',
  '/',
  '//',
  '\\',
  '.',
  '..',
  '%',
  '%2e%2e',
  '%2F',
  '%00',
  '%zz',
  '\0',
  '\n',
  '\r\n',
  '"',
  "'",
  '<',
  '>',
  '&',
  '=',
  ':',
  ';',
  ',',
  '-',
  '*',
  '__proto__',
  'constructor',
  'é',
  '日本',
  '🐚',
  '\ud800',
  '\udc00',
  '\ufeff',
  'a',
  'A1',
];

export class Random {
  readonly seed: number;
  #state: number;

  constructor(seed: number) {
    this.seed = seed;
    this.#state = seed >>> 0;
  }

  /** 0 to below 1 (mulberry32) */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** an integer from 0 to below `limit` */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  bytes(length: number): Bytes {
    return Uint8Array.from({ length }, () => this.below(256));
  }

  hex(bytes: number): string {
    return Buffer.from(this.bytes(bytes)).toString('hex');
  }

  uint32(): number {
    return this.below(2) ? this.below(2 ** 32) : this.below(100);
  }

  number(): number {
    return this.below(3) ? this.pick(edges) : this.below(100_000) - 1000;
  }

  text(most = 6): string {
    return Array.from({ length: this.below(most) }, () => this.pick(snippets)).join('');
  }

  /** any JSON value, two levels deep at most */
  json(depth = 2): unknown {
    switch (this.below(depth > 0 ? 8 : 5)) {
      case 0:
        return null;
      case 1:
        return this.below(2) === 1;
      case 2:
      case 3:
        return this.number();
      case 4:
        return this.text();
      case 5:
        return Array.from({ length: this.below(4) }, () => this.json(depth - 1));
      default:
        return Object.fromEntries(Array.from({ length: this.below(4) }, () => [this.text(3), this.json(depth - 1)]));
    }
  }

  /** The JSON value with one of its parts replaced, removed, repeated, moved or made an object like an array. */
  mutateJson(value: unknown): unknown {
    if (typeof value !== 'object' || value === null) return this.json();
    const copy = structuredClone(value);
    let at = copy as Record<string, unknown>;
    for (;;) {
      const keys = Object.keys(at);
      const key = keys[this.below(keys.length)];
      if (key === undefined) return this.json();
      const inner = at[key];
      if (typeof inner === 'object' && inner !== null && this.below(4)) {
        at = inner as Record<string, unknown>;
        continue;
      }
      const act = this.below(6);
      if (act === 0) delete at[key];
      else if (act === 1 && Array.isArray(at)) at.splice(this.below(at.length), 0, structuredClone(inner));
      else if (act === 2 && Array.isArray(at)) at.reverse();
      else if (act === 3 && Array.isArray(inner)) at[key] = { ...inner, length: inner.length };
      else if (act === 4 && typeof inner === 'number') at[key] = inner + this.pick([-1, 1, 0.5, 2 ** 31, 2 ** 53]);
      else at[key] = this.json();
      return copy;
    }
  }

  /** The bytes with some changed, cut out, repeated or put in. */
  mutate(data: Bytes): Bytes {
    let out = [...data];
    for (let left = 1 + this.below(4); left > 0; left--) {
      const at = this.below(out.length + 1);
      const act = this.below(4);
      if (act === 0) out[at] = this.below(256);
      else if (act === 1) out.splice(at, 1 + this.below(8));
      else if (act === 2) out.splice(at, 0, ...this.bytes(1 + this.below(8)));
      else out = [...out.slice(0, at), ...out.slice(Math.max(0, at - this.below(40)))];
    }
    return Uint8Array.from(out);
  }

  mutateText(text: string): string {
    const at = this.below(text.length + 1);
    return text.slice(0, at) + this.text(3) + text.slice(at + this.below(6));
  }

  /** The bytes in chunks of 1 to `most`. */
  *chunks(data: Bytes, most: number): Generator<Bytes> {
    for (let at = 0; at < data.length;) {
      const length = 1 + this.below(most);
      yield data.slice(at, at + length);
      at += length;
    }
  }
}
