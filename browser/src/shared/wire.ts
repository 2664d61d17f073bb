/**
 * The peer wire: BitTorrent's messages as bytes (BEP 3), with the fast extension (BEP 6), the extension protocol's
 * envelope (BEP 10) and the hash messages of version 2 (BEP 52). Pure: no sockets, no state but a reader's.
 *
 * The Go twin is `internal/wire`; both are held to `testdata/vectors/wire.json`, and docs/protocol.md says what of it
 * Planktos uses. All integers are big-endian and unsigned, of 4 bytes.
 *
 *     handshake  19 "BitTorrent protocol" reserved[8] infoHash[20] peerId[20]
 *     message    length[4] id[1] payload[length - 1]         length 0: keep-alive
 */

export type Bytes = Uint8Array<ArrayBuffer>;

export const blockBytes = 16384;
export const handshakeBytes = 68;

/** What a handshake's reserved bits say. */
export interface Features {
  /** BEP 10: byte 5, 0x10 */
  extended: boolean;
  /** BEP 6: byte 7, 0x04 */
  fast: boolean;
  /** BEP 52: byte 7, 0x10 */
  v2: boolean;
}

export interface Handshake extends Features {
  type: 'handshake';
  /** 20 bytes */
  infoHash: Bytes;
  /** 20 bytes */
  peerId: Bytes;
}

/** Part of a piece: `begin` and `length` in bytes. */
export interface Block {
  piece: number;
  begin: number;
  length: number;
}

/** A run of `length` nodes of a file's Merkle tree, from node `index` of layer `base` (0: the 16 KiB blocks). */
export interface HashRange {
  /** the file's pieces root, 32 bytes */
  root: Bytes;
  base: number;
  index: number;
  length: number;
  /** how many layers of proof above the base layer are wanted */
  proofLayers: number;
}

type Bare = 'choke' | 'unchoke' | 'interested' | 'notInterested' | 'haveAll' | 'haveNone';

export type Message =
  | { type: 'keepAlive' }
  | { type: Bare }
  | { type: 'have' | 'suggest' | 'allowedFast'; piece: number }
  | { type: 'bitfield'; bits: Bytes }
  | ({ type: 'request' | 'cancel' | 'reject' } & Block)
  | { type: 'piece'; piece: number; begin: number; block: Bytes }
  | { type: 'extended'; id: number; payload: Bytes }
  | ({ type: 'hashRequest' | 'hashReject' } & HashRange)
  | ({ type: 'hashes'; hashes: Bytes } & HashRange)
  /** one that this reader does not know (BEP 5's port among them), to be ignored */
  | { type: 'unknown'; id: number; payload: Bytes };

const ids = {
  choke: 0,
  unchoke: 1,
  interested: 2,
  notInterested: 3,
  have: 4,
  bitfield: 5,
  request: 6,
  piece: 7,
  cancel: 8,
  suggest: 13,
  haveAll: 14,
  haveNone: 15,
  reject: 16,
  allowedFast: 17,
  extended: 20,
  hashRequest: 21,
  hashes: 22,
  hashReject: 23,
} as const;

type Named = keyof typeof ids;
const names = new Map<number, Named>(Object.entries(ids).map(([name, id]) => [id, name as Named]));

const protocolName = new TextEncoder().encode('\x13BitTorrent protocol');

/** The peer broke the protocol: the connection is of no more use. */
export class WireError extends Error {}

export function encodeHandshake(handshake: Omit<Handshake, 'type'>): Bytes {
  const out = new Uint8Array(handshakeBytes);
  out.set(protocolName);
  if (handshake.extended) out[25] = 0x10;
  out[27] = (handshake.fast ? 0x04 : 0) | (handshake.v2 ? 0x10 : 0);
  out.set(handshake.infoHash, 28);
  out.set(handshake.peerId, 48);
  return out;
}

/** @param data exactly `handshakeBytes` bytes */
export function decodeHandshake(data: Bytes): Handshake {
  if (data.length !== handshakeBytes || protocolName.some((byte, i) => data[i] !== byte)) {
    throw new WireError('not the BitTorrent protocol');
  }
  return {
    type: 'handshake',
    extended: (data[25]! & 0x10) !== 0,
    fast: (data[27]! & 0x04) !== 0,
    v2: (data[27]! & 0x10) !== 0,
    infoHash: data.slice(28, 48),
    peerId: data.slice(48),
  };
}

