/**
 * Finds where the script tag goes in an HTML document, as the document streams by: after the `<head …>` start tag,
 * else after `<html …>`, else after the doctype, else at the start. The packager's twin is internal/snapshot/inject.go;
 * both are held to testdata/vectors/inject.json.
 *
 * Everything works on bytes read as Latin-1, so that an index is a byte's and no encoding is touched; a document in
 * UTF-16 is left alone. A document carries the tag if a script's src ends in `planktos/install.js`. Its head is read
 * before the tag is added, up to `lookaheadBytes`; a second tag further down does no harm, since the script runs once.
 */

/** How much of a document is held back while its head is read. */
export const lookaheadBytes = 16 * 1024;

/** Elements that leave the parser in the head; any other start tag begins the body. */
const headElements = /^(title|meta|link|script|style|base|noscript|template)$/;
const rawText = /^(title|script|style|noscript)$/;

/** A comment, another declaration or an end tag, a start tag (name, attributes), or text: after white space. */
const tokens = new RegExp(
  String.raw`[\t\n\f\r ]*(?:<!--(?:-?>|[^]*?(?:--!?>|$))|<[!?/][^>]*>|` +
    String.raw`<([a-z][^\s/>]*)((?:[^"'>]|"[^"]*"|'[^']*')*)>|[^\s<]|<[^a-z!?/])`,
  'giy',
);

/**
 * Where the tag goes in `text` (one character a byte, from the document's first byte): an index, `-1` to leave the
 * document alone, or undefined if more of the document has to be seen.
 */
export function tagPosition(text: string, complete: boolean): number | undefined {
  if (!complete && text.length < 4) return undefined;
  // UTF-16 has a byte order mark, or NULs between its ASCII.
  if (/^(\xff\xfe|\xfe\xff|[^]?\0)/.test(text)) return -1;
  let position = text.startsWith('\xef\xbb\xbf') ? 3 : 0;
  // Until something opens the head, or ends it.
  let before = true;
  tokens.lastIndex = position;
  for (let match; (match = tokens.exec(text)); ) {
    const end = tokens.lastIndex;
    const token = match[0].trimStart();
    const name = match[1]?.toLowerCase();
    if (!name) {
      if (/^(?!<[!?/])|^<\/head/i.test(token)) return position;
      if (token[1] === '/') before = false;
      else if (before && /^<!doctype/i.test(token)) position = end;
    } else if (before && /^(html|head)$/.test(name)) {
      position = end;
      before = name === 'html';
    } else {
      if (name === 'script' && isInstall(match[2]!)) return -1;
      if (!headElements.test(name)) return position;
      before = false;
      if (rawText.test(name)) {
        const close = new RegExp(`</${name}[\\s/>]`, 'gi');
        close.lastIndex = end;
        if (!close.test(text)) break;
        tokens.lastIndex = close.lastIndex - name.length - 3;
      }
    }
  }
  return complete || text.length >= lookaheadBytes ? position : undefined;
}

/** Whether a script's attributes name the install script. */
function isInstall(attributes: string): boolean {
  const src = /(?:^|[\s"'/])src\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))/i.exec(attributes);
  const url = src?.[1] ?? src?.[2] ?? src?.[3] ?? '';
  return /^\s*([^?#]*\/)?planktos\/install\.js\s*([?#]|$)/.test(url);
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
    const held = this.#held;
    if (position < 0) return held;
    const out: Uint8Array<ArrayBuffer>[] = [];
    while (held[0] && held[0].length <= position) {
      position -= held[0].length;
      out.push(held.shift()!);
    }
    const [split = new Uint8Array(), ...rest] = held;
    return [...out, split.subarray(0, position), this.#tag, split.subarray(position), ...rest];
  }
}
