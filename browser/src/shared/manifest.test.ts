import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  candidates,
  comparePaths,
  encodePath,
  headersFor,
  isDisabled,
  isPath,
  lookup,
  maxManifestBytes,
  parseRoot,
  parseShard,
  requestPath,
  shardFor,
  typeOf,
  type FileRow,
} from './manifest.ts';

interface Vectors {
  valid: { name: string; manifest: string; paths?: string[]; shards?: string[] }[];
  refused: { name: string; manifest: string }[];
  disabled: { name: string; manifest: string; disabled: boolean }[];
  shards: { name: string; document: string; paths: string[] | null }[];
  shardFor: { manifest: string; cases: [path: string, from: string][] };
  lookup: { paths: string[]; absent: string[] };
  requests: { scope: string; url: string; path: string | null }[];
  encode: [path: string, url: string][];
  candidates: [path: string, files: string[]][];
  types: { manifest: string; cases: [path: string, type: string][] };
  headers: { manifest: string; cases: [path: string, headers: Record<string, string>][] };
  order: string[];
}
const vectors: Vectors = JSON.parse(
  readFileSync(new URL('../../../testdata/vectors/manifest.json', import.meta.url), 'utf8'),
);
const paths = (rows: FileRow[] | undefined) => rows?.map((row) => row[0]);

for (const { name, manifest, paths: want, shards } of vectors.valid) {
  test(`parses: ${name}`, () => {
    const root = parseRoot(manifest);
    assert.deepEqual(paths(root.files), want);
    assert.deepEqual(root.shards?.map((row) => row[0]), shards);
    const again = parseRoot(JSON.stringify(root));
    assert.deepEqual(again, root);
  });
}

for (const { name, manifest, disabled } of vectors.disabled) {
  test(`disabled: ${name}`, () => {
    assert.equal(isDisabled(manifest), disabled);
    if (disabled) assert.throws(() => parseRoot(manifest), Error);
  });
}

for (const { name, manifest } of vectors.refused) {
  test(`refuses: ${name}`, () => {
    assert.throws(() => parseRoot(manifest), Error);
  });
}

test('refuses a document larger than 4 MiB', () => {
  const { manifest } = vectors.valid[0]!;
  parseRoot(manifest.padEnd(maxManifestBytes));
  assert.throws(() => parseRoot(manifest.padEnd(maxManifestBytes + 1)), /size/);
  assert.throws(() => parseRoot('['.repeat(maxManifestBytes)));
});

test('shards', () => {
  const root = parseRoot(vectors.shardFor.manifest);
  for (const { name, document, paths: want } of vectors.shards) {
    if (want) assert.deepEqual(paths(parseShard(document, root)), want, name);
    else assert.throws(() => parseShard(document, root), Error, name);
  }
  for (const [path, from] of vectors.shardFor.cases) assert.equal(shardFor(root, path)?.[0], from, path);
  assert.equal(shardFor(parseRoot(vectors.valid[0]!.manifest), 'index.html'), undefined);
});

test('looks paths up by value, never as properties', () => {
  const rows = vectors.lookup.paths.map((path): FileRow => [path, '', 0, 0]);
  for (const path of vectors.lookup.paths) assert.equal(lookup(rows, path)?.[0], path);
  for (const path of vectors.lookup.absent) assert.equal(lookup(rows, path), undefined, path);
  assert.equal(lookup([], '__proto__'), undefined);
});

test('types', () => {
  const root = parseRoot(vectors.types.manifest);
  for (const [path, type] of vectors.types.cases) assert.equal(typeOf(root, path), type, path);
});

test('request paths', () => {
  for (const { scope, url, path } of vectors.requests) assert.equal(requestPath(scope, url) ?? null, path, url);
});

test('encodes paths so that they come back', () => {
  for (const [path, url] of vectors.encode) {
    assert.equal(encodePath(path), url);
    assert.equal(requestPath('https://h.example/', new URL('https://h.example/' + url).href), path);
  }
});

test('candidates', () => {
  for (const [path, files] of vectors.candidates) assert.deepEqual(candidates(path), files);
});

test('later header rules override earlier ones, whatever their case', () => {
  const root = parseRoot(vectors.headers.manifest);
  for (const [path, headers] of vectors.headers.cases) {
    assert.deepEqual(Object.fromEntries(headersFor(root, path)), headers, path);
  }
  root.headers = [['*', JSON.parse('{"__proto__": "x"}')]];
  assert.equal(headersFor(root, 'a').get('__proto__'), 'x');
});

test('orders as UTF-8 does', () => {
  const { order } = vectors;
  order.forEach((a, i) =>
    order.forEach((b, j) => {
      assert.equal(Math.sign(comparePaths(a, b)), Math.sign(i - j), `${a} and ${b}`);
      const bytes = Buffer.compare(Buffer.from(a), Buffer.from(b));
      assert.equal(Math.sign(comparePaths(a, b)), bytes, `${a} and ${b} as bytes`);
    }),
  );
});

test('names no file', () => {
  for (const path of ['', '/', 'a/', '..', 'a\\b', 'a\u0000', 'a\u0085', '\ud800', 'planktos', 'planktos/a']) {
    assert.equal(isPath(path), false, JSON.stringify(path));
  }
});
