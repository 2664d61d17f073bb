/**
 * The manifest, format 1: docs/manifest.md is the specification, `internal/manifest` the same in Go, and
 * `testdata/vectors/manifest.json` what both are held to.
 *
 * Parsing throws an Error that says what is wrong; the caller then goes on as if there were no manifest. Keys and paths
 * are the site's own text: tables stay arrays, and nothing is looked up as a property of an object.
 */

/** A byte string's identity: its BEP 52 pieces root (64 lower-case hex digits) and its size in bytes. */
export interface Content {
  hash: string;
  size: number;
  /** index of the torrent's first piece of this content, in the snapshot it is asked for */
  piece: number;
}

/** `loads`, of a page: the indices, within the same table, of the rows of what it loads, in document order. */
export type FileRow = [path: string, hash: string, size: number, piece: number, loads?: number[]];
export type ShardRow = [from: string, hash: string, size: number, piece: number];
export type MediaType = [extension: string, type: string];
export type HeaderRule = [pattern: string, headers: Record<string, string>];

export interface Policy {
  mode: 'auto' | 'ask' | 'off';
  prefer: 'speed' | 'offload';
  /** bytes that a page may prefetch, 0 for none; 2,000,000 where the manifest does not say */
  prefetch?: number;
}

export interface IceServer {
  urls: string[];
  username?: string;
  credential?: string;
}

export interface Torrent {
  /** 40 hex digits */
  infoHash: string;
  /** 64 hex digits */
  infoHashV2: string;
  pieceLength: number;
  pieces: number;
}

/** `planktos/manifest.json`, checked. */
export interface Root {
  format: 1;
  snapshot: string;
  policy: Policy;
  trackers: string[];
  ice: IceServer[];
  webSeeds: string[];
  torrent: Torrent;
  copies: boolean;
  types: MediaType[];
  headers: HeaderRule[];
  files?: FileRow[];
  shards?: ShardRow[];
}

/** The largest manifest or shard that a reader takes, in bytes. */
export const maxManifestBytes = 4 << 20;
/** The most pieces a torrent may have: bounds what an engine allocates for it. */
const maxPieces = 1 << 24;

function fail(what: string): never {
  throw new Error('manifest: bad ' + what);
}

/**
 * What a value has to be: a string that matches, an array of such values, an object with such fields (and others; `x?`
 * may be missing; an array if `length` is one), or whatever a function says. The format can be read off its shape, which
 * is plain data: a bundle that parses no manifest leaves it out.
 */
type Shape = RegExp | [Shape] | { [field: string]: Shape } | ((value: unknown) => boolean);

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

function fits(shape: Shape, value: unknown): boolean {
  if (typeof shape === 'function') return shape(value);
  if (shape instanceof RegExp) return typeof value === 'string' && shape.test(value);
  if (Array.isArray(shape)) return Array.isArray(value) && value.every((item) => fits(shape[0], item));
  if (!isRecord(value) || ('length' in shape && !Array.isArray(value))) return false;
  return Object.entries(shape).every(([field, inner]) => {
    const name = field.replace('?', '');
    return (name !== field && value[name] === undefined) || fits(inner, value[name]);
  });
}

const hash = /^[\da-f]{64}$/;
const isIndex = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isCount = (value: unknown): boolean => isIndex(value) && value <= maxPieces;

