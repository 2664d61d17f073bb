import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as merkle from './merkle.ts';

type Bytes = Uint8Array<ArrayBuffer>;

interface Request {
  size: number;
  base: number;
  index: number;
  length: number;
  proofLayers: number;
}
interface Vectors {
  roots: { size: number; root: string }[];
  layers: { size: number; pieceLength: number; layer: string }[];
  requests: (Request & { toRoot: boolean; count: number; sha256: string })[];
  refused: Request[];
}

const vectors: Vectors = JSON.parse(
  readFileSync(new URL('../../../testdata/vectors/merkle.json', import.meta.url), 'utf8'),
);
const roots = new Map(vectors.roots.map(({ size, root }) => [size, root]));

/** The generator that the vectors describe. */
function content(size: number): Bytes {
  const data = new Uint8Array(size);
  for (let i = 0, x = size; i < size; i++) {
    x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff;
    data[i] = x >> 16;
  }
  return data;
}

const digest = (data: Uint8Array): Bytes => new Uint8Array(createHash('sha256').update(data).digest());
const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex');
const bytes = (text: string): Bytes => new Uint8Array(Buffer.from(text, 'hex'));
const flipped = (data: Uint8Array, at: number): Bytes => {
  const copy = new Uint8Array(data);
  copy[at]! ^= 1;
  return copy;
};

const sha256: merkle.Sha256 = async (data) => digest(data);

/** Lets a digest be answered late, last asked first answered, and counts how many are waited for at once. */
function slowSha256(): { sha256: merkle.Sha256; most: () => number } {
  let most = 0;
  let waiting: (() => void)[] = [];
  return {
    most: () => most,
    sha256: (data) =>
      new Promise((resolve) => {
        waiting.push(() => resolve(digest(data)));
        most = Math.max(most, waiting.length);
        if (waiting.length > 1) return;
        setImmediate(() => {
          const batch = waiting.reverse();
          waiting = [];
          for (const answer of batch) answer();
        });
      }),
  };
}

function* chunks(data: Bytes, step: number): Generator<Bytes> {
  for (let at = 0; at < data.length; at += step) yield data.subarray(at, at + step);
}

async function hashed(sha256: merkle.Sha256, data: Bytes, step: number): Promise<string> {
  const hasher = new merkle.Hasher(sha256);
  for (const chunk of chunks(data, step)) await hasher.push(chunk);
  assert.equal(hasher.size, data.length);
  return hasher.finish();
}

test('roots', async () => {
  assert.ok(vectors.roots.length > 0);
  for (const { size, root } of vectors.roots) {
    const data = content(size);
    assert.equal(await merkle.rootOf(sha256, data), root, `rootOf ${size} bytes`);
    for (const step of [999, merkle.blockBytes, merkle.blockBytes + 1, 1 << 20]) {
      assert.equal(await hashed(sha256, data, step), root, `${size} bytes by ${step}`);
    }
  }
});

test('a Hasher keeps order and bounds what is in flight, whatever the timing', async () => {
  const data = content(600000);
  for (const step of [5000, 100000, 600000]) {
    const slow = slowSha256();
    const hasher = new merkle.Hasher(slow.sha256);
    for (const chunk of chunks(data, step)) void hasher.push(chunk); // not waiting for any
    assert.equal(await hasher.finish(), roots.get(600000));
    // And one for what is missing of a layer.
    assert.ok(slow.most() <= 17, `${slow.most()} in flight`);
    if (step > 16 * merkle.blockBytes) assert.ok(slow.most() >= 16, `${slow.most()} in flight`);
  }
});

test('a Hasher whose SHA-256 fails rejects from then on', async () => {
  let fail = true;
  const hasher = new merkle.Hasher(async (data) => {
    if (fail) throw new Error('no digest');
    return digest(data);
  });
  await assert.rejects(hasher.push(content(merkle.blockBytes)), /no digest/);
  fail = false;
  await assert.rejects(hasher.push(content(1)), /no digest/);
  await assert.rejects(hasher.finish(), /no digest/);
});

