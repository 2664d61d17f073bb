/**
 * What the three parts of the runtime say to each other. This is the one contract between them: `install`, `worker`
 * and `engine` import it and never each other.
 *
 *     page (install) ──PageMessage──▶ worker          by ServiceWorker.postMessage; calls carry a reply port
 *     page (install) ◀─WorkerMessage── worker         by Client.postMessage
 *     engine         ◀─ToEngine / FromEngine─▶ worker by a MessagePort, made by the engine's page for the worker
 *
 * The engine is an ES module that the page imports when the worker's welcome says so (`EngineModule`). Everything the
 * engine knows of the site comes over its port from the worker, which owns the manifest.
 */
import type { Content, FileRow, Policy, Root } from './manifest.ts';

/**
 * Bumped when a message, the store's layout or the worker's records change incompatibly. A page, worker and engine
 * that disagree leave each other alone until the next load (plain HTTP).
 */
export const protocol = 1;

/** Size of one chunk of a body between engine and worker, and how many may be outstanding (facts: 4 x 256 KiB). */
export const chunkBytes = 256 * 1024;
export const chunksOutstanding = 4;

/** How a page of this site is being served. */
export type Mode =
  /** under the worker, sharing with peers */
  | 'peers'
  /** under the worker, not sharing (policy, consent, Save-Data, GPC, no WebRTC) */
  | 'worker'
  /** as if Planktos were not there */
  | 'http';

export type Consent = 'unset' | 'granted' | 'denied';

/** Bytes of verified payload by where they first came from; `store` counts bytes given to pages from the store. */
export interface Totals {
  origin: number;
  peers: number;
  store: number;
  uploaded: number;
}

/** `planktos.stats()`: totals of this browser and site since the store was made, and since this page's load. */
export interface Stats extends Totals {
  page: Totals;
}

export type Source = 'origin' | 'peers' | 'store';

/** What the worker answers to a page's `hello`. */
export interface Welcome {
  mode: Mode;
  /** id of the snapshot this page was loaded from, or would be; empty when there is none */
  snapshot: string;
  consent: Consent;
  /** whether this page may start an engine, once it holds the lock */
  engine: boolean;
}

/** A snapshot that this browser knows, for `planktos.getAllSnapshots()`. */
export interface SnapshotInfo {
  id: string;
  /** when this browser first saw it, ms since the epoch */
  firstSeenMs: number;
  /** whether it is the newest the origin has shown */
  current: boolean;
}

/** A file of the current snapshot, for `planktos.getFile(path)`. */
export interface FileInfo {
  /** absolute URL that the worker answers with the file */
  url: string;
  length: number;
}

/** Methods that a page calls on the worker: arguments → result. Answered on the transferred reply port. */
export interface Calls {
  stats: { args: Record<string, never>; result: Stats };
  /** revalidates the manifest; resolves to the newest snapshot's id */
  update: { args: Record<string, never>; result: string };
  snapshots: { args: Record<string, never>; result: SnapshotInfo[] };
  /** forgets a snapshot that no page uses, and the contents only it names */
  removeSnapshot: { args: { id: string }; result: boolean };
  /** looks a path of the site up in the page's snapshot; undefined if there is none */
  file: { args: { path: string }; result: FileInfo | undefined };
  /** records the visitor's answer; the worker then tells every page (`welcome`) */
  consent: { args: { consent: Consent }; result: Consent };
  /** stops or resumes sharing in this browser, until it is closed */
  pause: { args: { paused: boolean }; result: boolean };
}
export type Method = keyof Calls;
export type Call = { [M in Method]: { method: M; args: Calls[M]['args'] } }[Method];
export type CallReply = { ok: true; value: unknown } | { ok: false; error: string };

/** page → worker */
export type PageMessage =
  /** the page runs install.js; `welcome` is answered on the reply port, and the page is told of changes from now on */
  | { type: 'hello'; protocol: number; canShare: boolean }
  /** hands the worker a port (transferred) to this page's engine */
  | { type: 'engine'; protocol: number }
  /** this page's engine is gone (pagehide, pause) */
  | { type: 'bye' }
  /** keeps the worker alive while a response to this page streams (see `stream`) */
  | { type: 'ping' }
  /** URLs that the page fetched before the worker controlled it, to be taken from the HTTP cache into the store */
  | { type: 'loaded'; urls: string[] }
  | ({ type: 'call' } & Call);

