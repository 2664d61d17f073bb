/**
 * `window.planktos`: what a page that includes `planktos/install.js` can ask and tell. Everything here works, and
 * nothing throws for that reason, where the browser has no service workers or no WebRTC: the page is then as over plain
 * HTTP, `ready` is `'http'`, figures are zero and lists empty.
 *
 *     const mode = await planktos.ready
 *     planktos.addEventListener('progress', ({ detail }) => console.log(detail.path, detail.source))
 */

/**
 * How this page is served: `peers`: by the service worker, sharing with other visitors; `worker`: by the service worker
 * without sharing (the site's policy, no consent, Save-Data, Global Privacy Control, no WebRTC); `http`: as if Planktos
 * were not there.
 */
export type Mode = 'peers' | 'worker' | 'http';

/** `down`: the origin refuses, hangs, fails, or answers with something else than the site's manifest. */
export type OriginState = 'up' | 'down';

export type Consent = 'unset' | 'granted' | 'denied';

/** Bytes of verified payload by where they first came from; `store` counts bytes given to pages from the store. */
export interface Totals {
  origin: number;
  peers: number;
  store: number;
  uploaded: number;
}

/** Totals of this browser and site since its store was made, and since this page's load. */
export interface Stats extends Totals {
  page: Totals;
}

export interface Snapshot {
  /** 64 hex digits */
  id: string;
  /** when this browser first saw it, ms since the epoch */
  firstSeenMs: number;
  /** whether it is the newest the origin has shown */
  current: boolean;
}

/** A file of the site, in the snapshot that this page was loaded from. */
export interface PlanktosFile {
  /** size in bytes */
  readonly length: number;
  getStream(): Promise<ReadableStream<Uint8Array>>;
  getBlob(): Promise<Blob>;
}

export interface PlanktosConsent {
  /** the visitor's answer so far; `unset` in a site that does not ask */
  readonly state: Consent;
  /** The visitor agrees to share. It also overrules Global Privacy Control, being the more particular wish; not
   * Save-Data, which is about the bytes. */
  grant(): Promise<void>;
  /** The visitor refuses: connections end at once. */
  deny(): Promise<void>;
  /** Forgets the answer: a site in mode `ask` stops sharing until it is granted anew. */
  revoke(): Promise<void>;
}

export interface PlanktosEvents {
  /** a connection to another visitor opened or ended; `id` means nothing outside this page */
  peer: CustomEvent<{ id: string; connected: boolean }>;
  /** `bytes` of `path` have just been had from `source`; `size` is the file's */
  progress: CustomEvent<{ path: string; size: number; bytes: number; source: 'origin' | 'peers' | 'store' }>;
  /** the origin shows a newer snapshot than this page's; a reload takes it */
  update: CustomEvent<{ snapshot: string }>;
  /** the number of connections changed */
  status: CustomEvent<{ connections: number }>;
  /**
   * the origin's `path` has other bytes than this page's snapshot; `mixed`: the page was given them; `altered`: no newer
   * snapshot explains it, the host changes the path, which is left to the network from now on
   */
  mismatch: CustomEvent<{ path: string; mixed: boolean; altered: boolean }>;
  /** the origin is down, or up again */
  origin: CustomEvent<{ state: OriginState }>;
  /** the visitor's answer changed, in this page or another of the site */
  consent: CustomEvent<{ state: Consent }>;
}

export interface Planktos extends EventTarget {
  /**
   * Settles always, never rejects: when the service worker controls this page and knows its snapshot, or when that will
   * not be. It does not wait for a tracker or a peer.
   */
  readonly ready: Promise<Mode>;
  /** connections to other visitors that this browser has open now, for all pages of the site */
  readonly connections: number;
  /** id of the snapshot that this page was loaded from; empty without one */
  readonly snapshot: string;
  /**
   * What the last look at the origin's manifest told, by any page of the site. While it is `'down'` and a page is open,
   * the origin is asked again at least every 30 s. What is given meanwhile from elsewhere has the response header
   * `Planktos-Stale`: the seconds since the origin last showed its manifest.
   */
  readonly originState: OriginState;
  readonly consent: PlanktosConsent;
  stats(): Promise<Stats>;
  /** Stops sharing in this browser until `resume`, or until it is closed. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Looks a path up (`images/a.png`, not percent-encoded); rejects with a NotFoundError if there is no such file. */
  getFile(path: string): Promise<PlanktosFile>;
  /** The global `fetch`, which the worker answers; a path is taken from the site's root. */
  fetch(request: RequestInfo | URL, init?: RequestInit): Promise<Response>;
  /** Asks the origin for a newer snapshot; the id of the newest. Pages take it with their next load. */
  update(): Promise<string>;
  getAllSnapshots(): Promise<Snapshot[]>;
  /** Forgets a snapshot that no page uses; whether it did. */
  removeSnapshot(id: string): Promise<boolean>;
  addEventListener<K extends keyof PlanktosEvents>(
    type: K,
    listener: ((event: PlanktosEvents[K]) => unknown) | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

declare global {
  interface Window {
    planktos: Planktos;
  }
  var planktos: Planktos;
}
