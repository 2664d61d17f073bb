/**
 * Choices of the swarm, as pure functions: how many requests a peer gets, which requests have waited too long, how
 * fast to upload and to how many, whether a page's request is taken on, in which order pieces are had, and when and for
 * what the web seed steps in. Times are in milliseconds, rates in bytes per millisecond.
 */
import type { Run } from './extended.ts';
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

/** Nobody notices that something comes later by this. */
const graceMs = 150;
/** With `offload` peers may take so long for what the origin would bring sooner. */
const offloadMs = 2000;

/** Whatever peers say, a piece is waited for no longer. */
const maxClaimedMs = 8000;

/**
 * How long a peer is believed that says that it is having something from the origin, which would take us `originMs`:
 * it may share the origin's uplink with others. `speed` cannot lose more than that by it, once a peer.
 */
export function claimMs(originMs: number, prefer: 'speed' | 'offload'): number {
  return Math.min(3 * originMs + 1000, 7000) + (prefer === 'offload' ? offloadMs : 0);
}

/** A content from this size on goes piece by piece, so that visitors can share it while they have it. */
export const largeBytes = 1 << 20;

/** What a peer has to do for us. */
export interface Load {
  pace: Pace;
  /** bytes that are outstanding at it */
  queued: number;
}

/** What a request would meet. */
export interface Offer {
  /** of the whole content, in bytes */
  size: number;
  /** peers that are connected, whatever they have */
  connections: number;
  /** bytes asked for */
  bytes: number;
  /** of these, how many some connected peer holds */
  covered: number;
  /** of the others, how many some connected peer says that it is fetching */
  announced: number;
  /** the peers that hold some of them */
  peers: Load[];
  /** connections being made, or peers that the trackers know of and could be connected to */
  coming: number;
  /** time left until it should be there */
  deadlineMs: number;
  /** what the origin alone would take, if it were asked now */
  originMs: number;
  /** `offload` waits for connections in the making and bears with slow peers, `speed` does not */
  prefer: 'speed' | 'offload';
  peersOnly: boolean;
}

/**
 * Whether to take a request on: `accept` if peers hold at least half of it (the web seed does the rest) and would be done
 * by the deadline, or as soon as the origin, which has not been asked while the request stands; with `offload` they may
 * take longer. What is large is taken on once there is somebody to share it with or, with `offload`, while there is
 * nobody to wait for. Without an origin (`peersOnly`) any peers that hold all of it will do, however slow; `decline` once
 * nobody is left to come, or time is up.
 */
export function decide(offer: Offer): 'accept' | 'wait' | 'decline' {
  if (offer.peersOnly) {
    if (offer.covered === offer.bytes) return 'accept';
    return offer.coming > 0 && offer.deadlineMs > 0 ? 'wait' : 'decline';
  }
  const shared = offer.connections > 0 || (offer.prefer === 'offload' && offer.coming === 0);
  if (offer.size >= largeBytes && shared) return 'accept';
  const limitMs = Math.max(offer.deadlineMs, offer.originMs + graceMs, offer.prefer === 'offload' ? offloadMs : 0);
  return offer.covered * 2 >= offer.bytes && estimateMs(offer) <= limitMs ? 'accept' : 'wait';
}

/**
 * Whether to leave a request that waits to others: peers are about to hold half of it, or somebody who may have it is
 * about to be connected, the first or, with `offload`, any.
 */
export function expectSoon(offer: Offer): boolean {
  if (offer.announced > 0 && (offer.covered + offer.announced) * 2 >= offer.bytes) return true;
  return (offer.prefer === 'offload' || offer.connections === 0) && offer.coming > 0;
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

/**
 * How long a piece will yet take: as long as those who are asked for some of it need until they have done their `part` or,
 * if nobody is, as those who hold it need for its bytes.
 */
export function leftMs(bytes: number, peers: (Load & { part: number })[]): number {
  const parts = peers.map(({ pace, part }) => part / (pace.rate || unknownPace.rate));
  return Math.max(0, ...parts) || estimateMs({ bytes, peers });
}

/**
 * Whether a peer that has nothing else to do is asked as well for a block of a piece that another has a `part` of to
 * bring: it would be there with it in half the time.
 */
export function outruns(idle: Load, other: Load & { part: number }): boolean {
  return leftMs(0, [other]) > 2 * estimateMs({ bytes: blockBytes, peers: [idle] });
}

/** A piece that a request waits for. */
export interface Wanted {
  /** in its content */
  index: number;
  /** the page needs it next: near the place to which it has been given the content */
  urgent: boolean;
  /** how many peers hold it and serve us */
  holders: number;
}

/**
 * The order in which pieces are had, given those of a request in the content's order: what is urgent stays in this
 * order, then comes the rarest. Among equals the order is the visitor's own (`salt`, any integer), so that visitors who
 * arrive together have different things to trade; neighbours stay together, `together` of them, as they are read and
 * written.
 */
export function inOrder<W extends Wanted>(wanted: W[], salt: number, together = 1): W[] {
  const far = wanted.filter(({ urgent }) => !urgent);
  const place = ({ index }: W): number => own(Math.floor(index / together), salt);
  far.sort((a, b) => a.holders - b.holders || place(a) - place(b) || a.index - b.index);
  return [...wanted.filter(({ urgent }) => urgent), ...far];
}

/** A number between 0 and 2^32, as good as random. */
function own(index: number, salt: number): number {
  let mixed = Math.imul(index ^ salt, 0x9e3779b1);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x85ebca77);
  return (mixed ^ (mixed >>> 13)) >>> 0;
}

