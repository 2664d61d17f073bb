/**
 * The worker's requests that wait to be decided on: each is taken on as soon as peers are expected to serve it in time,
 * and declined when that is past hope (shared/scheduler.ts).
 */
import type { ToEngine } from '../shared/messages.ts';
import { decide, type Offer } from '../shared/scheduler.ts';
import type { ContentId } from '../store/store.ts';

export type Get = Extract<ToEngine, { type: 'get' }>;

/** In a crowd in which nobody has a content, each asks the origin for it after a random time up to this. */
const hopeMs = 500;
/** In an outage, how long after everybody who is there has been asked somebody else may still turn up. */
const aloneMs = 4000;
const maxWaiting = 256;

/** What a request would meet now. */
export type Supply = Pick<Offer, 'bytes' | 'covered' | 'peers'>;

export interface AdmissionOwner {
  now(): number;
  readonly prefer: 'speed' | 'offload';
  /** connected peers */
  readonly connections: number;
  /** how many further peers could yet serve us */
  coming(): number;
  /** a verdict if there is nothing to decide; undefined while that cannot be said */
  supply(get: Get): Supply | 'accept' | 'decline' | undefined;
  accept(get: Get, dueMs: number): void;
  decline(id: number): void;
}

interface Waiting {
  get: Get;
  dueMs: number;
  timer: ReturnType<typeof setTimeout>;
  /** everybody is connected, and somebody may fetch it meanwhile and give it on */
  hoping: boolean;
  /** in an outage: since when nobody has been to come */
  aloneSinceMs: number | undefined;
}

export class Admission {
  readonly #owner: AdmissionOwner;
  readonly #waiting = new Map<number, Waiting>();

  constructor(owner: AdmissionOwner) {
    this.#owner = owner;
  }

  get busy(): boolean {
    return this.#waiting.size > 0;
  }

  /** The contents that are waited for. */
  *contents(): Generator<ContentId> {
    for (const { get } of this.#waiting.values()) yield get.content;
  }

  add(get: Get): void {
    const { id, start, end, content, deadlineMs } = get;
    const sound = start >= 0 && start < end && end <= content.size;
    if (this.#waiting.has(id) || !sound || this.#waiting.size >= maxWaiting) return this.#owner.decline(id);
    const timer = setTimeout(() => this.#settle(id, 'decline'), Math.max(0, deadlineMs));
    this.#waiting.set(id, { get, dueMs: this.#owner.now() + deadlineMs, timer, hoping: false, aloneSinceMs: undefined });
  }

  /** Decides on what can be decided now. */
  look(): void {
    for (const [id, waiting] of [...this.#waiting]) {
      const verdict = this.#verdict(waiting);
      if (verdict !== 'wait') this.#settle(id, verdict);
    }
  }

  /** Forgets the request, if it waits; nobody is told. */
  cancel(id: number): void {
    clearTimeout(this.#waiting.get(id)?.timer);
    this.#waiting.delete(id);
  }

  cancelAll(): void {
    for (const id of [...this.#waiting.keys()]) this.cancel(id);
  }

  #verdict(waiting: Waiting): 'accept' | 'decline' | 'wait' {
    const owner = this.#owner;
    const { get, dueMs } = waiting;
    const supply = owner.supply(get) ?? 'wait';
    if (typeof supply === 'string') return supply;
    const { prefer } = owner;
    let coming = owner.coming();
    if (coming) waiting.aloneSinceMs = undefined;
    else coming = get.peersOnly ? this.#alone(waiting) : this.#hope(waiting);
    return decide({ ...supply, coming, deadlineMs: dueMs - owner.now(), prefer, peersOnly: get.peersOnly });
  }

  /** 1 while somebody may still turn up, in an outage, though nobody is known of; 0 if not. */
  #alone(waiting: Waiting): number {
    const now = this.#owner.now();
    waiting.aloneSinceMs ??= now;
    return now - waiting.aloneSinceMs < aloneMs ? 1 : 0;
  }

  /** 1 while one of the peers that are here may yet fetch the content from the origin, with `offload`; 0 if not. */
  #hope(waiting: Waiting): number {
    const { connections, prefer } = this.#owner;
    if (connections === 0 || prefer === 'speed') return 0;
    if (!waiting.hoping) {
      waiting.hoping = true;
      clearTimeout(waiting.timer);
      const leftMs = Math.min(hopeMs * Math.random(), waiting.dueMs - this.#owner.now());
      waiting.timer = setTimeout(() => this.#settle(waiting.get.id, 'decline'), Math.max(0, leftMs));
    }
    return 1;
  }

  #settle(id: number, verdict: 'accept' | 'decline'): void {
    const waiting = this.#waiting.get(id);
    this.cancel(id);
    if (!waiting) return;
    if (verdict === 'decline') this.#owner.decline(id);
    else this.#owner.accept(waiting.get, waiting.dueMs);
  }
}
