/**
 * Verified pieces on their way to the part: written several at a time, since in some windows each write is a message to
 * another process, and kept a little longer, since what has just come is what is read next.
 */
import type { Bytes } from '../shared/wire.ts';
import type { Part } from '../store/part.ts';

/** Written once so much has gathered, and kept for reading. */
const writeBytes = 1 << 20;
const keepBytes = 4 << 20;
/** Where neighbours are put together. */
let scratch: Bytes = new Uint8Array();

export class PieceBuffer {
  readonly #part: Part;
  readonly #pieceLength: number;
  /** by index, the oldest first */
  readonly #pieces = new Map<number, Bytes>();
  /** of these, those that are not written yet */
  readonly #unwritten = new Set<number>();

  constructor(part: Part, pieceLength: number) {
    this.#part = part;
    this.#pieceLength = pieceLength;
  }

  /** Returns whether all that was added has been written now. @throws if there is no space */
  add(index: number, data: Bytes): boolean {
    this.#pieces.set(index, data);
    this.#unwritten.add(index);
    if (this.#unwritten.size * this.#pieceLength < writeBytes) return false;
    this.flush();
    return true;
  }

  /** Writes what is not written yet, neighbours together. @throws if there is no space */
  flush(): void {
    const indexes = [...this.#unwritten].sort((a, b) => a - b);
    this.#unwritten.clear();
    for (let i = 0; i < indexes.length; ) {
      const first = indexes[i]!;
      const run: Bytes[] = [];
      while (indexes[i] === first + run.length) run.push(this.#pieces.get(indexes[i++]!)!);
      const size = run.reduce((sum, { length }) => sum + length, 0);
      let [all] = run as [Bytes];
      if (run.length > 1) {
        if (scratch.length < size) scratch = new Uint8Array(size);
        run.forEach((data, j) => scratch.set(data, j * this.#pieceLength));
        all = scratch.subarray(0, size);
      }
      this.#part.write(first * this.#pieceLength, all);
    }
    for (const index of this.#pieces.keys()) {
      if (this.#pieces.size * this.#pieceLength <= keepBytes) break;
      this.#pieces.delete(index);
    }
  }

  /** All `size` bytes of the content, if they are still here. */
  whole(size: number): Bytes | undefined {
    return this.#pieces.size * this.#pieceLength < size ? undefined : this.read(0, size);
  }

  /** Bytes [start, end), which have all been added. @throws if they cannot be had */
  read(start: number, end: number): Bytes {
    const out = new Uint8Array(end - start);
    for (let at = start; at < end; ) {
      const index = Math.floor(at / this.#pieceLength);
      const from = index * this.#pieceLength;
      const piece = this.#pieces.get(index);
      // What is no longer here has been written, and so has what lies before the next that is here.
      let to = from + this.#pieceLength;
      if (!piece) while (to < end && !this.#pieces.has(to / this.#pieceLength)) to += this.#pieceLength;
      to = Math.min(to, end);
      out.set(piece ? piece.subarray(at - from, to - from) : this.#part.read(at, to), at - start);
      at = to;
    }
    return out;
  }
}
