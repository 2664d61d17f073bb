/**
 * Hash trees (shared/merkle.ts) as the engine uses them: bound to one SHA-256, with the hashes that peers ask each
 * other for (BEP 52, messages 21 to 23).
 */
import * as merkle from '../shared/merkle.ts';
import { height, verifyHashes, validRequest, type HashRequest, type Sha256 } from '../shared/merkle.ts';
import type { Bytes } from '../shared/wire.ts';
import type { ContentId } from '../store/store.ts';
import { hex, unhex } from './bytes.ts';

export class Tree {
  readonly sha256: Sha256;

  constructor(sha256: Sha256) {
    this.sha256 = sha256;
  }

  verifyPiece(content: ContentId, pieceLength: number, layer: Bytes, index: number, data: Bytes): Promise<boolean> {
    const { hash: root, size: contentSize } = content;
    return merkle.verifyPiece(this.sha256, { data, contentSize, pieceLength, index, root, layer });
  }

  verifyLayer(content: ContentId, pieceLength: number, layer: Bytes): Promise<boolean> {
    return merkle.verifyLayer(this.sha256, content.hash, content.size, pieceLength, layer);
  }

  /** The node over one piece of a content that is longer than a piece; the missing blocks of a short one are zero. */
  async pieceRoot(data: Bytes, pieceLength: number): Promise<Bytes> {
    let node = unhex(await merkle.rootOf(this.sha256, data));
    let pad = new Uint8Array(32);
    const top = height(pieceLength);
    for (let level = 0; level < top; level++) {
      if (level >= height(data.length)) node = await this.#node(node, pad);
      pad = await this.#node(pad, pad);
    }
    return node;
  }

  /** The requests that together bring a content's piece layer, each with the proof that it belongs to the root. */
  layerRequests(content: ContentId, pieceLength: number): HashRequest[] {
    const base = height(pieceLength);
    const length = Math.min(merkle.maxRequest, 2 ** (height(content.size) - base));
    const proofLayers = merkle.proofLayersToRoot(content.size, base);
    return Array.from({ length: Math.ceil(content.size / pieceLength / length) }, (_, i) => {
      return { root: content.hash, base, index: i * length, length, proofLayers };
    });
  }

  /** Whether a peer's answer to one of `layerRequests` is right. */
  verifyAnswer(content: ContentId, request: HashRequest, hashes: Bytes): Promise<boolean> {
    return verifyHashes(this.sha256, content.size, request, hashes);
  }

  /** Answers a peer's request from the piece layer; undefined for one that cannot be, or of another layer. */
  async answer(content: ContentId, pieceLength: number, layer: Bytes, request: HashRequest): Promise<Bytes | undefined> {
    const { base, index, length } = request;
    if (base !== height(pieceLength) || !validRequest(content.size, request)) return undefined;
    let pad = new Uint8Array(32);
    for (let level = 0; level < base; level++) pad = await this.#node(pad, pad);
    let row = Array.from({ length: layer.length / 32 }, (_, i) => layer.slice(32 * i, 32 * i + 32));
    const at = (i: number) => row[i] ?? pad;
    const answer = Array.from({ length }, (_, i) => at(index + i));
    // From the node over the answer upwards, the sibling of each node on the way to the root.
    const levels = Math.log2(length);
    for (let level = 0; level < request.proofLayers; level++) {
      if (level >= levels) answer.push(at(Math.floor(index / 2 ** level) ^ 1));
      const above: Promise<Bytes>[] = [];
      for (let i = 0; i < row.length; i += 2) above.push(this.#node(at(i), at(i + 1)));
      [row, pad] = [await Promise.all(above), await this.#node(pad, pad)];
    }
    if (answer.length < merkle.hashCount(request)) answer.push(at(Math.floor(index / 2 ** request.proofLayers) ^ 1));
    const out = new Uint8Array(32 * answer.length);
    answer.forEach((hash, i) => out.set(hash, 32 * i));
    return out;
  }

  #node(left: Bytes, right: Bytes): Promise<Bytes> {
    const both = new Uint8Array(64);
    both.set(left);
    both.set(right, 32);
    return this.sha256(both);
  }
}

/** A hash request as the wire has it. */
export function toWire(request: HashRequest): Omit<HashRequest, 'root'> & { root: Bytes } {
  return { ...request, root: unhex(request.root) };
}

export function fromWire(message: Omit<HashRequest, 'root'> & { root: Bytes }): HashRequest {
  const { base, index, length, proofLayers } = message;
  return { root: hex(message.root), base, index, length, proofLayers };
}