test('layers and pieces', async () => {
  assert.ok(vectors.layers.length > 0);
  for (const { size, pieceLength, layer: text } of vectors.layers) {
    const [data, layer, root] = [content(size), bytes(text), roots.get(size)!];
    const label = `${size} bytes in pieces of ${pieceLength}`;
    assert.equal(layer.length, merkle.layerLength(size, pieceLength) * merkle.hashBytes);
    assert.equal(await merkle.verifyLayer(sha256, root, size, pieceLength, layer), true, label);
    for (let at = 0; at < layer.length; at += merkle.hashBytes) {
      assert.equal(await merkle.verifyLayer(sha256, root, size, pieceLength, flipped(layer, at)), false, label);
    }
    const longer = new Uint8Array(layer.length + merkle.hashBytes);
    longer.set(layer);
    for (const wrong of [new Uint8Array(), layer.subarray(1), layer.subarray(merkle.hashBytes), longer]) {
      assert.equal(await merkle.verifyLayer(sha256, root, size, pieceLength, wrong), false, label);
    }
    await checkPieces(data, pieceLength, root, layer);
  }
  for (const { size, root } of vectors.roots) {
    assert.equal(await merkle.verifyLayer(sha256, root, size, 1 << 20, new Uint8Array()), true);
    await checkPieces(content(size), 1 << 20, root, new Uint8Array());
  }
});

/** Checks that every piece is accepted in its place alone, whole and unchanged. */
async function checkPieces(data: Bytes, pieceLength: number, root: string, layer: Bytes): Promise<void> {
  const contentSize = data.length;
  for (let index = 0; index === 0 || index * pieceLength < contentSize; index++) {
    const piece = data.slice(index * pieceLength, (index + 1) * pieceLength);
    const right = { data: piece, contentSize, pieceLength, index, root, layer };
    const verify = (wrong: Partial<merkle.Piece>) => merkle.verifyPiece(sha256, { ...right, ...wrong });
    assert.equal(await verify({}), true, `piece ${index} of ${contentSize}`);
    assert.equal(await verify({ data: new Uint8Array(piece.length + 1) }), false);
    for (const wrong of [-1, index + 1, 0.5, NaN, Infinity, 2 ** 53]) {
      assert.equal(await verify({ index: wrong }), false);
    }
    for (const pieceLength of [0, -16384, 1000, 49152, NaN, Infinity]) {
      assert.equal(await verify({ pieceLength }), false, `piece length ${pieceLength}`);
    }
    for (const contentSize of [-1, 0.5, NaN, Infinity, 2 ** 60]) assert.equal(await verify({ contentSize }), false);
    if (piece.length === 0) continue;
    assert.equal(await verify({ data: flipped(piece, piece.length - 1) }), false);
    assert.equal(await verify({ data: piece.subarray(1) }), false);
    if (layer.length > 0) assert.equal(await verify({ layer: layer.subarray(merkle.hashBytes) }), false);
  }
}

test('two leaf hashes are not the content of another size', async () => {
  const data = content(32768);
  const root = await merkle.rootOf(sha256, data);
  const leaves = new Uint8Array(64);
  leaves.set(digest(data.subarray(0, 16384)));
  leaves.set(digest(data.subarray(16384)), 32);
  assert.equal(hex(digest(leaves)), root);
  const piece = { data: leaves, contentSize: 32768, pieceLength: 32768, index: 0, root, layer: new Uint8Array() };
  assert.equal(await merkle.verifyPiece(sha256, piece), false);
});

/** All layers of a content's tree, leaves first, in the plainest way. */
function tree(data: Bytes): Bytes[][] {
  let layer = [...chunks(data, merkle.blockBytes)].map(digest);
  while (Math.log2(layer.length) % 1 > 0) layer.push(new Uint8Array(32));
  const layers = [layer];
  while (layer.length > 1) {
    layer = layer.flatMap((left, i) => (i % 2 === 0 ? [digest(Buffer.concat([left, layer[i + 1]!]))] : []));
    layers.push(layer);
  }
  return layers;
}

/** A layer as it travels: without the hashes of mere padding. */
function layerOf(layers: Bytes[][], size: number, base: number): Bytes {
  const count = Math.ceil(size / (merkle.blockBytes * 2 ** base));
  return new Uint8Array(Buffer.concat(layers[base]!.slice(0, count)));
}

