/**
 * Hash trees (shared/merkle.ts) as the engine uses them: bound to one SHA-256, with the hashes that peers ask each
 * other for (BEP 52, messages 21 to 23).
 */
import * as merkle from '../shared/merkle.ts';
import { height, type HashRequest, type Sha256 } from '../shared/merkle.ts';
import type { Bytes } from '../shared/wire.ts';
import type { ContentId } from '../store/store.ts';
import { hex, unhex } from '../shared/bytes.ts';

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
  pieceRoot(data: Bytes, pieceLength: number): Promise<Uint8Array> {
    return merkle.pieceRoot(this.sha256, data, height(pieceLength));
  }

  /**
   * The requests that together bring a content's piece layer. They ask for no proof: the layer is verified as a whole.
   */
  layerRequests(content: ContentId, pieceLength: number): HashRequest[] {
    const base = height(pieceLength);
    const length = Math.min(merkle.maxRequest, 2 ** (height(content.size) - base));
    return Array.from({ length: Math.ceil(content.size / pieceLength / length) }, (_, i) => {
      return { root: content.hash, base, index: i * length, length, proofLayers: 0 };
    });
  }

  /** Answers a peer's request from the piece layer; undefined for one that cannot be, or of another layer. */
  answer(
    content: ContentId,
    pieceLength: number,
    layer: Bytes,
    request: HashRequest,
  ): Promise<Bytes | undefined> | undefined {
    return request.base === height(pieceLength) ? merkle.answer(this.sha256, content.size, layer, request) : undefined;
  }
}

/** A hash request as the wire has it. */
export function toWire(request: HashRequest): Omit<HashRequest, 'root'> & { root: Bytes } {
  return { ...request, root: unhex(request.root) };
}

export function fromWire(message: Omit<HashRequest, 'root'> & { root: Bytes }): HashRequest {
  const { root, base, index, length, proofLayers } = message;
  return { root: hex(root), base, index, length, proofLayers };
}
