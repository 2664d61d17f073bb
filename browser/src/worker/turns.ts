/**
 * Turns at the origin. Of the contents that other visitors may have, or may soon have, a page fetches a few at a time;
 * the rest stand in the engine meanwhile, and whichever comes first serves (shared/policy.ts decides).
 */
import type { Content, FileRow } from '../shared/manifest.ts';
import { aloneMs, gatherMs, importsLast, isMeasured, isUrgent } from '../shared/policy.ts';
import { turnFree, turnLimitMs, turnRank, turnWaitMs } from '../shared/policy.ts';
import { idOf } from './content.ts';
import type { Site } from './site.ts';

/** A request's place in the queue. */
export interface Turn {
  /** aborted when the turn has come */
  readonly come: AbortSignal;
  /** when the origin alone would have brought the content, in ms from now */
  dueMs(): number;
  /** What an engine says of the content: it brings it, it may soon (`expect`), or it does not. */
  hear(news: 'accept' | boolean): void;
  /** The body has come, and is being kept: another may be fetched. */
  arrived(): void;
  /** Ends the wait, or the fetch; idempotent. */
  leave(): void;
}

interface Place {
  client: string;
  content: Content;
  /** 0 where it fills no place: a stream, or a part of a file */
  bytes: number;
  gatherMs: number;
  urgent: boolean;
  barsEngine: boolean;
  count: number;
  random: number;
  beganMs: number;
  pageAgeMs: number;
  soon: boolean | undefined;
  come: AbortController;
}

export class Turns {
  readonly #site: Site;
  readonly importsLast: boolean;
  readonly #waiting = new Set<Place>();
  readonly #running = new Set<Place>();
  #entered = 0;
  #looking = false;
  /** when an engine last said that it knows of nobody */
  #aloneMs = -Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(site: Site, userAgent = globalThis.navigator?.userAgent ?? '') {
    this.#site = site;
    this.importsLast = importsLast(userAgent);
  }

  /** Whether any request waits, or is being fetched. */
  get busy(): boolean {
    return this.#waiting.size + this.#running.size > 0;
  }

  /** The contents that are being fetched as a whole. */
  fetching(): Content[] {
    return [...this.#running].map(({ content }) => content);
  }

  /** Queues a request of a page that began `pageAgeMs` ago. `shared`: the whole content is fetched, for others, too. */
  enter(event: FetchEvent, row: FileRow, beganMs: number, pageAgeMs: number, shared: boolean): Turn {
    const come = new AbortController();
    const bytes = shared ? row[2] : 0;
    const { clientId: client, request } = event;
    const others = [...this.#waiting, ...this.#running].filter((each) => each.client === client).length;
    const urgent = isUrgent(request.destination);
    const place: Place = {
      client,
      content: idOf(row),
      bytes,
      gatherMs: gatherMs(request.destination, others, row[2], this.#site.speed),
      urgent,
      barsEngine: urgent && this.importsLast,
      count: this.#entered++,
      random: Math.random(),
      beganMs,
      pageAgeMs,
      soon: undefined,
      come,
    };
    this.#wait(place);
    let ended = false;
    return {
      come: come.signal,
      dueMs: () => this.#dueMs(place, row[2]),
      hear: (news) => {
        if (ended || come.signal.aborted) return;
        if (!this.#site.engines.connections) this.#aloneMs = news === false ? performance.now() : -Infinity;
        if (news === 'accept') this.#waiting.delete(place);
        else this.#wait(Object.assign(place, { soon: news }));
      },
      arrived: () => this.#vacate(place),
      leave: () => {
        if (ended) return;
        ended = true;
        this.#waiting.delete(place);
        if (bytes && come.signal.aborted) this.#tell(place, false);
        this.#vacate(place);
      },
    };
  }

  /** Gives the turns that are free to those whose time has come. */
  look(): void {
    this.#looking = false;
    clearTimeout(this.#timer);
    const { clients, engines, snapshots, speed } = this.#site;
    const prefer = snapshots.current?.root.policy.prefer ?? 'speed';
    const now = performance.now();
    const measured = isMeasured(speed);
    const { connections, ageMs: engineAgeMs } = engines;
    if (connections) this.#aloneMs = -Infinity;
    const alone = now - this.#aloneMs < aloneMs[prefer];
    let nextMs = Infinity;
    // Taking a turn changes nothing of what its page has still to come.
    const pageBytes = new Map<string, number>();
    for (const { client, bytes } of [...this.#waiting, ...this.#running]) {
      pageBytes.set(client, (pageBytes.get(client) ?? 0) + bytes);
    }
    for (const place of [...this.#waiting].sort((a, b) => rankOf(a) - rankOf(b))) {
      const waitedMs = now - place.beganMs;
      const pageAgeMs = place.pageAgeMs + waitedMs;
      const greeted = !!clients.get(place.client)?.canShare;
      const ofPage = ({ client }: Place): boolean => client === place.client;
      const others = [...this.#running].filter(ofPage);
      const pageMs = speed.latencyMs + pageBytes.get(place.client)! / speed.bytesPerMs;
      const standing = { ...place, pageMs, waitedMs, pageAgeMs, engineAgeMs, greeted, connections, alone, measured };
      const leftMs = turnWaitMs(prefer, standing);
      if (leftMs > 0) nextMs = Math.min(nextMs, leftMs);
      else if (!place.bytes || turnFree(prefer, others.length, sum(others), speed)) this.#take(place);
    }
    if (nextMs < Infinity) this.#timer = setTimeout(() => this.look(), nextMs);
  }

  #wait(place: Place): void {
    this.#waiting.add(place);
    // Requests and news that come together are looked at together.
    if (!this.#looking) queueMicrotask(() => this.look());
    this.#looking = true;
  }

  #take(place: Place): void {
    this.#waiting.delete(place);
    if (place.bytes) {
      this.#running.add(place);
      this.#tell(place, true);
      // A body that nobody reads does not keep the others.
      setTimeout(() => this.#vacate(place), turnLimitMs);
    }
    place.come.abort();
  }

  #vacate(place: Place): void {
    if (this.#running.delete(place)) this.look();
  }

  #tell({ content }: Place, active: boolean): void {
    this.#site.engines.tell({ type: 'fetching', content, active });
  }

  #dueMs(place: Place, bytes: number): number {
    const { latencyMs, bytesPerMs } = this.#site.speed;
    const before = [...this.#waiting].filter((each) => each.client === place.client && rankOf(each) < rankOf(place));
    return latencyMs + (bytes + sum(before) + sum([...this.#running])) / bytesPerMs;
  }
}

const rankOf = ({ urgent, count, random, soon }: Place): number => turnRank(urgent, count, random, soon);

const sum = (places: Place[]): number => places.reduce((total, { bytes }) => total + bytes, 0);
