/**
 * A link whose transfers share its rate evenly (processor sharing). Work is counted in bytes that each transfer has had
 * since the link began, so that starting or ending one costs a heap's step, however many there are.
 */
import { Heap, type Clock } from './clock.ts';

export interface Transfer {
  /** bytes that have not come yet */
  readonly missing: number;
  /** Gives up; returns the bytes that are missing. */
  cancel(): number;
}

interface Running {
  endWork: number;
  done: (() => void) | undefined;
}

export class Link {
  readonly #clock: Clock;
  readonly #rate: number;
  readonly #most: number;
  readonly #queue = new Heap<Running>();
  /** transfers that run */
  count = 0;
  /** bytes that have gone over it */
  sent = 0;
  #work = 0;
  #workedMs = 0;
  #version = 0;

  /** @param rate bytes per ms of all transfers together; `most`: of one */
  constructor(clock: Clock, rate: number, most = Infinity) {
    this.#clock = clock;
    this.#rate = rate;
    this.#most = most;
  }

  start(bytes: number, done: () => void): Transfer {
    this.#catchUp();
    const running: Running = { endWork: this.#work + bytes, done };
    this.#queue.push(running.endWork, running);
    this.count++;
    this.#wake();
    const missing = (): number => {
      if (!running.done) return 0;
      this.#catchUp();
      return Math.max(0, running.endWork - this.#work);
    };
    return {
      get missing() {
        return missing();
      },
      cancel: () => {
        const bytes = missing();
        if (!running.done) return 0;
        running.done = undefined;
        this.count--;
        this.#wake();
        return bytes;
      },
    };
  }

  get #pace(): number {
    return Math.min(this.#most, this.#rate / this.count);
  }

  #catchUp(): void {
    const { nowMs } = this.#clock;
    if (this.count > 0) {
      const work = (nowMs - this.#workedMs) * this.#pace;
      this.#work += work;
      this.sent += work * this.count;
    }
    this.#workedMs = nowMs;
  }

  #wake(): void {
    const version = ++this.#version;
    if (this.count === 0) return;
    const leftMs = Math.max(0, this.#queue.least - this.#work) / this.#pace;
    this.#clock.after(leftMs, () => version === this.#version && this.#finish());
  }

  #finish(): void {
    this.#catchUp();
    const finished: (() => void)[] = [];
    // Rounding leaves a trace of a byte.
    while (this.#queue.least <= this.#work + 1e-3) {
      const running = this.#queue.pop()!;
      if (!running.done) continue;
      finished.push(running.done);
      running.done = undefined;
      this.count--;
    }
    this.#wake();
    for (const done of finished) done();
  }
}
