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

/** How long peers have for `sizeBytes`: what the origin alone would take, and the owner's allowance. */
export function deadlineMs(prefer: Policy['prefer'], sizeBytes: number, origin: OriginSpeed): number {
  const alone = Math.max(graceMs, origin.latencyMs + sizeBytes / origin.bytesPerMs);
  // A large file's deadline is that of its beginning: it streams.
  return Math.round(Math.min(alone, 10_000) + (prefer === 'offload' ? offloadMs : 0));
}

/** How long a request waits for an engine that is not there yet, in a page that began `pageAgeMs` ago. */
export function engineWaitMs(prefer: Policy['prefer'], pageAgeMs: number, originDown: boolean): number {
  return originDown || prefer === 'offload' ? Math.max(0, (originDown ? 3 : 1) * engineStartMs - pageAgeMs) : 0;
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

/** Whether a worker that began at these times (ms, newest last) without ever getting ready is in a crash loop. */
export const crashLoop = (startsMs: number[], nowMs: number): boolean =>
  startsMs.filter((at) => nowMs - at < 60_000).length >= 3;

/** Whether a type or a destination makes bytes run as code, or style a page. */
export const isActive = (type: string, destination: string): boolean =>
  /html|script|css|wasm|xml/.test(type) || /^(document|i?frame|object|embed|script|style|.*worker|.*worklet|xslt)$/.test(destination);
