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
import { join, uint32, type Bytes } from './bytes.ts';

export type { Bytes };

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

/** A message's payload: the root of a hash range, integers of 4 bytes, and the rest. */
interface Layout {
  id: number;
  root?: true;
  numbers?: readonly string[];
  /** the name of the rest; without one there is none */
  rest?: string;
}

const block = ['piece', 'begin', 'length'];
const range = ['base', 'index', 'length', 'proofLayers'];
const layouts: Record<string, Layout> = {
  choke: { id: 0 },
  unchoke: { id: 1 },
  interested: { id: 2 },
  notInterested: { id: 3 },
  have: { id: 4, numbers: ['piece'] },
  bitfield: { id: 5, rest: 'bits' },
  request: { id: 6, numbers: block },
  piece: { id: 7, numbers: ['piece', 'begin'], rest: 'block' },
  cancel: { id: 8, numbers: block },
  suggest: { id: 13, numbers: ['piece'] },
  haveAll: { id: 14 },
  haveNone: { id: 15 },
  reject: { id: 16, numbers: block },
  allowedFast: { id: 17, numbers: ['piece'] },
  extended: { id: 20, rest: 'payload' },
  hashRequest: { id: 21, root: true, numbers: range },
  hashes: { id: 22, root: true, numbers: range, rest: 'hashes' },
  hashReject: { id: 23, root: true, numbers: range },
};
const types = new Map(Object.entries(layouts).map(([type, { id }]) => [id, type]));

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
    throw new WireError('protocol');
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
export const encode = (message: Message): Bytes => join(frame(message));

/** The same in parts, of which byte strings are the message's own. */
export function frame(message: Message): Bytes[] {
  if (message.type === 'keepAlive') return [new Uint8Array(4)];
  const fields = message as unknown as Record<string, number & Bytes>;
  const { id, root, numbers = [], rest } = layouts[message.type] ?? { id: fields['id']!, rest: 'payload' };
  const parts: Bytes[] = [Uint8Array.of(id)];
  if (root) parts.push(fields['root']!);
  for (const name of numbers) parts.push(uint32(fields[name]!));
  if (message.type === 'extended') parts.push(Uint8Array.of(message.id));
  if (rest) parts.push(fields[rest]!);
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return [uint32(length), ...parts];
}

/**
 * Decodes a message without its length in front. Byte strings in the result are views of `body`.
 * @throws WireError if the payload has the wrong length for its id
 */
export function decode(body: Bytes): Message {
  if (body.length === 0) return { type: 'keepAlive' };
  const id = body[0]!;
  const type = types.get(id);
  if (!type) return { type: 'unknown', id, payload: body.subarray(1) };
  const { root, numbers = [], rest } = layouts[type]!;
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const start = (root ? 33 : 1) + (type === 'extended' ? 1 : 0);
  const end = start + 4 * numbers.length;
  if (rest ? body.length < end : body.length !== end) throw new WireError('length');
  if (type === 'hashes' && (body.length - end) % 32) throw new WireError('hashes');
  const message: Record<string, unknown> = { type };
  if (root) message['root'] = body.subarray(1, 33);
  if (type === 'extended') message['id'] = body[1];
  numbers.forEach((name, i) => (message[name] = view.getUint32(start + 4 * i)));
  if (rest) message[rest] = body.subarray(end);
  return message as Message;
}

/**
 * Cuts a byte stream into a handshake and the messages after it, however the bytes were split on their way. It holds
 * one message at most: memory is allocated by a message's announced length, which `limit` bounds. What comes whole is
 * not copied: byte strings are views of what was pushed.
 */
export class Reader {
  #limit: number;
  #handshaken = false;
  #header = true;
  /** how long the handshake, the length or the message is that comes next, and what has come of it */
  #length = handshakeBytes;
  #begun: Bytes | undefined;
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
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + this.#length - this.#filled);
      at += part.length;
      if (part.length < this.#length) {
        (this.#begun ??= new Uint8Array(this.#length)).set(part, this.#filled);
        this.#filled += part.length;
        if (this.#filled < this.#length) return;
      }
      const whole = this.#begun ?? part;
      this.#begun = undefined;
      this.#filled = 0;
      if (this.#handshaken && this.#header) {
        const length = new DataView(whole.buffer, whole.byteOffset).getUint32(0);
        if (length > this.#limit) throw new WireError('too long');
        this.#header = length === 0;
        if (length) this.#length = length;
        else yield { type: 'keepAlive' };
      } else {
        this.#length = 4;
        this.#header = true;
        if (this.#handshaken) yield decode(whole);
        else {
          this.#handshaken = true;
          yield decodeHandshake(whole);
        }
      }
    }
  }
}
