/**
 * The hash trees of BitTorrent v2 (BEP 52), by which Planktos identifies and verifies every content.
 *
 * A content is cut into blocks of 16 KiB, the last one as short as it is. The leaves are the blocks' SHA-256; the leaf
 * layer is filled up to a power of two with zero hashes, and
 *
 *     node = SHA256(left || right)
 *
 * up to the root, BEP 52's "pieces root". Nothing in the tree tells a leaf from a node, so a root means something only
 * together with the content's size, from which the tree's height follows.
 *
 * The layer whose nodes cover one piece each is the "piece layer": it stands beside the root for every content longer
 * than a piece, and makes each piece verifiable by itself. A content that is not longer than a piece has none, and its
 * tree is only as wide as its own blocks need.
 *
 * internal/merkle is the same in Go; both are held to testdata/vectors/merkle.json.
 *
 * Roots are 64 lower-case hex digits, layers and proofs the concatenation of 32-byte hashes. SHA-256 is a parameter,
 * and asynchronous, as browsers have it: several hashes are kept in flight, since one at a time is several times slower
 * in Firefox. What it is given must not change before it has answered.
 */

import { hex, join, type Bytes } from './bytes.ts';

/** Number of bytes under one leaf. */
export const blockBytes = 16384;

/** Length of a hash. */
export const hashBytes = 32;

/** SHA-256: `(data) => crypto.subtle.digest('SHA-256', data).then((b) => new Uint8Array(b))`. */
export type Sha256 = (data: Uint8Array<ArrayBuffer>) => Promise<Uint8Array<ArrayBuffer>>;

/** Hashes in flight at once. */
const inFlight = 16;

/** Number of leaves that stand for bytes of a content. */
export function blocks(size: number): number {
  return size > 0 ? Math.ceil(size / blockBytes) : 0;
}

/** Layers above the leaves in the tree of a content of `size` bytes. */
export function height(size: number): number {
  return log2(blocks(size));
}

/** Whether `n` is a power of two of at least 16 KiB, as BEP 52 wants. */
export function validPieceLength(n: number): boolean {
  return Number.isSafeInteger(n) && n >= blockBytes && 2 ** log2(n) === n;
}

/** Number of hashes in a content's piece layer: one a piece, or 0 if the content is not longer than a piece. */
export function layerLength(size: number, pieceLength: number): number {
  return size <= pieceLength ? 0 : Math.ceil(size / pieceLength);
}

/** ⌈log2(n)⌉ for n >= 1, and 0 below; exact up to 2^53. */
function log2(n: number): number {
  let bits = 0;
  for (let width = 1; width < n; width *= 2) bits++;
  return bits;
}

/** Root of `data`: SHA-256 of nothing for no data. */
export async function rootOf(sha256: Sha256, data: Bytes): Promise<string> {
  return hex(await subtree(sha256, data, height(data.length)));
}

/**
 * Root of one piece, 32 bytes: of `data`, not empty, in a tree of 2^height blocks, the missing ones zero leaves. A
 * piece of a content longer than a piece has `height(pieceLength)`, the only piece of a shorter one `height(size)`.
 */
export async function pieceRoot(sha256: Sha256, data: Bytes, height: number): Promise<Uint8Array> {
  const count = blocks(data.length);
  if (count === 0 || !Number.isSafeInteger(height) || height < 0 || height > 40 || count > 2 ** height) {
    throw new RangeError('height');
  }
  return subtree(sha256, data, height);
}

/** Computes the root of content that comes in chunks. It keeps a hash a block, and less than one block of content. */
export class Hasher {
  readonly #sha256: Sha256;
  #leaves: Bytes[] = [];
  #rest: Bytes = new Uint8Array();
  #size = 0;
  #tail: Promise<void> = Promise.resolve();

  constructor(sha256: Sha256) {
    this.#sha256 = sha256;
  }

  /** Number of bytes hashed. */
  get size(): number {
    return this.#size;
  }

