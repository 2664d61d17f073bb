/**
 * A simulated visitor. What to have from whom, and when, is decided by the functions that ship, in `shared`: this file
 * only carries it out, as the worker's turns and the engine's gets do.
 */
import {
  aloneMs,
  gatherMs,
  turnFree,
  turnRank,
  isMeasured,
  turnWaitMs,
  unmeasured,
  withBody,
  withLatency,
  worthAsking,
} from '../../browser/src/shared/policy.ts';
import { claimMs, decide, expectSoon, type Offer } from '../../browser/src/shared/scheduler.ts';
import { Downloads, loadOf, newNeighbour, type Neighbour, type Owner } from './downloads.ts';
import { Link } from './link.ts';
import type { PageView, View, World } from './world.ts';

/** A content that waits for a source. */
interface Place {
  content: number;
  /** still missing of it */
  bytes: number;
  urgent: boolean;
  count: number;
  random: number;
  beganMs: number;
  soon: boolean | undefined;
  /** when the page should have it: known once there is an engine to be asked */
  dueMs: number;
}

export class Visitor implements Owner {
  readonly world: World;
  readonly #views: PageView[];
  readonly #thinkMs: number[];
  readonly uplink: Link;
  readonly #webRTC: boolean;
  readonly held = new Set<number>();
  /** what it is having from the origin, since when */
  readonly fetching = new Map<number, number>();
  readonly neighbours = new Map<Visitor, Neighbour>();
  readonly #places = new Map<number, Place>();
  readonly #downloads = new Downloads(this);
  #origin = unmeasured;
  /** fetched from the origin by turn, and the bytes of these */
  #turns = 0;
  #fetchingBytes = 0;
  /** bytes of bodies that have arrived whole, and what the others have brought so far */
  #arrived = 0;
  readonly #bodies = new Set<() => number>();
  #engineMs: number | undefined;
  #underWorker = false;
  #coming = 0;
  #entered = 0;
  /** when the engine last knew of nobody */
  #aloneMs = -Infinity;
  #pageMs = 0;
  /** when the page asked for what it loads */
  #askedMs = 0;
  #missing = 0;
  #view = 0;
  #timerMs = Infinity;
  #inSwarm = -1;

  constructor(world: World, views: PageView[], thinkMs: number[]) {
    this.world = world;
    this.#views = views;
    this.#thinkMs = thinkMs;
    const { random, settings, clock } = world;
    this.#webRTC = random() >= settings.without;
    let at = random();
    const [, rate] = settings.uplinks.find(([share]) => (at -= share) < 0) ?? settings.uplinks.at(-1)!;
    this.uplink = new Link(clock, rate);
    this.#open();
  }

  // Page views

  #open(): void {
    const { clock, settings, contents } = this.world;
    const { document, loads } = this.#views[this.#view]!;
    this.#pageMs = clock.nowMs;
    const planktos = settings.system === 'planktos';
    const first = this.#view === 0;
    const takeover = planktos && first && settings.firstVisit === 'peers';
    if (planktos && !first) this.#leaveSwarm();
    const load = (): void => {
      this.#askedMs = clock.nowMs;
      this.#underWorker = planktos && (!first || takeover);
      if (this.#underWorker) this.#startEngine();
      const missing = loads.filter((content) => !this.held.has(content));
      this.#missing = missing.length;
      for (const content of missing) this.#request(content);
      if (missing.length === 0) this.#complete(clock.nowMs, 'held');
      this.#look();
    };
    let bytes = this.held.has(document) ? 0 : contents[document]!.wire;
    if (planktos && !first) bytes += settings.revalidation;
    if (takeover) bytes += settings.runtime;
    this.held.add(document);
    clock.after(settings.latencyMs + (takeover ? settings.takeoverMs : 0), () => this.world.origin.start(bytes, load));
  }

