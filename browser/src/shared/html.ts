/**
 * Finds where the script tag goes in an HTML document, as the document streams by: after the `<head …>` start tag,
 * else after `<html …>`, else after the doctype, else at the start. The packager's twin is in internal/snapshot.
 *
 * Everything works on bytes read as Latin-1, so that an index is a byte's and no encoding is touched; a document in
 * UTF-16 is left alone. A document carries the tag if a script's src ends in `planktos/install.js`. Its head is read
 * before the tag is added, up to `lookaheadBytes`; a second tag further down does no harm, since the script runs once.
 */

/** How much of a document is held back while its head is read. */
export const lookaheadBytes = 16 * 1024;

/** Elements that leave the parser in the head; any other start tag begins the body. */
const headElements = new Set('html head title meta link script style base noscript template'.split(' '));
const rawText = new Set('title script style noscript'.split(' '));

/**
 * Where the tag goes in `text` (one character a byte, from the document's first byte): an index, `-1` to leave the
 * document alone, or undefined if more of the document has to be seen.
 */
export function tagPosition(text: string, complete: boolean): number | undefined {
  if (!complete && text.length < 4) return undefined;
  if (!text) return -1;
  // UTF-16 has a byte order mark, or NULs between its ASCII.
  if (/^(\xff\xfe|\xfe\xff)|^[^]?\0/.test(text)) return -1;
  const bom = text.startsWith('\xef\xbb\xbf') ? 3 : 0;
  let position = bom;
  let inHead = false;
  const token = /<!--(?:>|->|[^]*?(?:--!?>|$))|<[!?/][^>]*>|<([a-z][^\s/>]*)((?:[^"'>]|"[^"]*"|'[^']*')*)>/gi;
  token.lastIndex = bom;
  for (let match; (match = token.exec(text)); ) {
    const end = token.lastIndex;
    const name = match[1]?.toLowerCase();
    if (!name) {
      if (/^<!doctype/i.test(match[0]) && position === bom) position = end;
      if (/^<\/head/i.test(match[0])) return position;
      continue;
    }
    if (name === 'script' && isInstall(match[2]!)) return -1;
    if (name === 'head' && !inHead) inHead = true;
    else if (name !== 'html' || inHead) {
      if (!headElements.has(name)) return position;
      if (rawText.has(name)) {
        const close = new RegExp(`</${name}[\\s/>]`, 'gi');
        close.lastIndex = end;
        if (!close.test(text)) break;
        token.lastIndex = close.lastIndex - 1;
      }
      continue;
    }
    position = end;
  }
  return complete || text.length >= lookaheadBytes ? position : undefined;
}

/** Whether a script's attributes name the install script. */
function isInstall(attributes: string): boolean {
  const src = /(?:^|[\s"'/])src\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))/i.exec(attributes);
  return /planktos\/install\.js$/.test((src?.[1] ?? src?.[2] ?? src?.[3] ?? '').trim().replace(/[?#].*/, ''));
}

/** Adds the tag to a document that comes in chunks. Holds at most `lookaheadBytes` and one chunk. */
export class TagInjector {
  readonly #tag: Uint8Array<ArrayBuffer>;
  readonly #decoder = new TextDecoder('latin1');
  #held: Uint8Array<ArrayBuffer>[] = [];
  #text = '';
  #done = false;

  constructor(tag: string) {
    this.#tag = new TextEncoder().encode(tag);
  }

  /** What can be passed on after this chunk; `undefined` ends the document. */
  push(chunk: Uint8Array<ArrayBuffer> | undefined): Uint8Array<ArrayBuffer>[] {
    if (this.#done) return chunk ? [chunk] : [];
    if (chunk) {
      this.#held.push(chunk);
      this.#text += this.#decoder.decode(chunk.subarray(0, lookaheadBytes));
    }
    let position = tagPosition(this.#text, !chunk);
    if (position === undefined) return [];
    this.#done = true;
    this.#text = '';
    if (position < 0) return this.#held;
    const out: Uint8Array<ArrayBuffer>[] = [];
    for (const part of this.#held) {
      if (position >= 0 && position <= part.length) out.push(part.subarray(0, position), this.#tag, part.subarray(position));
      else out.push(part);
      position = position > part.length ? position - part.length : -1;
    }
    return out;
  }
}
