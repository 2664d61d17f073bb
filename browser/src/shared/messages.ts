/**
 * What the three parts of the runtime say to each other. This is the one contract between them: `install`, `worker`
 * and `engine` import it and never each other.
 *
 *     page   ──PageMessage──▶ worker             by ServiceWorker.postMessage; calls carry a reply port
 *     page   ◀─WorkerMessage── worker            by Client.postMessage, as `Posted`
 *     engine ◀─ToEngine / FromEngine─▶ worker    by a MessagePort, made by the engine's page for the worker
 *
 * The engine is an ES module that install.js imports when there is a reason to (`EngineModule`). Everything the engine
 * knows of the site comes over its port from the worker, which owns the manifest.
 */
import type { Content, FileRow, Policy, Root } from './manifest.ts';

/**
 * Bumped when a message, the store's layout or the worker's records change incompatibly. A page, worker and engine
 * that disagree leave each other alone until the next load (plain HTTP).
 */
export const protocol = 1;

/** The database of what an engine leaves to the next page's while no tracker answers. It goes with the site's store. */
export const standbyDatabase = 'planktos-standby';

/** Size of one chunk of a body between engine and worker, and how many may be outstanding (facts: 4 x 256 KiB). */
export const chunkBytes = 256 * 1024;
export const chunksOutstanding = 4;

/** The largest signed root that is handed on, in bytes. */
export const maxSignedBytes = 256 * 1024;

/** How a page of this site is being served. */
export type Mode =
  /** under the worker, sharing with peers */
  | 'peers'
  /** under the worker, not sharing (policy, consent, Save-Data, GPC, no WebRTC) */
  | 'worker'
  /** as if Planktos were not there */
  | 'http';

/** Whether the origin shows its manifest. `down`: it refuses, hangs, fails, shows something else, or lost the site. */
export type OriginState = 'up' | 'down';

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

