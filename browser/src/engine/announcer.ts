/**
 * One torrent on one tracker: when to announce, and what the tracker says of the swarm.
 *
 * The first announcement carries no offers: no RTCPeerConnection is made before the tracker says that there is
 * somebody. Then announcements follow at the tracker's interval, and sooner while peers are wanted that the tracker has
 * not shown yet: after 2, 4, 8, … seconds. (A newcomer that wants peers finds us without any of that; the short steps
 * are for one that wants nothing, such as a seeder.)
 */
import { encodeAnnounce, encodeAnswer, type Announce, type Answer, type TrackerMessage } from '../shared/signal.ts';
import type { Announces, Tracker } from './tracker.ts';

const defaultIntervalMs = 120_000;
const minIntervalMs = 15_000;
const maxIntervalMs = 30 * 60_000;
const firstSearchMs = 2_000;
/** A tracker that is silent for so long after an announcement is taken for lost. */
const replyTimeoutMs = 20_000;

export type Progress = Pick<Announce, 'left' | 'uploaded' | 'downloaded'>;
export type Described = Extract<TrackerMessage, { type: 'offer' | 'answer' }>;

/** What an announcer needs to know of its torrent, and tells it. */
export interface Announced {
  readonly infoHash: string;
  readonly peerId: string;
  progress(): Progress;
  /** whether more peers are wanted than `announcer.others` gives */
  searching(announcer: Announcer): boolean;
  /** whether there is a connection, so that the search need not hurry */
  readonly connected: boolean;
  /** `announcer.others` may have changed */
  counted(): void;
  described(announcer: Announcer, message: Described): void;
}

export class Announcer implements Announces {
  /** Peers that the tracker knows, besides this one. */
  others = 0;
  /** whether the tracker has told anything, or failed to */
  heard = false;
  #tracker: Tracker;
  #torrent: Announced;
  #introduced = false;
  #saidLeft = 0;
  #searches = 0;
  #intervalMs = defaultIntervalMs;
  #next: ReturnType<typeof setTimeout> | undefined;
  #reply: ReturnType<typeof setTimeout> | undefined;

  constructor(tracker: Tracker, torrent: Announced) {
    this.#tracker = tracker;
    this.#torrent = torrent;
    tracker.add(torrent.infoHash, this);
  }

  opened(): void {
    this.announce([]);
  }

  lost(): void {
    this.#introduced = false;
    this.others = 0;
    this.heard = true;
    this.#clear();
  }

  /** Announces now; what cannot be sent is dropped, since the socket's opening announces anyway. */
  announce(offers: Announce['offers']): boolean {
    const { infoHash, peerId } = this.#torrent;
    const progress = this.#torrent.progress();
    const completed = this.#saidLeft > 0 && progress.left === 0;
    const event = this.#introduced ? (completed ? ('completed' as const) : undefined) : ('started' as const);
    const announce = { infoHash, peerId, ...progress, offers, ...(event && { event }) };
    if (!this.#tracker.send(encodeAnnounce(announce, this.#tracker.trackerId))) return false;
    this.#introduced = true;
    this.#saidLeft = progress.left;
    clearTimeout(this.#next);
    this.#reply ??= setTimeout(() => this.#tracker.fail(), replyTimeoutMs);
    return true;
  }

  answer(answer: Pick<Answer, 'toPeerId' | 'offerId' | 'sdp'>): boolean {
    const { infoHash, peerId } = this.#torrent;
    return this.#tracker.send(encodeAnswer({ infoHash, peerId, ...answer }, this.#tracker.trackerId));
  }

  /** More peers are wanted than before: look for them from the short steps on. */
  search(): void {
    this.#searches = 0;
    if (this.#introduced && this.#reply === undefined) this.#plan();
  }

  /** Takes leave of the tracker. */
  stop(): void {
    this.#clear();
    const { infoHash, peerId } = this.#torrent;
    if (this.#introduced) {
      const announce = { infoHash, peerId, ...this.#torrent.progress(), offers: [], event: 'stopped' as const };
      this.#tracker.send(encodeAnnounce(announce, this.#tracker.trackerId));
    }
    this.#introduced = false;
    this.others = 0;
    this.#tracker.remove(infoHash);
  }

  received(message: TrackerMessage): void {
    switch (message.type) {
      case 'announced': {
        this.#replied();
        const { intervalMs, complete, incomplete } = message;
        if (intervalMs) this.#intervalMs = Math.min(maxIntervalMs, Math.max(minIntervalMs, intervalMs));
        if (complete !== undefined || incomplete !== undefined) {
          this.others = Math.max(0, Math.floor((complete ?? 0) + (incomplete ?? 0)) - 1);
        }
        this.#torrent.counted();
        this.#plan();
        return;
      }
      case 'failure':
        this.#replied();
        this.#schedule(this.#intervalMs);
        return;
      case 'offer':
      case 'answer':
        this.#torrent.described(this, message);
        return;
      default:
        message satisfies never;
    }
  }

  #replied(): void {
    this.heard = true;
    clearTimeout(this.#reply);
    this.#reply = undefined;
  }

  #plan(): void {
    if (!this.#torrent.searching(this)) return this.#schedule(this.#intervalMs);
    const step = this.#searches++ + (this.#torrent.connected ? 2 : 0);
    this.#schedule(Math.min(this.#intervalMs, firstSearchMs * 2 ** Math.min(step, 16)));
  }

  /** Plans the next announcement, a fifth sooner or later, so that a crowd does not stay in step. */
  #schedule(delayMs: number): void {
    clearTimeout(this.#next);
    this.#next = setTimeout(() => this.announce([]), delayMs * (0.8 + Math.random() * 0.4));
  }

  #clear(): void {
    clearTimeout(this.#next);
    this.#replied();
  }
}
