/**
 * The extension protocol (BEP 10): our handshake, a bencoded dictionary in the extended message 0, what of a peer's is of
 * use, and the extensions that we speak (docs/protocol.md). By `pk_fetching` a peer says what it is having from a web
 * seed:
 *
 *     active[1] (first[4] count[4]) ...     runs of pieces; active 1: it has begun to fetch them, 0: it has ended
 *
 * By `pk_meet` peers introduce each other:
 *
 *     0[1] count[1] peer_id[20] ...         whom it has met, `count` of them, and then whom it has lost
 *     kind[1] peer_id[20] offer_id[20] sdp  1 offer, 2 answer: to be passed on to peer_id; 3 offered, 4 answered: passed
 *                                           on, from peer_id; 5 spare, 6 agreed: from the sender itself
 *
 * By `pk_release` they tell each other of the site's newest release, and hand its signed manifest root on:
 *
 *     0[1] snapshot[32] sequence[8]         the newest that the sender knows; sequence 0: not signed
 *     1[1]                                  asks for the root of what was told last
 *     part[1] bytes                         of the root, in order; 2: more follow, 3: these are the last
 *
 * The Go twin is `internal/wire/extended.go`; both are held to `testdata/vectors/wire.json`.
 */
import { hex, join, uint32, unhex } from './bytes.ts';
import { WireError, type Bytes } from './wire.ts';

const maxBytes = 16384;
/** Runs in one message, and runs that are remembered of one peer. */
export const maxRuns = 64;
/** The number under which we take `pk_fetching` messages. */
export const fetchingId = 1;
/** The number under which we take `pk_meet` messages. */
export const meetId = 3;
/** The number under which we take `pk_release` messages. */
export const releaseId = 2;
/** The most bytes of a root in one message. */
export const maxPartBytes = 32768;
/** Peers that one peer is told of, and that are remembered of what it tells. */
export const maxMet = 50;
/** The longest session description that is passed on, in bytes. */
const maxSdpBytes = 16384;

/** Pieces `first` to `first + count - 1`. */
export interface Run {
  first: number;
  count: number;
}

export function contains({ first, count }: Run, piece: number): boolean {
  return piece >= first && piece < first + count;
}

export interface Fetching {
  active: boolean;
  /** 1 to `maxRuns` */
  runs: Run[];
}

const kinds = ['offer', 'answer', 'offered', 'answered', 'spare', 'agreed'] as const;

/** A session description on its way to whom it is for. */
export interface Introduction {
  type: (typeof kinds)[number];
  /** whom it is for, or from; 40 hex digits */
  peerId: string;
  /** the connection's offer_id, 40 hex digits */
  id: string;
  /** UTF-8, not empty */
  sdp: Bytes;
}

/** A `pk_meet` message. Peers are 40 hex digits each. */
export type Meet = { type: 'peers'; met: string[]; lost: string[] } | Introduction;

/** A `pk_release` message. */
export type News =
  /** `snapshot` is 64 hex digits, `sequence` at most 2^53 - 1 */
  | { type: 'newest'; snapshot: string; sequence: number }
  | { type: 'ask' }
  /** 1 to `maxPartBytes` bytes */
  | { type: 'part'; last: boolean; data: Bytes };

/** What a peer's extension handshake tells. */
export interface Extensions {
  /** how many requests it queues */
  reqq: number | undefined;
  /** the number under which it takes `pk_fetching` messages */
  fetching: number | undefined;
  /** the number under which it takes `pk_meet` messages */
  meet: number | undefined;
  /** the number under which it takes `pk_release` messages */
  release: number | undefined;
}

/** Our handshake; `reqq` is how many requests we queue. */
export function encodeExtended(reqq: number): Bytes {
  const m = `11:pk_fetchingi${fetchingId}e7:pk_meeti${meetId}e10:pk_releasei${releaseId}e`;
  return new TextEncoder().encode(`d1:md${m}e4:reqqi${reqq}e1:v8:Planktose`);
}

