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

export type FileRow = [path: string, hash: string, size: number, piece: number];
export type ShardRow = [from: string, hash: string, size: number, piece: number];
export type HeaderRule = [pattern: string, headers: Record<string, string>];

export interface Policy {
  mode: 'auto' | 'ask' | 'off';
  prefer: 'speed' | 'offload';
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
  headers: HeaderRule[];
  files?: FileRow[];
  shards?: ShardRow[];
}

/** The largest manifest or shard that a reader takes, in bytes. */
export const maxManifestBytes = 4 << 20;
/** The most pieces a torrent may have: bounds what an engine allocates for it. */
const maxPieces = 1 << 24;

const fail = (what: string): never => {
  throw new Error('manifest: bad ' + what);
};
const isString = (value: unknown, pattern = /(?:)/): value is string =>
  typeof value === 'string' && pattern.test(value);
const isIndex = (value: unknown, max = Number.MAX_SAFE_INTEGER): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= max;
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isArrayOf = (value: unknown, item: (value: unknown) => boolean): value is unknown[] =>
  Array.isArray(value) && value.every(item);

const isHash = (value: unknown) => isString(value, /^[\da-f]{64}$/);
const isIceServer = (server: unknown) =>
  isRecord(server) &&
  isArrayOf(server['urls'], (url) => isString(url, /^(stun|turn)s?:./)) &&
  server['urls'].length > 0 &&
  [server['username'], server['credential']].every((text) => text === undefined || isString(text));
/** A name is a token and a value a ByteString (Fetch), so that `new Headers` never throws on a rule. */
const isHeaderRule = (rule: unknown) =>
  Array.isArray(rule) &&
  rule.length === 2 &&
  isString(rule[0]) &&
  isRecord(rule[1]) &&
  Object.entries(rule[1]).every(
    ([name, value]) => /^[\w!#$%&'*+.^`|~-]+$/.test(name) && isString(value, /^[\t\x20-\x7e\x80-\xff]*$/),
  );

function parseDocument(text: string): Record<string, unknown> {
  // A UTF-16 code unit is never more than a byte's worth short: what passes here is bounded, whatever its encoding.
  if (text.length > maxManifestBytes) fail('size');
  const document: unknown = JSON.parse(text);
  return isRecord(document) && document['format'] === 1 ? document : fail('format');
}

/** Checks the rows of either table: shape, order, and that contents lie within the torrent. */
function parseRows<Row extends FileRow | ShardRow>(value: unknown, torrent: Torrent): Row[] {
  if (!Array.isArray(value)) return fail('table');
  let previous: string | undefined;
  for (const row of value as unknown[]) {
    if (!Array.isArray(row) || row.length !== 4) return fail('row');
    const [path, hash, size, piece] = row as unknown[];
    // Lone surrogates have no UTF-8, so no place in the order.
    if (!isString(path) || /\p{Cs}/u.test(path)) return fail('path');
    if (!isHash(hash) || !isIndex(size) || !isIndex(piece)) return fail(`row of ${path}`);
    if (size ? piece + Math.ceil(size / torrent.pieceLength) > torrent.pieces : piece) fail(`piece of ${path}`);
    if (previous !== undefined && comparePaths(previous, path) >= 0) fail(`order at ${path}`);
    previous = path;
  }
  return value as Row[];
}

const parseFiles = (value: unknown, torrent: Torrent) =>
  parseRows<FileRow>(value, torrent).filter(([path]) => isPath(path));

/** Parses `planktos/manifest.json`. Throws if it is to be refused whole; rows with a bad path are left out. */
export function parseRoot(text: string): Root {
  const root = parseDocument(text);
  const { policy, torrent, files, shards } = root;
  if (!isHash(root['snapshot'])) fail('snapshot');
  if (!isRecord(policy) || !isString(policy['mode'], /^(auto|ask|off)$/)) return fail('policy.mode');
  if (!isString(policy['prefer'], /^(speed|offload)$/)) fail('policy.prefer');
  // The site's own host is named by a path; `//host` would be another.
  if (!isArrayOf(root['trackers'], (url) => isString(url, /^(wss?:\/\/[^/]|\/(?!\/))/))) fail('trackers');
  if (!isArrayOf(root['ice'], isIceServer)) fail('ice');
  if (!isArrayOf(root['webSeeds'], (url) => isString(url, /^https?:\/\/[^/].*\/$/))) fail('webSeeds');
  if (!isRecord(torrent) || !isString(torrent['infoHash'], /^[\da-f]{40}$/) || !isHash(torrent['infoHashV2'])) {
    return fail('torrent');
  }
  const { pieceLength, pieces } = torrent;
  if (!isIndex(pieceLength, 1 << 24) || pieceLength < 1 << 14 || pieceLength & (pieceLength - 1)) {
    fail('torrent.pieceLength');
  }
  if (!isIndex(pieces, maxPieces)) fail('torrent.pieces');
  if (typeof root['copies'] !== 'boolean') fail('copies');
  if (!isArrayOf(root['headers'], isHeaderRule)) fail('headers');
  if ((files === undefined) === (shards === undefined)) fail('table');

  const checked = root as unknown as Root;
  if (files !== undefined) {
    checked.files = parseFiles(files, checked.torrent);
  } else {
    const rows = parseRows<ShardRow>(shards, checked.torrent);
    if (rows[0]?.[0] !== '' || rows.some((row) => !isIndex(row[2] - 1, maxManifestBytes - 1))) fail('shards');
  }
  return checked;
}

/** Parses a shard, verified by its hash already; as `parseRoot`, it throws. `root` is the manifest that names it. */
export function parseShard(text: string, root: Root): FileRow[] {
  return parseFiles(parseDocument(text)['files'], root.torrent);
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
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
}

/** Moves surrogates, which stand for code points from U+10000, above U+E000 to U+FFFF. */
const rank = (unit: number) => (unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800);

/** Index of the last row whose first column is not above `path`; -1 if all are. */
function floor(rows: readonly (FileRow | ShardRow)[], path: string): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (comparePaths(rows[middle]![0], path) <= 0) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The row of `path` in a sorted table (the root's `files`, or a shard's). */
export function lookup(rows: readonly FileRow[], path: string): FileRow | undefined {
  const row = rows[floor(rows, path)];
  return row?.[0] === path ? row : undefined;
}

/** The shard that holds `path` if the site has it; undefined where the table stands in the root itself. */
export function shardFor(root: Root, path: string): ShardRow | undefined {
  return root.shards?.[floor(root.shards, path)];
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

/** The headers that the manifest's rules give a path, by lower-case name. */
export function headersFor(root: Root, path: string): Map<string, string> {
  const headers = new Map<string, string>();
  for (const [pattern, fields] of root.headers) {
    const matches = pattern.endsWith('*') ? path.startsWith(pattern.slice(0, -1)) : path === pattern;
    if (matches) for (const [name, value] of Object.entries(fields)) headers.set(name.toLowerCase(), value);
  }
  return headers;
}