  /**
   * Adds a chunk, which must not change until the promise resolves. Waiting for it before the next push is what bounds
   * memory; pushes that do not wait are hashed in their order all the same. Once one has failed, all do.
   */
  push(chunk: Bytes): Promise<void> {
    this.#tail = this.#tail.then(() => this.#add(chunk));
    return this.#tail;
  }

  async #add(chunk: Bytes): Promise<void> {
    const data = this.#rest.length ? join([this.#rest, chunk]) : chunk;
    const whole = data.length - (data.length % blockBytes);
    if (whole) this.#leaves.push(await digests(this.#sha256, data.subarray(0, whole), blockBytes));
    this.#rest = data.slice(whole);
    this.#size += chunk.length;
  }

  /** The root of all that was pushed. Call it once, after the last push. */
  async finish(): Promise<string> {
    await this.#tail;
    if (this.#rest.length || !this.#size) this.#leaves.push(await digests(this.#sha256, this.#rest, blockBytes));
    return hex(await fold(this.#sha256, join(this.#leaves), 0, height(this.#size)));
  }
}

/** One piece of a content, for `verifyPiece`. */
export interface Piece {
  /** the whole piece: `pieceLength` bytes, or what remains in the last one */
  data: Bytes;
  contentSize: number;
  pieceLength: number;
  /** of the piece in its content, from 0 */
  index: number;
  root: string;
  /** the piece layer, as `verifyLayer` has accepted it; unused, and may be empty, if the content has none */
  layer: Uint8Array;
}

/** Whether the piece is what the tree says it is. */
export async function verifyPiece(sha256: Sha256, piece: Piece): Promise<boolean> {
  const { data, contentSize, pieceLength, index, root, layer } = piece;
  if (!natural(contentSize) || !validPieceLength(pieceLength) || !natural(index)) return false;
  const start = index * pieceLength;
  if (index > 0 && start >= contentSize) return false;
  if (data.length !== Math.min(pieceLength, contentSize - start)) return false;
  const pieces = layerLength(contentSize, pieceLength);
  if (pieces === 0) return (await rootOf(sha256, data)) === root;
  if (layer.length !== pieces * hashBytes) return false;
  const node = await subtree(sha256, data, log2(pieceLength / blockBytes));
  return node.every((byte, i) => byte === layer[index * hashBytes + i]);
}

/**
 * Whether `layer` is the piece layer of the content with this root and size: `layerLength` hashes that lead to the
 * root. A content that has no layer has the empty one, which says nothing of its root.
 */
export async function verifyLayer(
  sha256: Sha256,
  root: string,
  size: number,
  pieceLength: number,
  layer: Uint8Array,
): Promise<boolean> {
  if (!natural(size) || !validPieceLength(pieceLength)) return false;
  const pieces = layerLength(size, pieceLength);
  if (layer.length !== pieces * hashBytes) return false;
  return pieces === 0 || hex(await fold(sha256, layer, log2(pieceLength / blockBytes), height(size))) === root;
}

/** The most hashes of its base layer that a request may ask for, BEP 52's recommendation. */
export const maxRequest = 512;

/**
 * Asks for hashes of a content's tree, with the proof that they belong to it: the body of BEP 52's messages 21 (hash
 * request), 22 (hashes) and 23 (hash reject).
 *
 * The answer is `length` hashes of the base layer followed by uncle hashes, the lowest first. Of the `proofLayers`
 * layers above the base those below and at the root of the `length` hashes need no uncle, as they follow from the
 * hashes: uncles = max(0, proofLayers - (log2(length) - 1)).
 */
export interface HashRequest {
  root: string;
  /** layer of the hashes, counted from the leaves: 0 are the leaves */
  base: number;
  /** of the first hash in its layer; a multiple of `length` */
  index: number;
  /** number of hashes, a power of two from 2 to `maxRequest` */
  length: number;
  /** layers above the base layer to prove, at most up to the one below the root */
  proofLayers: number;
}

/** Whether the request can be asked of a content of `size` bytes. */
export function validRequest(size: number, request: HashRequest): boolean {
  const { base, index, length, proofLayers } = request;
  if (![size, base, index, length, proofLayers].every(natural)) return false;
  if (base >= height(size)) return false;
  const width = 2 ** (height(size) - base);
  if (length < 2 || length > Math.min(maxRequest, width) || 2 ** log2(length) !== length) return false;
  return index % length === 0 && index + length <= width && proofLayers < height(size) - base;
}

/** Number of hashes in the answer to a valid request. */
export function hashCount(request: HashRequest): number {
  return request.length + uncles(request);
}

function uncles(request: HashRequest): number {
  return Math.max(0, request.proofLayers - (log2(request.length) - 1));
}

/**
 * The answer to a request, from the base layer of the content's tree without the hashes of mere padding at its end;
 * undefined, a hash reject, if one does not fit the other. It is as true as the layer.
 */
export async function answer(
  sha256: Sha256,
  size: number,
  layer: Uint8Array,
  request: HashRequest,
): Promise<Bytes | undefined> {
  const { base, index, length } = request;
  if (!validRequest(size, request)) return undefined;
  if (layer.length !== Math.ceil(blocks(size) / 2 ** base) * hashBytes) return undefined;
  let pad = await padding(sha256, base);
  let row = layer;
  const at = (i: number) => (i * hashBytes < row.length ? row.subarray(i * hashBytes, (i + 1) * hashBytes) : pad);
  const hashes = new Uint8Array(hashCount(request) * hashBytes);
  for (let i = 0; i < length; i++) hashes.set(at(index + i), i * hashBytes);
  // From the node over the hashes upwards, the sibling of each node on the way to the root.
  for (let level = 0, filled = length; filled < hashCount(request); level++) {
    const position = Math.floor(index / 2 ** level);
    if (2 ** level >= length) hashes.set(at(position % 2 ? position - 1 : position + 1), filled++ * hashBytes);
    row = await above(sha256, row, base + level);
    pad = await padding(sha256, base + level + 1);
  }
  return hashes;
}

function natural(n: number): boolean {
  return Number.isSafeInteger(n) && n >= 0;
}

/** Root of data in a tree of 2^height blocks, the missing ones zero leaves. */
async function subtree(sha256: Sha256, data: Bytes, height: number): Promise<Bytes> {
  return fold(sha256, await digests(sha256, data, blockBytes), 0, height);
}

/** Root of the tree with 2^height leaves of which `layer`, not empty, stands `base` layers above these. */
async function fold(sha256: Sha256, layer: Uint8Array, base: number, height: number): Promise<Bytes> {
  for (let level = base; level < height; level++) layer = await above(sha256, layer, level);
  return layer as Bytes;
}

/** The layer above one that stands `level` layers above the leaves: SHA256(left || right) of each pair. */
async function above(sha256: Sha256, layer: Uint8Array, level: number): Promise<Bytes> {
  const isOdd = (layer.length / hashBytes) % 2;
  return digests(sha256, isOdd ? join([layer, await padding(sha256, level)]) : (layer as Bytes), 2 * hashBytes);
}

/** What stands for a missing node: the root of a subtree of 2^level zero leaves. */
async function padding(sha256: Sha256, level: number): Promise<Bytes> {
  let pad: Bytes = new Uint8Array(hashBytes);
  for (; level; level--) pad = await sha256(join([pad, pad]));
  return pad;
}

/** SHA-256 of each `step` bytes of `data`, joined; of nothing, if that is what there is. */
async function digests(sha256: Sha256, data: Bytes, step: number): Promise<Bytes> {
  const hashes: Bytes[] = [];
  for (let at = 0; at < data.length || !at; ) {
    const batch: Promise<Bytes>[] = [];
    for (; batch.length < inFlight && (at < data.length || !at); at += step) {
      batch.push(sha256(data.subarray(at, at + step)));
    }
    hashes.push(...(await Promise.all(batch)));
  }
  return join(hashes);
}