/** worker → page */
export type WorkerMessage =
  /** as the reply to `hello`, again: mode or consent changed; `engine: false` closes a running engine at once */
  | ({ type: 'welcome' } & Welcome)
  /** the worker has no engine (it was restarted, or the engine's page left): a page that has one sends a port anew,
   * one that may have one tries for the lock */
  | { type: 'engine?' }
  /** a response to this page started or ended streaming: while any does, the page posts `ping` every 10 s */
  | { type: 'stream'; active: boolean }
  | { type: 'status'; connections: number }
  | { type: 'peer'; id: string; connected: boolean }
  /** `bytes` of `path` have just been had from `source` */
  | { type: 'progress'; path: string; size: number; bytes: number; source: Source }
  /** the origin shows a newer snapshot than this page's */
  | { type: 'update'; snapshot: string };

/** A snapshot as the worker tells it to the engine: rows come as shards become known. */
export interface EngineSnapshot {
  id: string;
  root: Root;
  rows: FileRow[];
}

/** worker → engine */
export type ToEngine =
  | { type: 'configure'; protocol: number; scope: string; policy: Policy; snapshots: EngineSnapshot[] }
  /** a snapshot's further rows, or a new snapshot (`root` given) */
  | { type: 'rows'; id: string; root?: Root; rows: FileRow[] }
  /** no page uses the snapshot any more */
  | { type: 'forget'; id: string }
  /**
   * Asks for bytes [start, end) of a content. The engine answers `accept` or `decline` by `deadlineMs` from now;
   * after `accept`, chunks in order as credit allows (`chunksOutstanding` to begin with), then `end` or `fail`.
   */
  | {
      type: 'get';
      id: number;
      content: Content;
      /** site path, for web seeds without hashed copies and for `progress` */
      path: string;
      start: number;
      end: number;
      deadlineMs: number;
      /** peers or nothing: the origin is down */
      peersOnly: boolean;
    }
  /** one chunk has been consumed: one more may be sent */
  | { type: 'pull'; id: number }
  | { type: 'cancel'; id: number }
  /** the worker has put this content into the store; it can be seeded */
  | { type: 'have'; content: Content }
  /** the content left the store */
  | { type: 'drop'; content: Content }
  /** learn the origin's latency and throughput, as the worker measured them */
  | { type: 'origin'; latencyMs: number; bytesPerMs: number };

/** engine → worker */
export type FromEngine =
  | { type: 'accept'; id: number }
  /** the engine will not deliver by the deadline: the worker asks the origin itself */
  | { type: 'decline'; id: number }
  | { type: 'chunk'; id: number; data: ArrayBuffer }
  | { type: 'end'; id: number }
  /** after `accept`: the rest cannot be had from peers or web seeds; the worker continues from the next byte */
  | { type: 'fail'; id: number }
  /** verified payload since the last count; `path` where a request caused it */
  | { type: 'count'; origin: number; peers: number; uploaded: number; path?: string; size?: number }
  /** the content is complete in the store */
  | { type: 'stored'; content: Content }
  | { type: 'status'; connections: number }
  | { type: 'peer'; id: string; connected: boolean };

/** The engine's script, as a module. `start` never throws; an engine that cannot work sends no port. */
export interface EngineModule {
  start(options: EngineOptions): EngineHandle;
}
export interface EngineOptions {
  /** URL of the engine's script, for the dedicated worker it starts */
  script: string;
  /** hands a port (a MessagePort) to the worker */
  connect: (port: unknown) => void;
}
export interface EngineHandle {
  /** makes a new port and passes it to `connect`: the worker was restarted */
  reconnect(): void;
  /** closes every peer connection at once; synchronous, for `pagehide` */
  close(): void;
}

/** Posts go through these, so that a literal is checked where it is sent. */
export type Post<M> = (message: M) => void;
