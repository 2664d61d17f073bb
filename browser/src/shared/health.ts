/**
 * How hosts do that have the same to give. One that failed rests, for twice as long after each further failure, and
 * never as long as another visitor's: what comes back to life is not asked by everybody at once.
 */
const firstMs = 1000;
const longestMs = 60_000;

interface Illness {
  failures: number;
  /** rests until then */
  untilMs: number;
}

export class Health {
  readonly #ill = new Map<string, Illness>();
  readonly #now: () => number;
  readonly #random: () => number;

  constructor(now = Date.now, random = Math.random) {
    this.#now = now;
    this.#random = random;
  }

  /** A host has given what it was asked for, or failed to. */
  note(host: string, well: boolean): void {
    const failures = (this.#ill.get(host)?.failures ?? 0) + 1;
    const restMs = Math.min(longestMs, firstMs * 2 ** failures) * (0.5 + this.#random() / 2);
    if (well) this.#ill.delete(host);
    else this.#ill.set(host, { failures, untilMs: this.#now() + restMs });
  }

  rests(host: string): boolean {
    return this.#untilMs(host) > 0;
  }

  /** Those that do not rest in their own order, then the others, by when they will have rested. */
  ranked<T>(all: readonly T[], hostOf: (each: T) => string): T[] {
    return [...all].sort((a, b) => this.#untilMs(hostOf(a)) - this.#untilMs(hostOf(b)));
  }

  #untilMs(host: string): number {
    const untilMs = this.#ill.get(host)?.untilMs ?? 0;
    return untilMs > this.#now() ? untilMs : 0;
  }
}
