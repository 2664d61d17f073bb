/**
 * What the last page of this tab was connected to: the next page offers to the same peers at once, before the tracker
 * has said that there is somebody. Kept in the session's storage for a few minutes.
 */
import { maxOffers } from '../shared/offers.ts';
import type { Joined } from './rtc.ts';

const keptMs = 5 * 60_000;

/** A connection that a page agreed on with a peer, for the next page to open (standby.ts). */
export interface Rope {
  peerId: string;
  /** the offer_id */
  id: string;
  /** the peer's description */
  offer: string;
  /** the page's own, as the peer knows it */
  answer: string;
}

/** What a page leaves of a torrent's peers. */
export interface Left {
  /** the peer_ids of those who were connected */
  peers: string[];
  ropes: Rope[];
  /** the tracker that answered best */
  tracker?: string | undefined;
}

export interface Memory extends Left {
  torrent: Joined;
}

/** @param key names the engine among others of the origin */
export function remember(key: string, memory: Memory): void {
  try {
    sessionStorage.setItem(key, JSON.stringify({ ...memory, atMs: Date.now() }));
  } catch {
    // no storage here, or none left
  }
}

/** What was remembered, once; undefined if that is long ago, or was not written by `remember`. */
export function recall(key: string): Memory | undefined {
  try {
    const { atMs, ...memory } = JSON.parse(sessionStorage.getItem(key)!) as Memory & { atMs: number };
    const { torrent, peers, ropes } = memory;
    sessionStorage.removeItem(key);
    const ids = [torrent.infoHash, ...peers, ...ropes.flatMap(({ peerId, id }) => [peerId, id])];
    const texts = ropes.flatMap(({ offer, answer }) => [offer, answer]);
    const valid =
      ids.every((id) => /^[0-9a-f]{40}$/.test(id)) &&
      texts.every((text) => typeof text === 'string') &&
      Array.isArray(torrent.trackers);
    return valid && Date.now() - atMs < keptMs ? { ...memory, peers: peers.slice(0, maxOffers) } : undefined;
  } catch {
    return undefined;
  }
}
