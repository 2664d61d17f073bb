/**
 * The connections of one torrent, made or in the making, and the choice between two to the same peer. Pure
 * bookkeeping: who is whom, and what is still to be waited for.
 */
import type { Announcer } from './announcer.ts';

/**
 *     gathering ─▶ offered ─▶ connecting ─▶ open      our offer: made by the page, with the tracker, answered
 *     accepting ────────────▶ connecting ─▶ open      a remote offer: answered by the page, with the tracker
 */
export type State = 'gathering' | 'offered' | 'accepting' | 'connecting' | 'open';

/**
 * How long each state may last, in ms; an open connection that does has proven itself. An offer is answered within the
 * time a browser needs to gather, or never: who is connected to us already ignores it.
 */
export const stateMs: Record<State, number> = {
  gathering: 10_000,
  offered: 5_000,
  accepting: 10_000,
  connecting: 15_000,
  open: 10_000,
};

/** An open connection is known as such to both sides after this time, in ms. */
const settledMs = 3_000;

export interface PeerConnection {
  /** names the connection; for our offers also the offer_id */
  id: string;
  state: State;
  announcer: Announcer;
  /** whether we made the offer */
  ours: boolean;
  /** the other side's peer_id; unknown until it answers */
  peerId?: string;
  /** the remote offer's offer_id */
  offerId?: string;
  /** our offer, gathered and waiting for the rest of its round */
  sdp?: string;
  channel?: RTCDataChannel;
  /** when it came into its state, ms since the epoch */
  sinceMs: number;
  timer?: ReturnType<typeof setTimeout>;
}

/**
 * Two peers may offer to each other at the same time, or meet on two trackers. Both sides must keep the same one:
 * an open connection that both know of, else the one offered by the lower peer_id, else the first. A peer that offers
 * anew after the time an offer has, while we still wait for the earlier one to open, has given that one up.
 */
export function keepsOld(old: PeerConnection, freshIsOurs: boolean, ownPeerId: string, nowMs: number): boolean {
  const ageMs = nowMs - old.sinceMs;
  if (old.state === 'open' && ageMs >= settledMs) return true;
  if (old.ours === freshIsOurs) return old.ours || old.state === 'open' || ageMs < stateMs.offered;
  const oursIsLower = ownPeerId < old.peerId!;
  return old.ours === oursIsLower;
}
