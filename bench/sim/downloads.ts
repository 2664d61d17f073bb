/**
 * What a simulated visitor has taken on, to have from its neighbours: which is asked for what, when the web seed steps
 * in, and how far a neighbour is busy is decided by the functions that ship, as the engine's swarm and downloads do.
 */
import { minTurns } from '../../browser/src/shared/policy.ts';
import { depth, learn, leftMs, seedNow, type Load, type Pace } from '../../browser/src/shared/scheduler.ts';
import { blockBytes } from '../../browser/src/shared/wire.ts';
import type { Transfer } from './link.ts';
import type { Visitor } from './visitor.ts';
import type { View, World } from './world.ts';

/** So much is asked of a neighbour at a time: two blocks, which halves the events. */
const portionBytes = 2 * blockBytes;
/** How often the engine looks at the clock. */
const tickMs = 200;
/** What peers queue. */
const reqq = 256;

interface Portion {
  download: Download;
  bytes: number;
  askedMs: number;
}

/** One who is connected. */
export interface Neighbour {
  pace: Pace;
  /** when it last brought something, or was asked after a pause */
  broughtMs: number;
  paused: boolean;
  /** what it is asked for, in order: the first of them is on its way */
  asked: Portion[];
  transfer: Transfer | undefined;
}

export interface Download {
  content: number;
  /** not here yet */
  missing: number;
  /** of these, asked of nobody */
  open: number;
  sinceMs: number;
  lastMs: number;
  /** when the page should have it */
  dueMs: number;
  /** ends what the web seed is asked for */
  abort: (() => void) | undefined;
}

/** What downloads need of their visitor. */
export interface Owner {
  readonly world: World;
  readonly neighbours: Map<Visitor, Neighbour>;
  originMs(bytes: number): number;
  /** whether a neighbour that does not hold it is believed to be fetching it */
  coming(content: number): boolean;
  /** the content begins to come from the origin, or ends to */
  fetches(content: number, active: boolean): void;
  had(content: number, begunMs: number, from: View['from']): void;
}

export const newNeighbour = (): Neighbour => {
  return { pace: { rate: 0, latencyMs: 0 }, broughtMs: 0, paused: true, asked: [], transfer: undefined };
};

/** What it has to do, and how many of these bytes until it has done its part of a download. */
export function loadOf({ pace, asked }: Neighbour, download?: Download): Load & { part: number } {
  let [queued, part] = [0, 0];
  for (const portion of asked) {
    queued += portion.bytes;
    if (portion.download === download) part = queued;
  }
  return { pace, queued, part };
}

export class Downloads {
  readonly #owner: Owner;
  readonly #all = new Map<number, Download>();
  #seeding = 0;
  #ticking = false;

  constructor(owner: Owner) {
    this.#owner = owner;
  }

  get size(): number {
    return this.#all.size;
  }

