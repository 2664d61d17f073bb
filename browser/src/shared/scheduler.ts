/**
 * Choices of the swarm, as pure functions: how many requests a peer gets, which requests have waited too long, whom
 * to unchoke, whether a page's request is taken on, and when the web seed steps in. Times are in milliseconds, rates
 * in bytes per millisecond.
 */
import { blockBytes } from './wire.ts';

/** How fast a peer has been. */
export interface Pace {
  /** bytes per millisecond while blocks were outstanding; 0 until known */
  rate: number;
  /** from request to block, smoothed; 0 until known */
  latencyMs: number;
}

/** What a peer is taken to do before it has shown it: most of a household's uplink. */
export const unknownPace: Pace = { rate: 1000, latencyMs: 150 };

const minDepth = 4;
const firstDepth = 16;
const maxDepth = 192;
/** work that a peer is given in advance: enough for the way there and back and a busy peer between */
const aheadMs = 400;

/**
 * How many blocks may be outstanding at a peer: what it delivers in its latency and `aheadMs`, within what it queues
 * (`reqq`). A peer that stalled gets one at a time until it delivers again.
 */
export function depth(pace: Pace, reqq: number, stalled: boolean): number {
  if (stalled) return 1;
  const blocks = pace.rate ? Math.ceil((pace.rate * (aheadMs + pace.latencyMs)) / blockBytes) : firstDepth;
  return Math.max(1, Math.min(Math.max(blocks, minDepth), maxDepth, reqq));
}

/**
 * The pace after `bytes` arrived, `latencyMs` after they were asked for and `elapsedMs` after the block before them;
 * undefined for the first block after a pause, which tells of the way alone. The mean is of time per byte: several
 * blocks arrive in one message, and so at no distance from each other. A short block takes as long as a whole one.
 */
export function learn(pace: Pace, bytes: number, elapsedMs: number | undefined, latencyMs: number): Pace {
  const before = 1 / (pace.rate || unknownPace.rate);
  const perByte = elapsedMs === undefined ? before : elapsedMs / Math.max(bytes, blockBytes);
  return {
    rate: elapsedMs === undefined ? pace.rate : 1 / Math.max(before + (perByte - before) * 0.1, 1e-6),
    latencyMs: pace.latencyMs ? pace.latencyMs + (latencyMs - pace.latencyMs) * 0.1 : latencyMs,
  };
}

/** A peer from which nothing has come for this long, while blocks are outstanding, has stalled. */
export function stallMs(pace: Pace): number {
  return Math.min(6000, Math.max(700, 4 * (pace.latencyMs || unknownPace.latencyMs)));
}

/** With `offload` peers may take so long for what the origin would bring sooner. */
const offloadMs = 2000;

/** What a request would meet. */
export interface Offer {
  /** bytes asked for */
  bytes: number;
  /** of these, how many some connected peer holds */
  covered: number;
  /** the peers that hold some of them, with the bytes that are outstanding at each */
  peers: { pace: Pace; queued: number }[];
  /** connections being made, or peers that the trackers know of and could be connected to */
  coming: number;
  /** time left to decide */
  deadlineMs: number;
  /** `offload` waits for connections in the making and bears with slow peers, `speed` does not */
  prefer: 'speed' | 'offload';
  peersOnly: boolean;
}

/**
 * Whether to take a request on: `accept` if peers hold at least half of it and would be done by the deadline (the web
 * seed does the rest), `wait` if they may later, `decline` if the page is better off with the origin. With `offload`
 * they have some time after the deadline, too: a crowd that was long in coming would else be turned away at once.
 * Without an origin (`peersOnly`) any peers that hold all of it will do, however slow, and waiting ends when nobody is
 * left to come.
 */
export function decide(offer: Offer): 'accept' | 'wait' | 'decline' {
  if (offer.peersOnly) {
    if (offer.covered === offer.bytes) return 'accept';
    return offer.coming > 0 && offer.deadlineMs > 0 ? 'wait' : 'decline';
  }
  const limitMs = Math.max(offer.deadlineMs, offer.prefer === 'offload' ? offloadMs : 0);
  if (offer.covered * 2 >= offer.bytes && estimateMs(offer) <= limitMs) return 'accept';
  const patient = offer.prefer === 'offload' && offer.coming > 0;
  return patient && offer.deadlineMs > 0 ? 'wait' : 'decline';
}

/** How long the peers together need for the bytes, after what they already have to do. */
export function estimateMs(offer: Pick<Offer, 'bytes' | 'peers'>): number {
  let rate = 0;
  let queued = 0;
  let latencyMs = Infinity;
  for (const peer of offer.peers) {
    rate += peer.pace.rate || unknownPace.rate;
    queued += peer.queued;
    latencyMs = Math.min(latencyMs, peer.pace.latencyMs || unknownPace.latencyMs);
  }
  return rate ? latencyMs + (queued + offer.bytes) / rate : Infinity;
}

/** A piece that is due, in times of ms. */
export interface Due {
  /** how many peers hold it and serve us */
  holders: number;
  /** since it was first wanted */
  waitedMs: number;
  /** since then, or since the last block of it */
  idleMs: number;
  /** since then, or since one of its holders last brought anything */
  quietMs: number;
  /** what the origin alone would take */
  originMs: number;
}

/**
 * Whether the web seed should fetch a piece: at once if no peer holds it, otherwise when peers have brought none of it
 * for as long as the origin would take. `offload` gives them longer, and lets it wait its turn while its holders are
 * busy with others.
 */
export function seedNow(piece: Due, prefer: 'speed' | 'offload'): boolean {
  const patienceMs = Math.min(2000, Math.max(250, piece.originMs));
  if (piece.holders === 0) return true;
  if (prefer === 'speed') return piece.idleMs > patienceMs;
  const longMs = patienceMs + offloadMs;
  return piece.waitedMs > 4 * longMs || Math.min(piece.idleMs, piece.quietMs) > longMs;
}

/** A peer as the choker sees it. */
export interface Candidate {
  interested: boolean;
  choked: boolean;
  /** when it was last choked or unchoked */
  sinceMs: number;
}

/**
 * Whom to unchoke: everybody while there are slots for all, so that nobody has to wait for it; else those interested.
 * Beyond that, and if it is time to `rotate`, those that have waited longest take the place of those that have held a
 * slot longest, a quarter of the slots at a time.
 */
export function unchoke<C extends Candidate>(peers: readonly C[], slots: number, rotate: boolean): Set<C> {
  if (peers.length <= slots) return new Set(peers);
  const bySince = (a: C, b: C) => a.sinceMs - b.sinceMs;
  const holding = peers.filter((peer) => peer.interested && !peer.choked).sort(bySince);
  const waiting = peers.filter((peer) => peer.interested && peer.choked).sort(bySince);
  const free = Math.max(0, slots - holding.length);
  const turns = rotate ? Math.min(Math.max(0, waiting.length - free), Math.ceil(slots / 4)) : 0;
  const stay = holding.slice(Math.max(0, holding.length - (slots - free - turns)));
  return new Set([...stay, ...waiting.slice(0, slots - stay.length)]);
}
