/**
 * What a download notes beyond the end of its part, so that a later one goes on where it was left:
 *
 *     content | piece layer, 32 bytes a piece | bitfield (BEP 3's byte order) of the pieces that were verified
 *
 * Nothing of it is believed without its hash: any script of the origin can write there, and a machine that lost its
 * power may have written the note and not the piece.
 */
import { Bitfield } from '../shared/bitfield.ts';
import { layerLength } from '../shared/merkle.ts';
import type { Bytes } from '../shared/wire.ts';
import type { Part } from '../store/part.ts';
import type { ContentId } from '../store/store.ts';
import type { Tree } from './tree.ts';

export interface Notes {
  /** verified */
  layer: Bytes;
  /** indexes of pieces that may be there */
  pieces: number[];
}

/** Notes that the pieces are there; `layer` is the verified piece layer. */
export function note(part: Part, layer: Bytes, pieces: Bitfield): void {
  part.note(0, layer);
  part.note(layer.length, pieces.bytes);
}

/** What a former owner has noted. Undefined if there is nothing to go on from. */
export async function notesOf(
  part: Part,
  content: ContentId,
  pieceLength: number,
  tree: Tree,
): Promise<Notes | undefined> {
  const { size } = content;
  const layerBytes = 32 * layerLength(size, pieceLength);
  if (!part.resumed || !layerBytes) return undefined;
  try {
    const count = Math.ceil(size / pieceLength);
    const notes = part.read(size, size + layerBytes + ((count + 7) >> 3));
    const layer = notes.slice(0, layerBytes);
    if (!(await tree.verifyLayer(content, pieceLength, layer))) return undefined;
    const noted = Bitfield.from(notes.slice(layerBytes), count)!;
    return { layer, pieces: Array.from({ length: count }, (_, i) => i).filter((i) => noted.has(i)) };
  } catch {
    // Left before anything was noted.
    return undefined;
  }
}