/** Reads a handshake. It looks for what it knows alone, and finds nothing in what is no dictionary of ours. */
export function decodeExtended(payload: Bytes): Extensions {
  const text = payload.length > maxBytes ? '' : new TextDecoder('latin1').decode(payload);
  const told = (key: string): number | undefined => {
    const found = new RegExp(`${key}i0*([1-9]\\d{0,8})e`).exec(text);
    return found ? Number(found[1]) : undefined;
  };
  const number = (key: string): number | undefined => {
    const id = told(key)!;
    return id < 256 ? id : undefined;
  };
  const [fetching, meet, release] = ['11:pk_fetching', '7:pk_meet', '10:pk_release'].map(number);
  return { reqq: told('4:reqq'), fetching, meet, release };
}

export function encodeFetching({ active, runs }: Fetching): Bytes {
  return join([Uint8Array.of(Number(active)), ...runs.flatMap(({ first, count }) => [uint32(first), uint32(count)])]);
}

/**
 * @param pieces how many the torrent has
 * @throws WireError on another length or flag, too many runs, or runs that are empty or out of range
 */
export function decodeFetching(payload: Bytes, pieces: number): Fetching {
  const runs: Run[] = [];
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  for (let at = 1; at + 8 <= payload.length && at <= 8 * maxRuns; at += 8) {
    const run = { first: view.getUint32(at), count: view.getUint32(at + 4) };
    if (run.count > 0 && run.first + run.count <= pieces) runs.push(run);
  }
  if (!runs.length || payload.length !== 1 + 8 * runs.length || payload[0]! > 1) throw new WireError('pk_fetching');
  return { active: payload[0] === 1, runs };
}

export function encodeMeet(message: Meet): Bytes {
  if (message.type === 'peers') {
    const { met, lost } = message;
    return join([Uint8Array.of(0, met.length), unhex([...met, ...lost].join(''))]);
  }
  const { type, peerId, id, sdp } = message;
  return join([Uint8Array.of(1 + kinds.indexOf(type)), unhex(peerId + id), sdp]);
}

/** @throws WireError on an unknown kind, another length, too many peers, or a description that is empty or too long */
export function decodeMeet(payload: Bytes): Meet {
  const [kind, count] = payload;
  const type = kinds[kind! - 1];
  const idAt = (at: number): string => hex(payload.subarray(at, at + 20));
  if (kind === 0) {
    const ids = Array.from({ length: Math.min(2 * maxMet, (payload.length - 2) / 20) }, (_, i) => idAt(2 + 20 * i));
    if (payload.length === 2 + 20 * ids.length && count! <= ids.length && ids.length) {
      return { type: 'peers', met: ids.slice(0, count), lost: ids.slice(count) };
    }
  } else if (type && payload.length > 41 && payload.length <= 41 + maxSdpBytes) {
    return { type, peerId: idAt(1), id: idAt(21), sdp: payload.slice(41) };
  }
  throw new WireError('pk_meet');
}

export function encodeNews(message: News): Bytes {
  if (message.type === 'ask') return Uint8Array.of(1);
  if (message.type === 'part') return join([Uint8Array.of(2 + Number(message.last)), message.data]);
  const { snapshot, sequence } = message;
  return join([Uint8Array.of(0), unhex(snapshot), uint32(sequence / 2 ** 32), uint32(sequence)]);
}

/** @throws WireError on an unknown kind, another length, or a sequence number beyond 2^53 - 1 */
export function decodeNews(payload: Bytes): News {
  const { buffer, byteOffset, length } = payload;
  const [kind] = payload;
  if (kind === 0 && length === 41) {
    const sequence = Number(new DataView(buffer, byteOffset).getBigUint64(33));
    if (Number.isSafeInteger(sequence)) return { type: 'newest', snapshot: hex(payload.subarray(1, 33)), sequence };
  } else if (kind === 1 && length === 1) return { type: 'ask' };
  else if (kind! >> 1 === 1 && length > 1 && length <= 1 + maxPartBytes) {
    return { type: 'part', last: kind === 3, data: payload.slice(1) };
  }
  throw new WireError('pk_release');
}
