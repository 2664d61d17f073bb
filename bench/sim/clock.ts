/** Simulated time: events in order, and a source of randomness that repeats. */

/** A priority queue of numbers' bearers, the least first: a binary heap. */
export class Heap<T> {
  readonly #keys: number[] = [];
  readonly #items: T[] = [];

  get least(): number {
    return this.#keys[0] ?? Infinity;
  }

  push(key: number, item: T): void {
    let at = this.#keys.length;
    for (let up; at > 0 && this.#keys[(up = (at - 1) >> 1)]! > key; at = up) this.#move(up, at);
    this.#keys[at] = key;
    this.#items[at] = item;
  }

  pop(): T | undefined {
    const first = this.#items[0];
    const key = this.#keys.pop();
    const item = this.#items.pop();
    const { length } = this.#keys;
    if (key === undefined || length === 0) return first;
    let at = 0;
    for (let down; (down = 2 * at + 1) < length; at = down) {
      if (down + 1 < length && this.#keys[down + 1]! < this.#keys[down]!) down++;
      if (this.#keys[down]! >= key) break;
      this.#move(down, at);
    }
    this.#keys[at] = key;
    this.#items[at] = item!;
    return first;
  }

  #move(from: number, to: number): void {
    this.#keys[to] = this.#keys[from]!;
    this.#items[to] = this.#items[from]!;
  }
}

export class Clock {
  readonly #events = new Heap<() => void>();
  nowMs = 0;

  at(ms: number, run: () => void): void {
    this.#events.push(Math.max(ms, this.nowMs), run);
  }

  after(ms: number, run: () => void): void {
    this.at(this.nowMs + ms, run);
  }

  /** Until nothing is left to happen. */
  run(): void {
    for (let ms; (ms = this.#events.least) < Infinity; ) {
      this.nowMs = ms;
      this.#events.pop()!();
    }
  }
}

/** Numbers from 0 to 1 that follow from a seed: mulberry32. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Exponentially distributed, of mean 1. */
export const exponential = (random: () => number): number => -Math.log(1 - random());

/** Log-normally distributed around its median. */
export function logNormal(random: () => number, median: number, sigma: number): number {
  const normal = Math.sqrt(2 * exponential(random)) * Math.cos(2 * Math.PI * random());
  return median * Math.exp(sigma * normal);
}