const rootShape: Shape = {
  snapshot: hash,
  policy: { mode: /^(auto|ask|off)$/, prefer: /^(speed|offload)$/, 'prefetch?': isIndex },
  // The site's own host is named by a path; `//host` would be another.
  trackers: [/^(wss?:\/\/[^/]|\/(?!\/))/],
  ice: [
    {
      urls: (urls) => fits([/^(stun|turn)s?:./], urls) && (urls as string[]).length > 0,
      'username?': /(?:)/,
      'credential?': /(?:)/,
    },
  ],
  webSeeds: [/^https?:\/\/[^/].*\/$/],
  torrent: {
    infoHash: /^[\da-f]{40}$/,
    infoHashV2: hash,
    pieceLength: (value) => isIndex(value) && value >= 1 << 14 && value <= 1 << 24 && !(value & (value - 1)),
    pieces: isCount,
  },
  copies: (value) => typeof value === 'boolean',
  types: [{ length: (value) => value === 2, 0: /^[^./]*$/, 1: /^[\t\x20-\x7e\x80-\xff]+$/ }],
  headers: [
    {
      length: (value) => value === 2,
      0: /(?:)/,
      1: (fields) =>
        isRecord(fields) && !Array.isArray(fields) && Object.entries(fields).every((field) => fits(fieldShape, field)),
    },
  ],
};
/** A name is a token and a value a ByteString (Fetch), so that `new Headers` never throws on a rule. */
const fieldShape: Shape = { 0: /^[\w!#$%&'*+.^`|~-]+$/, 1: /^[\t\x20-\x7e\x80-\xff]*$/ };
/** Of either table. Lone surrogates have no UTF-8, so no place in the order. */
const rowShape: Shape = {
  length: (value) => value === 4 || value === 5,
  0: /^\P{Cs}*$/u,
  1: hash,
  2: isIndex,
  3: isIndex,
  '4?': [isCount],
};

function read(source: string): Record<string, unknown> | undefined {
  try {
    if (source.length > maxManifestBytes) return undefined;
    const document: unknown = JSON.parse(source);
    return isRecord(document) && typeof document['format'] === 'number' ? document : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a document is meant as a manifest, of whatever format, rather than an answer to anything asked. */
export const isManifest = (source: string): boolean => !!read(source);

/** Whether a manifest, of whatever format, says that Planktos is to leave the site's visitors. */
export const isDisabled = (source: string): boolean => read(source)?.['disabled'] === true;

function parseDocument(source: string): Record<string, unknown> {
  // A UTF-16 code unit is never more than a byte's worth short: what passes here is bounded, whatever its encoding.
  if (source.length > maxManifestBytes) fail('size');
  const document = read(source);
  return document?.['format'] === 1 && document['disabled'] !== true ? document : fail('format');
}

/** Checks the rows of either table: shape, order, and that contents lie within the torrent. */
function parseRows(value: unknown, { pieceLength, pieces }: Torrent): FileRow[] {
  if (!fits([rowShape], value)) fail('row');
  const rows = value as FileRow[];
  rows.forEach(([path, , size, piece], i) => {
    if (size ? piece + Math.ceil(size / pieceLength) > pieces : piece) fail(`piece of ${path}`);
    if (i && comparePaths(rows[i - 1]![0], path) >= 0) fail(`order at ${path}`);
  });
  return rows;
}

const parseFiles = (value: unknown, torrent: Torrent) =>
  parseRows(value, torrent).filter(([path]) => isPath(path));

/** Parses `planktos/manifest.json`. Throws if it is to be refused whole; rows with a bad path are left out. */
export function parseRoot(source: string): Root {
  const document = parseDocument(source);
  if (!fits(rootShape, document)) fail('root');
  const root = document as unknown as Root;
  const { files, shards, torrent } = root;
  if ((files === undefined) === (shards === undefined)) fail('table');
  if (files !== undefined) root.files = parseFiles(files, torrent);
  else {
    const rows = parseRows(shards, torrent);
    if (rows[0]?.[0] !== '' || rows.some(([, , size, , loads]) => loads || !size || size > maxManifestBytes)) fail('shards');
  }
  return root;
}

/** Parses a shard, verified by its hash already; as `parseRoot`, it throws. `root` is the manifest that names it. */
export function parseShard(source: string, root: Root): FileRow[] {
  return parseFiles(parseDocument(source)['files'], root.torrent);
}

/** Whether a path may name a file of a site: otherwise its row is skipped. */
export function isPath(path: string): boolean {
  return (
    !/[\\\p{Cc}\p{Cs}]/u.test(path) &&
    !/^(planktos|planktos\.sw\.min\.js)$|^planktos\//.test(path) &&
    path.split('/').every((segment) => !/^\.{0,2}$/.test(segment))
  );
}

/** Orders strings as their UTF-8 bytes are: by code point, where `<` would go by UTF-16 code unit. */
export function comparePaths(a: string, b: string): number {
  let i = 0;
  while (i < a.length && a[i] === b[i]) i++;
  return (a.codePointAt(i) ?? -1) - (b.codePointAt(i) ?? -1);
}

/** The row of `path` in a table (the root's `files`, or a shard's). */
export function lookup(rows: readonly FileRow[], path: string): FileRow | undefined {
  return rows.find(([file]) => file === path);
}

/** The shard that holds `path` if the site has it; undefined where the table stands in the root itself. */
export function shardFor(root: Root, path: string): ShardRow | undefined {
  return root.shards?.findLast(([from]) => comparePaths(from, path) <= 0);
}

/**
 * The path that a request's URL names, decoded once, segment by segment; a trailing slash is kept, and the scope itself
 * is ''. Undefined outside the scope and for what can name no file. `scope` and `url` are absolute, as the browser
 * serialises them; query and fragment do not count.
 */
export function requestPath(scope: string, url: string): string | undefined {
  const bare = url.replace(/[?#].*/s, '');
  if (!bare.startsWith(scope)) return undefined;
  try {
    const segments = bare.slice(scope.length).split('/').map(decodeURIComponent);
    return segments.every(
      (segment, i) =>
        !/[/\\\p{Cc}\p{Cs}]/u.test(segment) && (!/^\.{0,2}$/.test(segment) || (!segment && i === segments.length - 1)),
    )
      ? segments.join('/')
      : undefined;
  } catch {
    return undefined;
  }
}

/** A path as a URL relative to the site's root. Append it to the root's URL: resolved, `a:b` would be a scheme. */
export function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

/**
 * The files that a static host may answer a request path with, best first. `a` answered by `a/index.html` is what a
 * host redirects to `a/` (the document's relative URLs would otherwise resolve one level too high).
 */
export function candidates(path: string): string[] {
  const name = path.replace(/\/$/, '');
  if (!name) return ['index.html'];
  const files = [name, name + '.html'];
  return name === path ? [...files, name + '/index.html'] : [name + '/index.html', ...files.reverse()];
}

/** The Content-Type of the file at a path. */
export function typeOf(root: Root, path: string): string {
  const extension = /\.([^./]*)$/.exec(path)?.[1]?.toLowerCase();
  return root.types.find(([each]) => each === extension)?.[1] ?? 'application/octet-stream';
}

/** The headers that the manifest's rules give a path, by lower-case name. */
export function headersFor(root: Root, path: string): Map<string, string> {
  const headers = new Map<string, string>();
  for (const [pattern, fields] of root.headers) {
    const matches = pattern.endsWith('*') ? path.startsWith(pattern.slice(0, -1)) : path === pattern;
    if (matches) for (const [name, value] of Object.entries(fields)) headers.set(name.toLowerCase(), value);
  }
  return headers;
}
