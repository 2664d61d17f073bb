import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Health } from '../shared/health.ts';
import type { FileRow } from '../shared/manifest.ts';
import { pieceRoot } from '../shared/merkle.ts';
import { sha256 } from './content.ts';
import { fromCopies } from './copies.ts';
import type { Site } from './site.ts';
import type { Snapshot } from './snapshots.ts';

const pieceLength = 1 << 20;
const data = new Uint8Array(5 * pieceLength + 12_345).map((_, i) => i * 31 + (i >> 11));

/** The piece layer, and the root over it: five and a bit pieces fill up to eight. */
async function tree(): Promise<{ layer: Uint8Array<ArrayBuffer>; hash: string }> {
  const nodes: Uint8Array[] = [];
  for (let at = 0; at < data.length; at += pieceLength) {
    nodes.push(await pieceRoot(sha256, data.slice(at, at + pieceLength), 6));
  }
  const layer = new Uint8Array(Buffer.concat(nodes));
  let row = nodes;
  let pad: Uint8Array = new Uint8Array(32);
  for (let i = 0; i < 6; i++) pad = await sha256(new Uint8Array(Buffer.concat([pad, pad])));
  while (row.length < 8) row.push(pad);
  while (row.length > 1) {
    const up: Uint8Array[] = [];
    for (let i = 0; i < row.length; i += 2) up.push(await sha256(new Uint8Array(Buffer.concat(row.slice(i, i + 2)))));
    row = up;
  }
  return { layer, hash: Buffer.from(row[0]!).toString('hex') };
}

const { layer, hash } = await tree();
const row: FileRow = ['film.mp4', hash, data.length, 0];
const site = {
  scope: 'https://a.example/',
  snapshots: { originDown: false },
  engines: { tell() {} },
  speed: { latencyMs: 1, leastMs: 1, bytesPerMs: 1 },
  health: new Health(),
} as unknown as Site;
const mirror = 'https://mirror.example/';
const snapshot = { root: { copies: true, torrent: { pieceLength }, webSeeds: [mirror] } } as unknown as Snapshot;

/** An origin that has the copy and its layer; `change` may lie. */
function serve(change: (body: Uint8Array<ArrayBuffer>, url: string) => Uint8Array<ArrayBuffer> = (body) => body): string[] {
  const asked: string[] = [];
  globalThis.fetch = async (input, init) => {
    const url = String(input);
    const range = (init?.headers as { range?: string } | undefined)?.range;
    asked.push(range ?? url.replace(/.*\./, '.'));
    if (url.endsWith('.layer')) return new Response(change(layer.slice(), url));
    const [, from = '0', to = '0'] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? assert.fail(`whole: ${url}`);
    return new Response(change(data.slice(Number(from), Number(to) + 1), url), { status: 206 });
  };
  return asked;
}

async function read(start: number, end: number): Promise<Uint8Array> {
  const delivery = (await fromCopies(site, snapshot, row, { start, end }))!;
  const parts: Uint8Array[] = [];
  for (let chunk; (chunk = await delivery.next()); ) parts.push(chunk);
  return Buffer.concat(parts);
}

test('the rest of a large content comes by ranges of its copy, from its next byte on', async () => {
  const asked = serve();
  for (const [start, end] of [[3 * pieceLength + 7, data.length], [pieceLength, pieceLength + 1]] as const) {
    assert.ok(Buffer.from(data.slice(start, end)).equals(Buffer.from(await read(start, end))));
  }
  assert.deepEqual(asked.slice(0, 2), ['.layer', `bytes=${3 * pieceLength}-${4 * pieceLength - 1}`]);
});

const lie = (body: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> => body.map((byte, i) => (i ? byte : byte ^ 1));

test('a copy or a layer that is another one gives nothing', async () => {
  serve((body, url) => (url.endsWith('.layer') ? lie(body) : body));
  assert.equal(await fromCopies(site, snapshot, row, { start: 0, end: 100 }), undefined);
  serve((body, url) => (url.endsWith('.layer') ? body : lie(body)));
  assert.equal(await fromCopies(site, snapshot, row, { start: 0, end: 100 }), undefined);
});

test('a host that lies, is cut short, or knows no ranges is passed over', async () => {
  const failures: Array<(response: Response) => Promise<Response>> = [
    async (response) => new Response(lie(new Uint8Array(await response.arrayBuffer())), { status: 206 }),
    async (response) => new Response((await response.arrayBuffer()).slice(1), { status: 206 }),
    async () => new Response(data, { status: 200 }),
    async () => new Response('gone', { status: 404 }),
    async () => Promise.reject(new TypeError('refused')),
  ];
  for (const fail of failures) {
    const asked = serve();
    const honest = globalThis.fetch;
    const hosts = new Set<string>();
    globalThis.fetch = async (input, init) => {
      const response = await honest(input, init);
      const { origin } = new URL(String(input));
      hosts.add(origin);
      return origin === 'https://a.example' && !String(input).endsWith('.layer') ? fail(response) : response;
    };
    assert.ok(Buffer.from(data.slice(7, 99)).equals(Buffer.from(await read(7, 99))));
    assert.deepEqual([...hosts], ['https://a.example', 'https://mirror.example']);
    assert.ok(asked.length <= 3, 'and nothing is asked for twice of anybody');
  }
});

test('without the origin, other hosts give it, and no more than is wanted', async () => {
  const asked = serve();
  const delivery = (await fromCopies(site, snapshot, row, { start: pieceLength + 1, end: pieceLength + 3 }, []))!;
  assert.deepEqual(Buffer.from((await delivery.next())!), Buffer.from(data.slice(pieceLength + 1, pieceLength + 3)));
  assert.equal(await delivery.next(), undefined);
  assert.deepEqual(asked, ['.layer', `bytes=${pieceLength}-${2 * pieceLength - 1}`]);
});

test('what is small, or has no copies, is not had by ranges', async () => {
  const asked = serve();
  const inPlace = { root: { ...snapshot.root, copies: false } } as Snapshot;
  assert.equal(await fromCopies(site, inPlace, row, { start: 0, end: 1 }), undefined);
  assert.equal(await fromCopies(site, snapshot, ['a', hash, 4 << 20, 0], { start: 0, end: 1 }), undefined);
  assert.deepEqual(asked, []);
});
