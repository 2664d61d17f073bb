/**
 * One torrent on one tracker (docs/tracker.md): its WebSocket, when to announce, and what the tracker says of the swarm.
 *
 * Announcements follow at the tracker's interval, and sooner while peers are wanted that the tracker has not shown yet:
 * after 2, 4, 8, … seconds. (A newcomer that wants peers finds us without any of that; the short steps are for one that
 * wants nothing, such as a seeder.) A socket that is lost is opened again, later each time.
 */
import { decodeTrackerMessage, encodeAnnounce, encodeAnswer } from '../shared/signal.ts';
import type { Announce, TrackerMessage } from '../shared/signal.ts';

const defaultIntervalMs = 120_000;
const minIntervalMs = 15_000;
const maxIntervalMs = 30 * 60_000;
/** The first of the short steps; also before a lost socket is opened again. */
const firstStepMs = 2_000;
const lastRetryMs = 5 * 60_000;
/** A swarm that has lost its tracker comes back to it within this time, about 100 peers a second. */
const maxCrowdMs = 30_000;
/** A tracker that is silent for so long, when it should open the socket or reply, is taken for lost. */
const silenceMs = 15_000;

/** A swarm that is told to look again asks the origin about 100 times a second, but nobody waits longer than this. */
const lookMs = 10;
const maxLookMs = 15 * 60_000;

export type Described = Extract<TrackerMessage, { type: 'offer' | 'answer' }>;
export type Released = Extract<TrackerMessage, { type: 'release' }>;

/** The torrent, as its tracker sees it. */
export interface Announced {
  /** what every announcement says */
  announcement(): Omit<Announce, 'offers' | 'event'>;
  /** whether more peers are wanted than the tracker has shown */
  searching(tracker: Tracker): boolean;
  /** whether an offer is still worth announcing */
  waits(offerId: string): boolean;
  /** `tracker.others` may have changed */
  counted(): void;
  /** @param reply passes our answer to an offer on, if that is possible */
  described(message: Described, reply: (sdp: string) => boolean): void;
  /** the site has another snapshot, it is said */
  released(message: Released): void;
}

export class Tracker {
  /** Peers that the tracker knows besides this one; undefined until it has told, or failed to. */
  others: number | undefined;
  /** how long it last took to reply; undefined if it has not, or has refused or been lost since */
  delayMs: number | undefined;
  readonly url: string;
  #torrent: Announced;
  #socket: WebSocket | undefined;
  /** waits for what comes next: the socket, a reply, the next announcement, another attempt */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #intervalMs = defaultIntervalMs;
  #introduced = false;
  /** when it was last told something that it should reply to */
  #toldMs = 0;
  #failures = 0;
  #searches = 0;
  /** what is to be passed on in its time, and the timer of that */
  #release: Released | undefined;
  #look: ReturnType<typeof setTimeout> | undefined;
  /** offers made before the socket is open */
  #early: Announce['offers'] = [];

  constructor(url: string, torrent: Announced) {
    this.url = url;
    this.#torrent = torrent;
    this.#connect();
  }

  /** Announces now, or as soon as the socket is open. */
  announce(offers: Announce['offers'] = []): void {
    const event = this.#introduced ? undefined : 'started';
    if (!this.send(encodeAnnounce({ ...this.#torrent.announcement(), offers, ...(event && { event }) }))) {
      this.#early = offers;
      return;
    }
    this.#introduced = true;
    this.#toldMs = Date.now();
    this.#within(silenceMs, () => this.#fail());
  }

  /** Whether the message was handed to an open socket. */
  send(text: string): boolean {
    const open = this.#socket?.readyState === 1;
    if (open) this.#socket!.send(text);
    return open;
  }

  /** Takes leave of the tracker. */
  stop(): void {
    if (this.#introduced) {
      this.send(encodeAnnounce({ ...this.#torrent.announcement(), offers: [], event: 'stopped' }));
    }
    this.#disconnect();
    clearTimeout(this.#look);
  }

  #connect(): void {
    this.#within(silenceMs, () => this.#fail());
    try {
      this.#socket = new WebSocket(this.url);
    } catch {
      this.#fail(); // not a WebSocket URL, or one that the page's CSP forbids
      return;
    }
    this.#socket.onopen = () => this.announce(this.#early.filter(({ id }) => this.#torrent.waits(id)));
    this.#socket.onclose = () => this.#fail();
    this.#socket.onmessage = ({ data }: MessageEvent<unknown>) => {
      const message = typeof data === 'string' && decodeTrackerMessage(data);
      if (message) this.#received(message);
    };
  }

  #received(message: TrackerMessage): void {
    const { infoHash, peerId } = this.#torrent.announcement();
    if (message.infoHash !== undefined && message.infoHash !== infoHash) return;
    switch (message.type) {
      case 'announced': {
        const { intervalMs, others } = message;
        this.#failures = 0;
        this.delayMs = Date.now() - this.#toldMs;
        if (intervalMs) this.#intervalMs = Math.min(maxIntervalMs, Math.max(minIntervalMs, intervalMs));
        this.others = others ?? this.others;
        break;
      }
      case 'failure':
        this.#searches = Infinity;
        this.delayMs = undefined;
        break;
      case 'offer':
      case 'answer':
        return this.#torrent.described(message, (sdp) => {
          const { peerId: toPeerId, offerId } = message;
          return this.send(encodeAnswer({ infoHash, peerId, toPeerId, offerId, sdp }));
        });
      case 'release': {
        // A root speaks for itself. Without one the first to come sets the time, and the last to come counts.
        const spreadMs = message.root ? 0 : Math.min(maxLookMs, lookMs * (this.others ?? 0));
        if (!this.#release || message.root) {
          clearTimeout(this.#look);
          this.#look = setTimeout(() => {
            this.#torrent.released(this.#release!);
            this.#release = undefined;
          }, Math.random() * spreadMs);
        }
        this.#release = message;
        return;
      }
      default:
        message satisfies never;
    }
    this.others ??= 0;
    this.#plan();
    this.#torrent.counted();
  }

  /** Plans the next announcement, a fifth sooner or later, so that a crowd does not stay in step. */
  #plan(): void {
    const stepMs = this.#torrent.searching(this) ? firstStepMs * 2 ** this.#searches++ : Infinity;
    this.#within(Math.min(this.#intervalMs, stepMs) * (0.8 + Math.random() * 0.4), () => this.announce());
  }

  /**
   * Gives the socket up, as broken as it is silent, and tries again later: the later, the larger the swarm that it has
   * been lost to at the same time.
   */
  #fail(): void {
    this.#disconnect();
    const backOffMs = Math.min(lastRetryMs, firstStepMs * 2 ** this.#failures++);
    const crowdMs = Math.min(maxCrowdMs, lookMs * (this.others ?? 0));
    this.#within(backOffMs * (0.8 + Math.random() * 0.4) + Math.random() * crowdMs, () => this.#connect());
    this.others = 0;
    this.delayMs = undefined;
    this.#torrent.counted();
  }

  #disconnect(): void {
    clearTimeout(this.#timer);
    this.#introduced = false;
    this.#early = [];
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = undefined;
    socket.onopen = socket.onclose = socket.onmessage = null;
    socket.close();
  }

  #within(ms: number, then: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, ms);
  }
}
