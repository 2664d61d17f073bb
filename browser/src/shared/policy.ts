/** The worker's choices, as pure functions: who may share, what is worth asking a peer for, and how long to wait. */
import type { Policy } from './manifest.ts';

/** What the origin was measured to do: time to the first byte, and bytes a millisecond after it. */
export interface OriginSpeed {
  latencyMs: number;
  bytesPerMs: number;
}

/** Before anything was measured: a middling connection. */
export const unmeasured: OriginSpeed = { latencyMs: 100, bytesPerMs: 1000 };

/** Files up to this size are not worth a peer's round trips where speed is preferred. */
export const smallBytes = 4096;
/** No peer is given less: below it a visitor notices no difference. */
export const graceMs = 150;
/** What the owner allows for saving the origin's bytes. */
export const offloadMs = 2000;
/** With the origin down there is nothing to be late for. */
export const outageMs = 15_000;
/** An origin that has said nothing by then is raced against store and peers. */
export const patienceMs = 1200;
/** How long after a page began its engine may be expected to appear. */
export const engineStartMs = 1500;
/** Active content up to this size is verified as a whole before delivery, and again when read from the store. */
export const activeBytes = 1 << 20;

export const worthAsking = (prefer: Policy['prefer'], sizeBytes: number): boolean =>
  sizeBytes > (prefer === 'offload' ? 0 : smallBytes);

/** What a request allows peers, in ms since it began: one budget, whatever it is spent on. */
export interface Budget {
  /** an engine has to be there */
  engineMs: number;
  /** an engine has to have said that it delivers */
  answerMs: number;
  /** the first bytes have to be there, and all of what is verified as a whole */
  doneMs: number;
}

/**
 * The budget of a request for `sizeBytes` in a page that began `pageAgeMs` before it. What peers are late for costs the
 * visitor what was waited for an answer, on top of what the origin alone takes: with `speed` that is a moment nobody
 * notices, with `offload` the owner's allowance. Only `offload` waits for an engine, and only while the page is so young
 * that one may still come. With the origin `down` there is nothing to be late for.
 */
export function budget(
  prefer: Policy['prefer'],
  sizeBytes: number,
  origin: OriginSpeed,
  pageAgeMs: number,
  down: boolean,
): Budget {
  if (down) return { engineMs: Math.max(0, 3 * engineStartMs - pageAgeMs), answerMs: outageMs, doneMs: outageMs };
  const allowanceMs = prefer === 'offload' ? offloadMs : 0;
  // A large file's deadline is that of its beginning: it streams.
  const aloneMs = Math.min(10_000, Math.max(graceMs, origin.latencyMs + sizeBytes / origin.bytesPerMs));
  return {
    engineMs: allowanceMs && Math.max(0, engineStartMs - pageAgeMs),
    answerMs: allowanceMs || graceMs,
    doneMs: Math.round(aloneMs + allowanceMs),
  };
}

/** Folds one transfer into the measurement (exponential average). Small bodies say nothing of throughput. */
export function measured(before: OriginSpeed, latencyMs: number, bytes: number, bodyMs: number): OriginSpeed {
  const mix = (old: number, now: number): number => old + (now - old) * 0.3;
  return {
    latencyMs: mix(before.latencyMs, Math.max(1, latencyMs)),
    bytesPerMs: bytes < 32 * 1024 ? before.bytesPerMs : mix(before.bytesPerMs, bytes / Math.max(1, bodyMs)),
  };
}

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
 * crash loop. It stays so: no start is noted while it is off, and the next release's installation forgets them.
 */
export const crashLoop = (startsMs: number[]): boolean =>
  startsMs.length >= 3 && startsMs[startsMs.length - 1]! - startsMs[startsMs.length - 3]! < 60_000;

/** Whether a type or a destination makes bytes run as code, or style a page. */
export const isActive = (type: string, destination: string): boolean =>
  /html|script|css|wasm|xml/.test(type) ||
  /^(document|i?frame|object|embed|script|style|.*worker|.*worklet|xslt)$/.test(destination);
