/**
 * WebTorrent's tracker protocol: JSON text messages over a WebSocket (docs/tracker.md). `internal/signal` is the same
 * in Go, and `testdata/vectors/signal.json` what both are held to.
 *
 * Identifiers of 20 bytes (info_hash, peer_id, offer_id) travel as *binary strings*: one code point from 0 to 255 for
 * each byte. Outside this file they are 40 lower-case hex digits.
 */

/** A longer message is ignored: an offer is 0.5 to 8 KiB, and a tracker sends one in a message; a release, 96 KiB. */
export const maxMessageLength = 128 * 1024;

/** Longer session descriptions are ignored. */
export const maxSdpLength = 16 * 1024;

/** How far a client is, in bytes (BEP 3). */
export interface Progress {
  /** 0 when complete */
  left: number;
  uploaded: number;
  downloaded: number;
}

/** What a client tells the tracker of itself (BEP 3). */
export interface Announce extends Progress {
  infoHash: string;
  peerId: string;
  /** absent: a regular announcement */
  event?: 'started' | 'stopped';
  /** each for another peer: for `toPeerId` if the tracker can, else for any */
  offers: { id: string; sdp: string; toPeerId?: string }[];
}

/** Our answer to a remote offer. */
export interface Answer {
  infoHash: string;
  peerId: string;
  toPeerId: string;
  offerId: string;
  sdp: string;
}

/** What the tracker tells a client. */
export type TrackerMessage =
  /** reply to an announcement; what the tracker left out is undefined. `others` counts the peers besides this one */
  | { type: 'announced'; infoHash: string; intervalMs?: number; others?: number }
  | { type: 'offer'; infoHash: string; peerId: string; offerId: string; sdp: string }
  | { type: 'answer'; infoHash: string; peerId: string; offerId: string; sdp: string }
  /** the site has another snapshot (empty if it is not told); `root` is its signed manifest, which nobody has verified */
  | { type: 'release'; infoHash: string; snapshot: string; root?: string }
  /** the tracker refuses; of which torrent it often does not say */
  | { type: 'failure'; infoHash?: string };

/** 40 hex digits → binary string of 20 code points */
export function toBinary(hex: string): string {
  let binary = '';
  for (let i = 0; i < hex.length; i += 2) binary += String.fromCharCode(parseInt(hex.slice(i, i + 2), 16));
  return binary;
}

/** Binary string of 20 code points → 40 hex digits; undefined for anything else. */
export function fromBinary(binary: unknown): string | undefined {
  if (typeof binary !== 'string' || binary.length !== 20) return undefined;
  let hex = '';
  for (let i = 0; i < 20; i++) {
    const code = binary.charCodeAt(i);
    if (code > 255) return undefined;
    hex += code.toString(16).padStart(2, '0');
  }
  return hex;
}

export function encodeAnnounce(announce: Announce): string {
  const { infoHash, peerId, event, left, uploaded, downloaded, offers } = announce;
  return JSON.stringify({
    action: 'announce',
    info_hash: toBinary(infoHash),
    peer_id: toBinary(peerId),
    event,
    left,
    uploaded,
    downloaded,
    pk_release: true,
    numwant: offers.length,
    offers: offers.map(({ id, sdp, toPeerId }) => ({
      offer: { type: 'offer', sdp },
      offer_id: toBinary(id),
      to_peer_id: toPeerId && toBinary(toPeerId),
    })),
  });
}

export function encodeAnswer(answer: Answer): string {
  return JSON.stringify({
    action: 'announce',
    info_hash: toBinary(answer.infoHash),
    peer_id: toBinary(answer.peerId),
    to_peer_id: toBinary(answer.toPeerId),
    offer_id: toBinary(answer.offerId),
    answer: { type: 'answer', sdp: answer.sdp },
  });
}

/** Undefined for what is not a well-formed message of a tracker to a client. */
export function decodeTrackerMessage(text: string): TrackerMessage | undefined {
  if (text.length > maxMessageLength) return undefined;
  let message: Record<string, unknown>;
  try {
    message = record(JSON.parse(text));
  } catch {
    return undefined;
  }
  const infoHash = fromBinary(message['info_hash']);
  if (typeof message['failure reason'] === 'string') return { type: 'failure', ...(infoHash && { infoHash }) };
  if (!infoHash || (message['offer'] && message['answer'])) return undefined;
  for (const type of ['offer', 'answer'] as const) {
    if (!message[type]) continue;
    const description = record(message[type]);
    const peerId = fromBinary(message['peer_id']);
    const offerId = fromBinary(message['offer_id']);
    const { sdp } = description;
    if (!peerId || !offerId || description['type'] !== type) return undefined;
    if (typeof sdp !== 'string' || sdp.length > maxSdpLength) return undefined;
    return { type, infoHash, peerId, offerId, sdp };
  }
  if (message['action'] === 'release') {
    const snapshot = message['snapshot'] ?? '';
    const root = message['root'] ?? undefined;
    const isText = root === undefined || typeof root === 'string';
    if (!isText || typeof snapshot !== 'string' || !/^([0-9a-f]{64})?$/.test(snapshot)) return undefined;
    return { type: 'release', infoHash, snapshot, ...(root && { root }) };
  }
  if (message['action'] !== 'announce') return undefined;
  const seconds = count(message['interval']);
  const complete = count(message['complete']);
  const incomplete = count(message['incomplete']);
  const others = Math.max(0, (complete ?? 0) + (incomplete ?? 0) - 1);
  return {
    type: 'announced',
    infoHash,
    ...(seconds !== undefined && { intervalMs: seconds * 1000 }),
    ...((complete ?? incomplete) !== undefined && { others }),
  };
}

/** The value if it is an object, else an empty one. */
function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/** The value if it is a number that can count something. */
function count(value: unknown): number | undefined {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : undefined;
}