/**
 * What to have from the web seed in one request, of the pieces that it should fetch (`seedNow`), given in the order of
 * `inOrder`: the stretch that what is urgent lies in, else, so that there are few requests, one of at least `least`
 * pieces; never more than `most`.
 */
export function seedRun(due: readonly Wanted[], least: number, most: number, salt: number): Run | undefined {
  const stretches: Run[] = [];
  for (const index of due.map((piece) => piece.index).sort((a, b) => a - b)) {
    const last = stretches.at(-1);
    if (last && index === last.first + last.count && last.count < most) last.count++;
    else stretches.push({ first: index, count: 1 });
  }
  const next = due.find(({ urgent }) => urgent)?.index;
  if (next !== undefined) return stretches.find(({ first, count }) => next >= first && next < first + count);
  const worthy = stretches.filter(({ count }) => count >= least);
  return worthy.sort((a, b) => own(a.first, salt) - own(b.first, salt))[0];
}

/** A piece that is wanted, and how long what it waits for has taken, in ms. */
export interface Due extends Wanted {
  /** a peer is fetching it from a web seed, or says so and is believed */
  coming: boolean;
  /** one that has brought something of this run already */
  kept: boolean;
  /** since it was first wanted */
  waitedMs: number;
  /** since then, or since the last block of it */
  idleMs: number;
  /** since then, or since one of its holders last brought anything */
  quietMs: number;
  /** since the page should have had it; negative before */
  lateMs: number;
  /** what the origin alone would take */
  originMs: number;
  /** what peers will yet take (`leftMs`) */
  leftMs: number;
}

/**
 * Whether the web seed should fetch a piece: at once if no peer holds it or is about to. What is urgent is left to mere
 * words no longer than to peers that bring nothing. Peers that hold it are raced for what is urgent alone: at the last
 * moment at which the origin would have it in time, if they need twice as long; when nothing comes of its holders for
 * as long as the origin may take, or none of it though it is late, or it has taken very long. While a crowd is busy, one
 * that is impatient only makes it slower for all. `offload` gives peers longer.
 */
export function seedNow(piece: Due, prefer: 'speed' | 'offload'): boolean {
  const extraMs = prefer === 'offload' ? offloadMs : 0;
  const patienceMs = Math.min(2000, Math.max(600, piece.originMs)) + extraMs;
  if (piece.coming && piece.waitedMs < (piece.urgent && !piece.kept ? patienceMs : maxClaimedMs)) return false;
  if (piece.holders === 0) return true;
  if (!piece.urgent) return false;
  const overMs = extraMs ? piece.waitedMs - extraMs : piece.lateMs - graceMs;
  if (overMs + piece.originMs > 0 && piece.leftMs > 2 * piece.originMs + graceMs) return true;
  const stuckMs = piece.lateMs > 0 ? piece.idleMs : Math.min(piece.idleMs, piece.quietMs);
  return stuckMs > patienceMs || piece.waitedMs > 4 * patienceMs;
}

/**
 * Whether a web seed that has been asked for something `elapsedMs` ago is slow: by now the origin should have brought
 * what is still to come first, for which it was thought to need `originMs`, twice. Peers may bring it then.
 */
export function seedSlow(elapsedMs: number, originMs: number): boolean {
  return elapsedMs > 2 * originMs + 600;
}

/** Peers that are given something at a time: the more, the longer each waits for what it could give on itself. */
export const uploadSlots = 4;
/** One that does not read what it was given keeps its slot no longer. */
export const slotMs = 1000;

/** What this browser uploads at most, alone and while it has something to download itself: 256 and 40 Mbit/s. */
const uploadRate = 32_000;
const busyUploadRate = 5_000;
/** so much of it may go out at once */
const burstMs = 50;

/**
 * When an upload may go out: `clockMs` is the time by which all that was let go before is out at the permitted rate, and
 * is advanced by the upload's bytes.
 */
export function uploadClock(clockMs: number, bytes: number, nowMs: number, busy: boolean): number {
  return Math.max(clockMs, nowMs - burstMs) + bytes / (busy ? busyUploadRate : uploadRate);
}
