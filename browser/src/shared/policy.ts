/** The worker's choices, as pure functions: who may share, what is worth asking a peer for, and how long to wait. */
import type { Policy } from './manifest.ts';

/** What the origin was measured to do: time to the first byte, and bytes a millisecond after it. */
export interface OriginSpeed {
  latencyMs: number;
  /** the least latency of late: what remains when nothing is queued on the way */
  leastMs: number;
  bytesPerMs: number;
}

/** Before anything was measured: a middling connection. */
export const unmeasured: OriginSpeed = { latencyMs: 100, leastMs: 100, bytesPerMs: 1000 };

/** Files up to this size are not worth a peer's round trips where speed is preferred. */
export const smallBytes = 4096;
/** What the owner allows for saving the origin's bytes. */
export const offloadMs = 2000;
/** With the origin down there is nothing to be late for. */
export const outageMs = 15_000;
/** An origin that has said nothing by then is raced against store and peers. */
export const patienceMs = 1200;
/** How long after a page began its engine may be expected to appear; and after one that is known to start one. */
export const engineStartMs = 1500;
export const greetedMs = 4000;
/** Active content up to this size is verified as a whole before delivery, and again when read from the store. */
export const activeBytes = 1 << 20;
/** What is not larger is read whole before delivery: a stream through the worker costs more than it gains. */
export const wholeBytes = 256 * 1024;

export const worthAsking = (prefer: Policy['prefer'], sizeBytes: number): boolean =>
  sizeBytes > (prefer === 'offload' ? 0 : smallBytes);

/** A page fetches so many contents from the origin at once, at the least: as many as browsers allow HTTP/1.1. */
export const minTurns = { speed: 6, offload: 3 } satisfies Record<Policy['prefer'], number>;
/** So long a request waits for what its page asks for in the same breath, so that their order can be chosen. */
export const maxGatherMs = 20;
/** A fetch that takes longer makes room for another. */
export const turnLimitMs = 10_000;
/** With `speed` and peers there, an engine has so long to say that it delivers. */
export const answerMs = 50;
/** With `speed`, a connection that is being made is waited for so long, and for half of what the page takes anyway. */
export const connectMs = 1500;
/** With `offload`, what a peer says it is fetching is left to it for so long, at the most. */
export const trustMs = 10_000;
/** A visitor who was alone is taken to be so for as long: the longer, the less is to be waited for. */
export const aloneMs = { speed: 300_000, offload: 10_000 } satisfies Record<Policy['prefer'], number>;

/**
 * Whether a page with `running` fetches, of `bytes` in all, may begin another: few enough to leave the rest to others,
 * and enough to keep the way from the origin full, with twice what is on it at a time.
 */
export const turnFree = (prefer: Policy['prefer'], running: number, bytes: number, origin: OriginSpeed): boolean =>
  running < minTurns[prefer] || bytes < 2 * origin.leastMs * origin.bytesPerMs;

/** Whether a page's rendering waits for it. */
export const isUrgent = (destination: string): boolean => /^(script|style|font|xslt)$/.test(destination);

/**
 * Whether a browser runs what a page imports, as the engine is, only while its parser waits for no script, and so for
 * no style sheet before one: as Firefox does. What waited for the engine there would have the engine wait for it.
 */
export const importsLast = (userAgent: string): boolean => /\bGecko\/\d/.test(userAgent);

/**
 * How long a request of `bytes` waits for others to choose from, in ms: images come in flocks, anything else does if it
 * is not the first. A twentieth of what it takes anyway is not noticed.
 */
export const gatherMs = (destination: string, others: number, bytes: number, origin: OriginSpeed): number =>
  isUrgent(destination) || (destination !== 'image' && !others)
    ? 0
    : Math.min(maxGatherMs, (origin.leastMs + bytes / origin.bytesPerMs) / 20);

/**
 * The order in which requests take their turns, the lowest first: what is urgent in the page's order (`count`), then
 * the rest in an order of this visitor's own (`random`, 0 to 1), so that visitors who arrive together fetch different
 * things; and last, what a peer is about to have.
 */
export const turnRank = (urgent: boolean, count: number, random: number, soon = false): number =>
  (urgent ? count : 1e8 * (1 + random)) + (soon ? 1e9 : 0);