test('only a layer of the content answers', async () => {
  const size = 65537;
  const layer = layerOf(tree(content(size)), size, 1);
  const request = { root: '', base: 1, index: 0, length: 2, proofLayers: 1 };
  assert.equal((await merkle.answer(sha256, size, layer, request))?.length, 3 * merkle.hashBytes);
  const wrong = [[layer.subarray(32), 1], [new Uint8Array(), 1], [layer, 0], [layer, -1], [layer, 0.5]] as const;
  for (const [bytes, base] of wrong) {
    assert.equal(await merkle.answer(sha256, size, bytes, { ...request, base }), undefined, `${base} ${bytes.length}`);
  }
  for (const vector of vectors.refused) {
    if (vector.size !== size) continue;
    assert.equal(await merkle.answer(sha256, size, layer, { ...vector, root: '' }), undefined);
  }
});

test('roots of pieces', async () => {
  const data = content(5 * merkle.blockBytes);
  const three = data.subarray(0, 3 * merkle.blockBytes);
  const pad = digest(new Uint8Array(64)); // over two zero leaves
  const wide = digest(Buffer.concat([await merkle.pieceRoot(sha256, three, 2), digest(Buffer.concat([pad, pad]))]));
  assert.deepEqual(await merkle.pieceRoot(sha256, three, 3), wide);
  for (const [size, height] of [[0, 0], [1, -1], [1, 0.5], [16385, 0], [81920, 2], [1, 1e9]] as const) {
    await assert.rejects(merkle.pieceRoot(sha256, data.subarray(0, size), height), RangeError);
  }
});

test('hash requests', async () => {
  assert.ok(vectors.requests.length > 0);
  for (const vector of vectors.requests) {
    const { size, base, index, length, proofLayers } = vector;
    const request: merkle.HashRequest = { ...vector, root: roots.get(size)! };
    const layers = tree(content(size));
    const list = layers[base]!.slice(index, index + length);
    for (let layer = base + 1, at = index >> 1; layer <= base + proofLayers; layer++, at >>= 1) {
      if (2 ** (layer - base) >= length) list.push(layers[layer]![at ^ 1]!);
    }
    const hashes = new Uint8Array(Buffer.concat(list));
    const label = JSON.stringify(vector);
    assert.equal(hex(digest(hashes)), vector.sha256, label);
    assert.equal(merkle.validRequest(size, request), true, label);
    assert.equal(merkle.hashCount(request), vector.count, label);
    assert.deepEqual(await merkle.answer(sha256, size, layerOf(layers, size, base), request), hashes, label);
  }
});

test('requests that do not fit the tree are refused', async () => {
  assert.ok(vectors.refused.length > 0);
  const wrong = [-1, 0.5, NaN, Infinity].flatMap((n) => [
    { size: 65537, base: n, index: 0, length: 2, proofLayers: 0 },
    { size: 65537, base: 0, index: n, length: 2, proofLayers: 0 },
    { size: 65537, base: 0, index: 0, length: n, proofLayers: 0 },
    { size: 65537, base: 0, index: 0, length: 2, proofLayers: n },
    { size: n, base: 0, index: 0, length: 2, proofLayers: 0 },
  ]);
  for (const vector of [...vectors.refused, ...wrong]) {
    const request = { ...vector, root: '0'.repeat(64) };
    assert.equal(merkle.validRequest(vector.size, request), false, JSON.stringify(vector));
  }
});

test('shape', () => {
  const large = Number.MAX_SAFE_INTEGER;
  assert.deepEqual([0, 1, 16384, 16385, 65537, large].map(merkle.blocks), [0, 1, 1, 2, 5, 2 ** 39]);
  assert.deepEqual([0, 1, 16384, 16385, 65537, large].map(merkle.height), [0, 0, 0, 1, 3, 39]);
  assert.deepEqual([0, 16384, 16385, large].map((size) => merkle.layerLength(size, 16384)), [0, 0, 2, 2 ** 39]);
  assert.deepEqual([16384, 32768, 2 ** 40].map(merkle.validPieceLength), [true, true, true]);
  assert.deepEqual([0, 1, 8192, 16383, 49152, NaN].map(merkle.validPieceLength), Array(6).fill(false));
});
