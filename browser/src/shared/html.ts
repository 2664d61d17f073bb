/**
 * Finds where the script tag goes in an HTML document, as the document streams by: after the `<head …>` start tag,
 * else after `<html …>`, else after the doctype, else at the start. The packager's twin is internal/snapshot/inject.go;
 * both are held to testdata/vectors/inject.json.
 *
 * Everything works on bytes read as Latin-1, so that an index is a byte's and no encoding is touched; a document in
 * UTF-16 is left alone. A document carries the tag if a script's src ends in `planktos/install.js`. What precedes its body
 * is read before the tag is added, up to `lookaheadBytes`; a second tag further down does no harm: the script runs once.
 */
import { join, type Bytes } from './bytes.ts';

/** How much of a document is held back while its head is read. */
export const lookaheadBytes = 16 * 1024;

const comment = String.raw`<!(?=--)(?:(?!--!?>)[^])*(?:--!?>|$)`;
/** What follows a tag's name, up to its end: a quote begins a value only after `=`. */
const attributes = (end: '' | '|$'): string =>
  String.raw`(?![^\s/>])(?:[^=>]|=\s*(?:"[^"]*(?:"${end})|'[^']*(?:'${end})|(?!["'\s])))*(?:>${end})`;
/** What may stand between the tags that a document begins with: white space, comments, other declarations. */
const space = String.raw`(?:[\t\n\f\r ]|${comment}|<(?!!--|!doctype)[!?][^>]*>)*`;
/** A document up to where the tag goes. */
const start = new RegExp(
  ['<!doctype[^>]*>', `<html${attributes('')}`, `<head${attributes('')}`].reduce(
    (before, tag) => `${before}(?:${space}${tag})?`,
    '^(?:\xef\xbb\xbf)?',
  ),
  'i',
);
/** What matters of a head: what hides tags (comments, raw text, other tags' attributes), and the head's own end. */
const tokens = new RegExp(
  [
    comment,
    '<[!?][^>]*(?:>|$)',
    String.raw`<(title|script|style|noscript)(${attributes('|$')})(?:[^]*?</\1|[^]*)`,
    String.raw`(</head|<body)(?=[\s/>])`,
    `<[a-z][^\\s/>]*${attributes('|$')}`,
  ].join('|'),
  'gi',
);
const install = /[\s"'/]src\s*=\s*["']?\s*([^\s"'?#]*\/)?planktos\/install\.js\s*["'?#>\s]/i;

/**
 * Where the tag goes in `text` (one character a byte, from the document's first byte): an index, `-1` to leave the
 * document alone, or undefined if more of the document has to be seen.
 */
export function tagPosition(text: string, complete: boolean): number | undefined {
  // UTF-16 has a byte order mark, or NULs between its ASCII.
  if (/^(\xff\xfe|\xfe\xff|[^]?\0)/.test(text)) return -1;
  for (const [, name = '', rest = '', end] of text.matchAll(tokens)) {
    if (/^script/i.test(name) && install.test(rest)) return -1;
    if (end) return start.exec(text)![0].length;
  }
  return complete ? start.exec(text)![0].length : undefined;
}

/** Adds the tag to a document that comes in chunks. Holds at most `lookaheadBytes` and one chunk. */
export class TagInjector {
  readonly #tag: Bytes;
  #held: Bytes | undefined = new Uint8Array();

  constructor(tag: string) {
    this.#tag = new TextEncoder().encode(tag);
  }

  /** What can be passed on after this chunk; `undefined` ends the document. */
  push(chunk: Bytes | undefined): Bytes[] {
    if (!this.#held) return chunk ? [chunk] : [];
    const held = join([this.#held, chunk ?? new Uint8Array()]);
    const head = held.subarray(0, lookaheadBytes);
    const position = tagPosition(new TextDecoder('latin1').decode(head), !chunk || head.length === lookaheadBytes);
    this.#held = position === undefined ? held : undefined;
    if (position === undefined) return [];
    return position < 0 ? [held] : [held.subarray(0, position), this.#tag, held.subarray(position)];
  }
}