/** What a request that waits for its turn meets. */
export interface Standing {
  /** what its `gatherMs` is */
  gatherMs: number;
  waitedMs: number;
  /** since its page began */
  pageAgeMs: number;
  /** since an engine has been there; undefined: there is none */
  engineAgeMs: number | undefined;
  /** the page has said that it can run one */
  greeted: boolean;
  connections: number;
  /** whether the last engine found nobody, a moment ago */
  alone: boolean;
  urgent: boolean;
  /** its page's engine cannot start before this has come */
  barsEngine: boolean;
  /** the origin's throughput is known */
  measured: boolean;
  /** what the origin alone would take for all that its page waits for */
  pageMs: number;
  /** what the engine says: a peer is about to have it or to be connected, none is; undefined: nothing yet */
  soon: boolean | undefined;
}

/**
 * How long a request leaves the origin alone, in ms from now; 0: it takes the next turn. `speed` waits for the answer
 * of an engine that has peers to ask and, with what is not urgent, for what a peer is fetching and for a first
 * connection that is being made, where that takes a part of what the page takes anyway, and for less for an engine to
 * tell of one; `offload` for an engine, for any first connection, and for what a peer is fetching.
 */
export function turnWaitMs(prefer: Policy['prefer'], standing: Standing): number {
  const { waitedMs, connections, soon } = standing;
  const forMs = prefer === 'speed' ? speedWaitMs(standing) : offloadWaitMs(standing);
  const nobody = soon === false || (standing.alone && !connections && !soon);
  return Math.max(0, nobody ? 0 : forMs, standing.gatherMs - waitedMs);
}

function speedWaitMs({ waitedMs, pageAgeMs, connections, urgent, measured, pageMs, soon }: Standing): number {
  if (!connections && !soon) return measured && !urgent ? Math.min(connectMs, pageMs / 3) - pageAgeMs : 0;
  const spareMs = soon && !urgent ? Math.min(connectMs, pageMs / 2) : 0;
  return Math.max(spareMs, connections ? answerMs : 0) - waitedMs;
}

/** However slow the browser is just now: what it has begun is waited for from its own beginning. */
function offloadWaitMs(standing: Standing): number {
  const { waitedMs, pageAgeMs, engineAgeMs, greeted, barsEngine, connections, soon } = standing;
  if (connections) return (soon ? trustMs : offloadMs) - waitedMs;
  if (barsEngine) return 0;
  if (engineAgeMs === undefined) return (greeted ? greetedMs : engineStartMs) - pageAgeMs;
  return offloadMs - Math.min(waitedMs, engineAgeMs);
}

export const isMeasured = ({ bytesPerMs }: OriginSpeed): boolean => bytesPerMs !== unmeasured.bytesPerMs;

const mix = (old: number, now: number): number => old + (now - old) * 0.3;

/** Folds the time to a response's first byte into the measurement (exponential average). */
export const withLatency = (before: OriginSpeed, latencyMs: number): OriginSpeed => ({
  ...before,
  latencyMs: mix(before.latencyMs, latencyMs),
  leastMs: Math.min(before.leastMs * 1.02, latencyMs),
});

/** The same of `bytes` that came in `bodyMs`, by whatever number of responses. Few say nothing of throughput. */
export const withBody = (before: OriginSpeed, bytes: number, bodyMs: number): OriginSpeed => {
  const rate = bytes / Math.max(1, bodyMs);
  if (bytes < 32 * 1024) return before;
  return { ...before, bytesPerMs: isMeasured(before) ? mix(before.bytesPerMs, rate) : rate };
};

/** Whether this visitor may share, as far as policy and will go. */
export function mayShare(
  mode: Policy['mode'],
  consent: 'unset' | 'granted' | 'denied',
  wish: { saveData: boolean; gpc: boolean; paused: boolean },
): boolean {
  if (mode === 'off' || consent === 'denied' || wish.paused) return false;
  return consent === 'granted' || (mode === 'auto' && !wish.saveData && !wish.gpc);
}

/**
 * Whether a worker whose last three starts were at these times (ms, newest last), without ever getting ready, is in a
 * crash loop. It stays so: no start is noted while it is off, and another release, or another script, has them forgotten.
 */
export const crashLoop = (startsMs: number[]): boolean =>
  startsMs.length >= 3 && startsMs[startsMs.length - 1]! - startsMs[startsMs.length - 3]! < 60_000;

/** Whether a type or a destination makes bytes run as code, or style a page. */
export const isActive = (type: string, destination: string): boolean =>
  /html|script|css|wasm|xml/.test(type) ||
  /^(document|i?frame|object|embed|script|style|.*worker|.*worklet|xslt)$/.test(destination);
