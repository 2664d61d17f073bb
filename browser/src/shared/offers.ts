/** Pure decisions of meeting peers: how many offers to make, when, and which of two connections to keep. */

/** Offers in one announcement; trackers pass on 5 to 20. */
export const maxOffers = 8;
/** From one round of offers to the next: twice as long each time. */
const firstPauseMs = 1_000;
const lastPauseMs = 60_000;

/** An offer is answered within the time that a browser needs to gather, or never. */
export const answerMs = 5_000;
/** An open connection is known as such to both sides after this time. */
const settledMs = 3_000;

/**
 * How many offers let `lacking` peers more be met. A tracker passes each to another of the `others` it knows, at random,
 * and who is among the `known` ignores it: in a small crowd one for everybody.
 */
export function offersFor(lacking: number, others: number, known: number): number {
  const strangers = others - known;
  const wanted = Math.min(lacking, strangers);
  return wanted > 0 ? Math.min(maxOffers, Math.ceil((wanted * others) / strangers)) : 0;
}

/** How long to rest after the `round`th round of offers since a connection last lasted, counted from 0. */
export function pauseMs(round: number): number {
  return Math.min(lastPauseMs, firstPauseMs * 2 ** Math.min(round, 10));
}

/**
 * Two peers may offer to each other at the same time, or meet on two trackers. Both sides must keep the same connection:
 * an open one that both know of, else the one offered by the lower peer_id, else the first. A peer that offers anew
 * after the time an offer has, while we still wait for the earlier one to open, has given that one up.
 *
 * @param old the connection there is: who offered it, whether it is open, and how long it has been as it is
 * @param freshIsOurs who offers the other one
 * @param weAreLower whose peer_id is lower
 */
export function keepsOld(
  old: { ours: boolean; open: boolean; ageMs: number },
  freshIsOurs: boolean,
  weAreLower: boolean,
): boolean {
  if (old.open && old.ageMs >= settledMs) return true;
  if (old.ours === freshIsOurs) return old.ours || old.open || old.ageMs < answerMs;
  return old.ours === weAreLower;
}