/** How the worker serves a page: its answer to `hello`. */
export interface Welcome {
  mode: Mode;
  /** id of the snapshot this page was loaded from, or would be; empty when there is none */
  snapshot: string;
  consent: Consent;
  originState: OriginState;
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
  /** the page runs install.js: answered by `welcome`, at once and whenever that changes. Said again and again */
  | {
      type: 'hello';
      protocol: number;
      /** WebRTC is there, and no Save-Data */
      canShare: boolean;
      /** Global Privacy Control, which the visitor's consent overrules */
      gpc: boolean | undefined;
      /** what the page has fetched: taken from the HTTP cache into the store, if it began without the worker */
      loaded: string[];
    }
  /**
   * Hands the worker two ports (transferred): one to this page's engine, and one that says, once, that the engine is gone:
   * true if the page leaves, perhaps for the back/forward cache, false if another page's took over. (Chromium may lose
   * what a page says to its worker by `postMessage` as it enters that cache.)
   */
  | { type: 'engine'; protocol: number }
  /** the page has been visible, or hidden, for a while, or is awake again: another page may be the better host */
  | { type: 'settled' }
  /** said now and then while the origin is down, by every page: the worker asks it again when it is time to */
  | { type: 'probe' }
  /** the first-visit snippet is about to load its page anew, under the worker that it has just waited for */
  | { type: 'again' }
  /** keeps the worker alive while a response to this page streams (see `stream`), or starts it */
  | { type: 'ping' }
  /** a tracker tells the page of a release. (Not by the engine's port: this starts a worker that was stopped.) */
  | ({ type: 'release' } & Heard)
  /** in idle time: the documents that the page's visible links lead to */
  | { type: 'prefetch'; urls: string[] }
  | ({ type: 'call' } & Call);

/** worker → page */
export type WorkerMessage =
  /** the reply to `hello`, and again when mode or consent has changed */
  | ({ type: 'welcome' } & Welcome)
  /**
   * What the page is to do about the engine: `run` it if no other page does, `steal` it from one that hangs or is
   * hidden, or `stop`. A page whose engine runs already sends a port anew: the worker was restarted
   */
  | { type: 'engine'; act: 'run' | 'steal' | 'stop' }
  /** a response to this page started or ended streaming: while any does, the page posts `ping` every 10 s */
  | { type: 'stream'; active: boolean }
  | { type: 'status'; connections: number }
  | { type: 'peer'; id: string; connected: boolean }
  /** `bytes` of `path` have just been had from `source` */
  | { type: 'progress'; path: string; size: number; bytes: number; source: Source }
  /**
   * the origin's `path` has other bytes than this page's snapshot; `mixed`: the page was given them, and its next
   * navigation takes the newer snapshot; `altered`: there is none, the host changes the path, and is left alone with it
   */
  | { type: 'mismatch'; path: string; mixed: boolean; altered: boolean }
  /** the origin shows a newer snapshot than this page's */
  | { type: 'update'; snapshot: string }
  /** the origin is down, or up again */
  | { type: 'origin'; state: OriginState }
  /** the visitor's answer has changed */
  | { type: 'consent'; state: Consent };

/**
 * A WorkerMessage on its way, told from what a site's own worker may post to its pages: `planktos` is its type. The page
 * dispatches it on `window.planktos`, whose properties become what `set` says, and `hear`s of what it takes the engine's
 * script to do.
 */
export type Posted = {
  [T in WorkerMessage['type']]: {
    planktos: T;
    detail: Omit<Extract<WorkerMessage, { type: T }>, 'type'>;
    set: { connections?: number; snapshot?: string; originState?: OriginState };
    hear: boolean;
  };
}[WorkerMessage['type']];

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
   * Asks for bytes [start, end) of a content. The request stands until it is accepted, cancelled or declined; in the
   * meantime `expect` says what is to be hoped for. After `accept` come chunks in order as credit allows
   * (`chunksOutstanding` to begin with), then `end` or `fail`.
   */
  | {
      type: 'get';
      id: number;
      content: Content;
      /** site path, for web seeds without hashed copies and for `progress` */
      path: string;
      start: number;
      end: number;
      /** from now, when the origin alone would have brought it: peers that take longer are no help */
      deadlineMs: number;
      /** peers or, if they fail, other hosts: the origin is down */
      peersOnly: boolean;
      /** prefetch: from peers only, never in the way of other requests, and it may wait long */
      background: boolean;
    }
  /** one chunk has been consumed: one more may be sent */
  | { type: 'pull'; id: number }
  | { type: 'cancel'; id: number }
  /** answered in kind, by way of the page: does the engine live, and its page? */
  | { type: 'beat' }
  /** the worker has put this content into the store; it can be seeded */
  | { type: 'have'; content: Content }
  /** the worker has begun to fetch the whole content from the origin, or ended without having it; see `have` */
  | { type: 'fetching'; content: Content; active: boolean }
  /** the content left the store */
  | { type: 'drop'; content: Content }
  /** learn the origin's latency and throughput, as the worker measured them */
  | { type: 'origin'; latencyMs: number; bytesPerMs: number }
  /**
   * The newest release that the worker believes in, for peers to be told of. `sequence` is 0 and `root` empty where it
   * has no signature that others could believe. Only roots with a number beyond `above` are of use, none if it is Infinity
   */
  | { type: 'newest'; snapshot: string; sequence: number; root: ArrayBuffer; above: number }
  /** a release that this peer (`Heard.by`) told of was none: it is not listened to about releases any more */
  | { type: 'bogus'; by: string };

/** engine → worker */
export type FromEngine =
  | { type: 'beat' }
  | { type: 'accept'; id: number }
  /** the engine will not deliver by the deadline: the worker asks the origin itself */
  | { type: 'decline'; id: number }
  /**
   * The request goes on standing, and `soon` says whether to leave the content to others for now: a connected peer says
   * that it is fetching it, or the first connections are being made. Said once something is known, and when it changes.
   */
  | { type: 'expect'; id: number; soon: boolean }
  | { type: 'chunk'; id: number; data: ArrayBuffer }
  | { type: 'end'; id: number }
  /** after `accept`: the rest cannot be had from peers or web seeds; the worker continues from the next byte */
  | { type: 'fail'; id: number }
  /** verified payload since the last count; `path` where a request caused it */
  | { type: 'count'; origin: number; peers: number; uploaded: number; path?: string; size?: number }
  /**
   * The browser has no room for a content of so many bytes: what has been unused the longest is to go. Answered on the
   * transferred port, when what could be done has been
   */
  | { type: 'room'; bytes: number }
  /** the content is complete in the store */
  | { type: 'stored'; content: Content }
  | { type: 'status'; connections: number }
  | { type: 'peer'; id: string; connected: boolean }
  /** a release has been heard of; one with a `root` is answered by `newest` or `bogus` */
  | ({ type: 'release' } & Heard);

/** What others say of a release: nothing is believed of it but what the origin, or a right signature, confirms. */
export interface Heard {
  /** the snapshot's id, 64 hex digits; empty if it is not known */
  snapshot: string;
  /** the manifest's root as it was signed, whole, at most `maxSignedBytes` */
  root?: ArrayBuffer;
  from: 'peer' | 'tracker';
  /** id of the peer, in hex */
  by?: string;
}

/** The engine's script, as a module: what `window.planktos` and its page need beyond a first greeting. */
export interface EngineModule {
  /** `planktos[method](...args)`, `planktos.consent[method]()`, or `hear` with a message of the worker */
  call(planktos: object, method: string, args: unknown[]): Promise<unknown>;
}

/** Runs an engine in a page. `start` never throws; an engine that cannot work sends no port. */
export interface EngineOptions {
  /** URL of the engine's script, for the dedicated worker it starts */
  script: string;
  /** hands a port (a MessagePort) to the worker */
  connect: (port: unknown) => void;
  /** posts something to the worker, so that the browser starts it if it was stopped */
  wake: () => void;
  /** passes on what a tracker tells of a release */
  heard: (release: Heard) => void;
}
export type StartEngine = (options: EngineOptions) => EngineHandle;
export interface EngineHandle {
  /** makes a new port and passes it to `connect`: the worker was restarted */
  reconnect(): void;
  /** ends the engine, and every peer connection, at once; synchronous, for `pagehide`. It cannot be started again */
  close(): void;
}

/** Posts go through these, so that a literal is checked where it is sent. */
export type Post<M> = (message: M) => void;