  take(content: number, bytes: number, dueMs: number): void {
    const { nowMs } = this.#owner.world.clock;
    const begun = { sinceMs: nowMs, lastMs: nowMs, dueMs, abort: undefined };
    this.#all.set(content, { content, missing: bytes, open: bytes, ...begun });
    if (this.#ticking) return;
    this.#ticking = true;
    this.#owner.world.clock.after(tickMs, () => this.#tick());
  }

  /** Gives every neighbour as many requests as it can do with, the fastest first. */
  fill(): void {
    if (this.#all.size === 0) return;
    const wanted = [...this.#all.values()].sort((a, b) => a.dueMs - b.dueMs);
    const all = [...this.#owner.neighbours].sort(([, a], [, b]) => b.pace.rate - a.pace.rate);
    for (const [visitor, neighbour] of all) this.#fill(visitor, neighbour, wanted);
  }

  #fill(visitor: Visitor, neighbour: Neighbour, wanted: Download[]): void {
    const { nowMs } = this.#owner.world.clock;
    let room = depth(neighbour.pace, reqq, false) * blockBytes - loadOf(neighbour).queued;
    for (const download of wanted) {
      if (download.abort || !visitor.held.has(download.content)) continue;
      while (download.open > 0 && room >= blockBytes) {
        const bytes = Math.min(portionBytes, download.open);
        download.open -= bytes;
        room -= bytes;
        if (neighbour.asked.length === 0) Object.assign(neighbour, { broughtMs: nowMs, paused: true });
        neighbour.asked.push({ download, bytes, askedMs: nowMs });
      }
    }
    this.#go(visitor, neighbour);
  }

  #go(visitor: Visitor, neighbour: Neighbour): void {
    const [portion] = neighbour.asked;
    if (neighbour.transfer || !portion) return;
    neighbour.transfer = visitor.uplink.start(portion.bytes, () => this.#brought(visitor, neighbour, portion));
  }

  #brought(visitor: Visitor, neighbour: Neighbour, portion: Portion): void {
    const { world } = this.#owner;
    const { nowMs } = world.clock;
    const { download, bytes, askedMs } = portion;
    neighbour.transfer = undefined;
    neighbour.asked.shift();
    const blocks = Math.ceil(bytes / blockBytes);
    const elapsedMs = neighbour.paused ? undefined : (nowMs - neighbour.broughtMs) / blocks;
    for (let i = 0; i < blocks; i++) neighbour.pace = learn(neighbour.pace, blockBytes, elapsedMs, nowMs - askedMs);
    Object.assign(neighbour, { broughtMs: nowMs, paused: false });
    world.shared += bytes;
    download.missing -= bytes;
    download.lastMs = nowMs;
    if (download.missing === 0 && this.#all.delete(download.content)) {
      download.abort?.();
      this.#owner.had(download.content, download.sinceMs, 'peer');
    }
    const wanted = [...this.#all.values()].sort((a, b) => a.dueMs - b.dueMs);
    if (this.#owner.neighbours.get(visitor) === neighbour) this.#fill(visitor, neighbour, wanted);
  }

  /** A neighbour is gone, and with it what it was asked for. */
  lost({ transfer, asked }: Neighbour): void {
    transfer?.cancel();
    for (const { download, bytes } of asked) download.open += bytes;
    this.fill();
  }

  #tick(): void {
    this.#ticking = this.#all.size > 0;
    this.#look();
    if (this.#ticking) this.#owner.world.clock.after(tickMs, () => this.#tick());
  }

  /** Has the web seed do what neighbours do not. */
  #look(): void {
    const { world } = this.#owner;
    for (const download of [...this.#all.values()].sort((a, b) => a.dueMs - b.dueMs)) {
      if (this.#seeding >= minTurns[world.settings.prefer]) break;
      if (!download.abort && this.#due(download)) this.#seed(download);
    }
  }

  #due(download: Download): boolean {
    const { content, missing, sinceMs, lastMs, dueMs } = download;
    const { world, neighbours } = this.#owner;
    const { nowMs } = world.clock;
    const holders = [...neighbours].filter(([visitor]) => visitor.held.has(content)).map(([, neighbour]) => neighbour);
    const broughtMs = Math.max(0, ...holders.map((neighbour) => neighbour.broughtMs));
    const piece = {
      ...{ index: 0, urgent: true, holders: holders.length, coming: this.#owner.coming(content), kept: false },
      waitedMs: nowMs - sinceMs,
      idleMs: nowMs - lastMs,
      quietMs: nowMs - Math.max(sinceMs, broughtMs),
      lateMs: nowMs - dueMs,
      originMs: this.#owner.originMs(missing),
      leftMs: leftMs(missing, holders.map((neighbour) => loadOf(neighbour, download))),
    };
    return seedNow(piece, world.settings.prefer);
  }

  /** The web seed brings what is missing, unless neighbours do sooner. */
  #seed(download: Download): void {
    const { clock, contents, origin, settings } = this.#owner.world;
    const { content, missing } = download;
    const { bytes, wire } = contents[content]!;
    let transfer: Transfer | undefined;
    const over = (): void => {
      this.#seeding--;
      this.#owner.fetches(content, false);
      clock.after(0, () => this.#look());
    };
    download.abort = () => {
      transfer?.cancel();
      transfer = { missing: 0, cancel: () => 0 };
      over();
    };
    this.#seeding++;
    this.#owner.fetches(content, true);
    clock.after(settings.latencyMs, () => {
      transfer ??= origin.start(wire * (missing / bytes), () => {
        over();
        this.#all.delete(content);
        this.#owner.had(content, download.sinceMs, 'race');
      });
    });
  }
}