  /** Everything is there: last what was begun to be had at `begunMs`. */
  #complete(begunMs: number, from: View['from']): void {
    const { clock, settings, views, origin } = this.world;
    views.push({
      ms: clock.nowMs - this.#pageMs,
      documentMs: this.#askedMs - this.#pageMs,
      stoodMs: begunMs - this.#askedMs,
      cameMs: clock.nowMs - begunMs,
      from,
    });
    const planktos = settings.system === 'planktos';
    if (planktos && this.#view === 0 && settings.firstVisit === 'plain') {
      // The page named what it had fetched, and the worker took it from the HTTP cache.
      origin.start(settings.runtime, () => this.#startEngine());
    }
    const next = this.#views[this.#view + 1];
    if (planktos && next && settings.prefetch > 0) {
      const links = [next, ...Array.from({ length: settings.links - 1 }, () => this.world.link())];
      const queue = links.flatMap(({ document, loads }) => [document, ...loads]);
      const view = this.#view + 1;
      clock.after(settings.idleMs, () => view === this.#view && this.#prefetch(queue, settings.prefetch));
    }
    const thinkMs = this.#thinkMs[this.#view]!;
    const last = ++this.#view === this.#views.length;
    clock.after(thinkMs, () => (last ? this.#leaveSwarm() : this.#open()));
  }

  /** In idle time, from peers, one content after the other: what the page's links lead to, while the page is there. */
  #prefetch(queue: number[], budget: number): void {
    const { contents } = this.world;
    const view = this.#view;
    for (let content; (content = queue.shift()) !== undefined; ) {
      const { bytes } = contents[content]!;
      if (this.held.has(content) || bytes > budget) continue;
      const [from] = [...this.neighbours.keys()].filter((neighbour) => neighbour.held.has(content));
      if (!from) continue;
      from.uplink.start(bytes, () => {
        this.world.shared += bytes;
        if (view !== this.#view || this.#engineMs === undefined) return;
        this.held.add(content);
        this.#prefetch(queue, budget - bytes);
      });
      return;
    }
  }

  #request(content: number): void {
    const { contents, clock, random } = this.world;
    const { bytes, urgent } = contents[content]!;
    const beganMs = clock.nowMs;
    const order = { urgent, count: this.#entered++, random: random() };
    const place = { content, bytes, ...order, beganMs, soon: undefined, dueMs: Infinity };
    this.#places.set(content, place);
  }

  had(content: number, begunMs: number, from: View['from']): void {
    this.held.add(content);
    this.#places.delete(content);
    for (const neighbour of this.neighbours.keys()) neighbour.news(content);
    if (--this.#missing === 0) this.#complete(begunMs, from);
    this.#look();
  }

  // The swarm

  #startEngine(): void {
    const { clock, settings } = this.world;
    if (!this.#webRTC) return;
    const view = this.#view;
    clock.after(settings.engineMs, () => {
      // Left, or on to the next page, meanwhile.
      if (view !== this.#view && view + 1 !== this.#view) return;
      if (this.#view === this.#views.length && this.#missing === 0 && this.#inSwarm === -2) return;
      this.#engineMs = this.world.clock.nowMs;
      this.#meet();
      this.#lookAtAll();
    });
  }

  #meet(): void {
    const { clock, random, settings, swarm } = this.world;
    const strangers = new Set<Visitor>();
    const [wanted, most] = settings.connections;
    for (let tries = 0; strangers.size < wanted && strangers.size < swarm.length && tries < 4 * wanted; tries++) {
      strangers.add(swarm[Math.floor(random() * swarm.length)]!);
    }
    this.#inSwarm = swarm.push(this) - 1;
    const [firstMs, lastMs] = settings.connectMs;
    let made = 0;
    for (const stranger of strangers) {
      this.#coming++;
      const afterMs = firstMs + ((lastMs - firstMs) * made++) / Math.max(1, strangers.size - 1);
      const view = this.#view;
      clock.after(afterMs, () => {
        this.#coming = Math.max(0, this.#coming - 1);
        const both = this.#inSwarm >= 0 && stranger.#inSwarm >= 0 && view === this.#view;
        const room = this.neighbours.size < most && stranger.neighbours.size < most;
        if (both && room && random() >= settings.unreachable) this.#connect(stranger);
        this.#lookAtAll();
      });
    }
  }

  #connect(other: Visitor): void {
    this.neighbours.set(other, newNeighbour());
    other.neighbours.set(this, newNeighbour());
    other.#lookAtAll();
  }

  /** Connections end with their page. */
  #leaveSwarm(): void {
    const { swarm } = this.world;
    this.#engineMs = undefined;
    if (this.#inSwarm >= 0) {
      const last = swarm.pop()!;
      if (last !== this) {
        swarm[this.#inSwarm] = last;
        last.#inSwarm = this.#inSwarm;
      }
    }
    this.#inSwarm = -2;
    for (const neighbour of this.neighbours.keys()) neighbour.#lose(this);
    this.neighbours.clear();
    this.#coming = 0;
  }

  #lose(other: Visitor): void {
    const neighbour = this.neighbours.get(other);
    this.neighbours.delete(other);
    if (neighbour) this.#downloads.lost(neighbour);
    for (const content of other.fetching.keys()) this.news(content);
    this.#look();
  }

  /** A neighbour has begun to fetch a content, ended, or has it. */
  news(content: number): void {
    const place = this.#places.get(content);
    if (!place) return;
    const { soon } = place;
    if (this.#accepted(place)) this.#downloads.fill();
    else if (place.soon !== soon) this.#wake(0);
  }

  #lookAtAll(): void {
    for (const place of [...this.#places.values()]) this.#accepted(place);
    this.#downloads.fill();
    this.#look();
  }

  /** Has a place's content from a peer, if the engine would. */
  #accepted(place: Place): boolean {
    if (this.#engineMs === undefined) return false;
    const { contents, clock, settings } = this.world;
    const { content, bytes } = place;
    const { prefer } = settings;
    if (place.dueMs === Infinity) place.dueMs = clock.nowMs + this.#leftMs(place);
    const originMs = this.originMs(bytes);
    const holders = [...this.neighbours].filter(([visitor]) => visitor.held.has(content));
    const announced = !holders.length && this.coming(content) ? bytes : 0;
    const offer: Offer = {
      size: contents[content]!.bytes,
      connections: this.neighbours.size,
      bytes,
      covered: holders.length > 0 ? bytes : 0,
      announced,
      peers: holders.map(([, neighbour]) => loadOf(neighbour)),
      coming: this.#coming,
      deadlineMs: place.dueMs - clock.nowMs,
      originMs,
      prefer,
      peersOnly: false,
    };
    const verdict = decide(offer);
    place.soon = expectSoon(offer);
    if (!this.neighbours.size) this.#aloneMs = place.soon ? -Infinity : clock.nowMs;
    // What is large would now be downloaded from the web seed: here, from the origin by turn.
    if (verdict !== 'accept' || !holders.length) return false;
    this.#places.delete(content);
    this.#downloads.take(content, bytes, place.dueMs);
    return true;
  }

  originMs(bytes: number): number {
    return this.#origin.latencyMs + bytes / this.#origin.bytesPerMs;
  }

  coming(content: number): boolean {
    const { clock, contents, settings } = this.world;
    const believedMs = claimMs(this.originMs(contents[content]!.bytes), settings.prefer);
    return [...this.neighbours.keys()].some(({ held, fetching }) => {
      return !held.has(content) && clock.nowMs - (fetching.get(content) ?? -Infinity) < believedMs;
    });
  }

  fetches(content: number, active: boolean): void {
    if (active) this.fetching.set(content, this.world.clock.nowMs);
    else this.fetching.delete(content);
    if (this.#engineMs !== undefined) for (const neighbour of this.neighbours.keys()) neighbour.news(content);
  }

  // Turns at the origin

  /** When the origin alone would have brought it, in ms from now: as the worker's turns reckon. */
  #leftMs(place: Place): number {
    const rank = rankOf(place);
    let ahead = this.#fetchingBytes + place.bytes;
    for (const other of this.#places.values()) if (rankOf(other) < rank) ahead += other.bytes;
    return this.#origin.latencyMs + ahead / this.#origin.bytesPerMs;
  }

  #look(): void {
    const { clock, settings } = this.world;
    const { prefer } = settings;
    let nextMs = Infinity;
    if (this.#places.size === 0) return;
    let bytes = this.#fetchingBytes;
    for (const place of this.#places.values()) bytes += place.bytes;
    const pageMs = this.#origin.latencyMs + bytes / this.#origin.bytesPerMs;
    for (const place of [...this.#places.values()].sort((a, b) => rankOf(a) - rankOf(b))) {
      const standing = {
        urgent: place.urgent,
        barsEngine: false,
        pageMs,
        gatherMs: gatherMs(place.urgent ? 'script' : 'image', this.#places.size, place.bytes, this.#origin),
        waitedMs: clock.nowMs - place.beganMs,
        pageAgeMs: clock.nowMs - this.#pageMs,
        engineAgeMs: this.#engineMs === undefined ? undefined : clock.nowMs - this.#engineMs,
        greeted: true,
        connections: this.neighbours.size,
        alone: clock.nowMs - this.#aloneMs < aloneMs[prefer],
        measured: isMeasured(this.#origin),
        soon: place.soon,
      };
      const queued = this.#underWorker && this.#webRTC && worthAsking(prefer, place.bytes);
      const leftMs = queued ? turnWaitMs(prefer, standing) : 0;
      const free = queued
        ? turnFree(prefer, this.#turns, this.#fetchingBytes, this.#origin)
        : this.#turns < browserConnections;
      if (leftMs > 0) nextMs = Math.min(nextMs, clock.nowMs + leftMs);
      else if (free) this.#fetch(place);
    }
    this.#wake(nextMs - clock.nowMs);
  }

  /** Looks again in a while; several wishes that fall together are one. */
  #wake(leftMs: number): void {
    const { clock } = this.world;
    const ms = clock.nowMs + Math.max(leftMs, togetherMs);
    if (ms >= this.#timerMs) return;
    this.#timerMs = ms;
    clock.at(ms, () => {
      if (this.#timerMs !== ms) return;
      this.#timerMs = Infinity;
      this.#lookAtAll();
    });
  }

  #fetch(place: Place): void {
    const { clock, contents, origin, settings } = this.world;
    const { content, bytes } = place;
    this.#places.delete(content);
    const begunMs = clock.nowMs;
    this.#fetchingBytes += bytes;
    this.#turns++;
    this.fetches(content, true);
    clock.after(settings.latencyMs, () => {
      const beganMs = clock.nowMs;
      const before = this.#arrivedBytes;
      const { wire } = contents[content]!;
      const transfer = origin.start(wire, () => {
        this.#bodies.delete(progress);
        this.#arrived += bytes;
        const body = [this.#arrivedBytes - before, clock.nowMs - beganMs] as const;
        this.#origin = withBody(withLatency(this.#origin, settings.latencyMs), ...body);
        this.#turns--;
        this.#fetchingBytes -= bytes;
        this.fetching.delete(content);
        this.had(content, begunMs, 'origin');
      });
      const progress = (): number => bytes * (1 - transfer.missing / wire);
      this.#bodies.add(progress);
    });
  }

  get #arrivedBytes(): number {
    return [...this.#bodies].reduce((total, progress) => total + progress(), this.#arrived);
  }
}

/** Wishes to look again within so long are one, as the engine looks at things anew at most so often. */
const togetherMs = 5;

/** What browsers have to one HTTP/1.1 host. */
const browserConnections = 6;

const rankOf = ({ urgent, count, random, soon }: Place): number => turnRank(urgent, count, random, soon);