/** The whole message, its length in front. */
export function encode(message: Message): Bytes {
  switch (message.type) {
    case 'keepAlive':
      return new Uint8Array(4);
    case 'have':
    case 'suggest':
    case 'allowedFast':
      return frame(ids[message.type], [message.piece]);
    case 'bitfield':
      return frame(ids.bitfield, [], message.bits);
    case 'request':
    case 'cancel':
    case 'reject':
      return frame(ids[message.type], [message.piece, message.begin, message.length]);
    case 'piece':
      return frame(ids.piece, [message.piece, message.begin], message.block);
    case 'extended':
      return frame(ids.extended, [], Uint8Array.of(message.id), message.payload);
    case 'hashRequest':
    case 'hashReject':
      return frame(ids[message.type], [], hashRange(message));
    case 'hashes':
      return frame(ids.hashes, [], hashRange(message), message.hashes);
    case 'unknown':
      return frame(message.id, [], message.payload);
    default:
      return frame(ids[message.type], []);
  }
}

function frame(id: number, numbers: number[], ...parts: Bytes[]): Bytes {
  let length = 1 + 4 * numbers.length;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(4 + length);
  const view = new DataView(out.buffer);
  view.setUint32(0, length);
  out[4] = id;
  let at = 5;
  for (const number of numbers) {
    view.setUint32(at, number);
    at += 4;
  }
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function hashRange(range: HashRange): Bytes {
  const out = new Uint8Array(48);
  out.set(range.root);
  const view = new DataView(out.buffer);
  [range.base, range.index, range.length, range.proofLayers].forEach((value, i) => view.setUint32(32 + 4 * i, value));
  return out;
}

/**
 * Decodes a message without its length in front. Byte strings in the result are views of `body`.
 * @throws WireError if the payload has the wrong length for its id
 */
export function decode(body: Bytes): Message {
  if (body.length === 0) return { type: 'keepAlive' };
  const id = body[0]!;
  const type = names.get(id);
  const size = body.length - 1;
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const need = (ok: boolean) => {
    if (!ok) throw new WireError(`message ${id} of ${size} bytes`);
  };
  const range = (): HashRange => ({
    root: body.subarray(1, 33),
    base: view.getUint32(33),
    index: view.getUint32(37),
    length: view.getUint32(41),
    proofLayers: view.getUint32(45),
  });
  switch (type) {
    case undefined:
      return { type: 'unknown', id, payload: body.subarray(1) };
    case 'have':
    case 'suggest':
    case 'allowedFast':
      need(size === 4);
      return { type, piece: view.getUint32(1) };
    case 'bitfield':
      return { type, bits: body.subarray(1) };
    case 'request':
    case 'cancel':
    case 'reject':
      need(size === 12);
      return { type, piece: view.getUint32(1), begin: view.getUint32(5), length: view.getUint32(9) };
    case 'piece':
      need(size >= 8);
      return { type, piece: view.getUint32(1), begin: view.getUint32(5), block: body.subarray(9) };
    case 'extended':
      need(size >= 1);
      return { type, id: body[1]!, payload: body.subarray(2) };
    case 'hashRequest':
    case 'hashReject':
      need(size === 48);
      return { type, ...range() };
    case 'hashes':
      need(size >= 48 && size % 32 === 16);
      return { type, ...range(), hashes: body.subarray(49) };
    default:
      need(size === 0);
      return { type };
  }
}

/**
 * Cuts a byte stream into a handshake and the messages after it, however the bytes were split on their way. It holds
 * one message at most: memory is allocated by a message's announced length, which `limit` bounds, and each byte is
 * copied once.
 */
export class Reader {
  #limit: number;
  #handshaken = false;
  #header = true;
  #buffer: Bytes = new Uint8Array(handshakeBytes);
  #filled = 0;

  /** @param limit the longest message accepted, in bytes without its length in front */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * Takes the stream's next bytes and yields what they complete.
   * @throws WireError on what is no peer wire, or too long; the reader must not be used after that
   */
  *push(chunk: Bytes): Generator<Handshake | Message> {
    let at = 0;
    while (at < chunk.length) {
      const take = Math.min(this.#buffer.length - this.#filled, chunk.length - at);
      this.#buffer.set(chunk.subarray(at, at + take), this.#filled);
      this.#filled += take;
      at += take;
      if (this.#filled < this.#buffer.length) return;
      const whole = this.#buffer;
      this.#filled = 0;
      if (!this.#handshaken) {
        this.#handshaken = true;
        this.#buffer = new Uint8Array(4);
        yield decodeHandshake(whole);
      } else if (!this.#header) {
        this.#header = true;
        this.#buffer = new Uint8Array(4);
        yield decode(whole);
      } else {
        const length = new DataView(whole.buffer).getUint32(0);
        if (length > this.#limit) throw new WireError(`message of ${length} bytes`);
        if (length === 0) {
          yield { type: 'keepAlive' };
        } else {
          this.#header = false;
          this.#buffer = new Uint8Array(length);
        }
      }
    }
  }
}
