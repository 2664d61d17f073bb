import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { decodeExtended, decodeFetching, decodeMeet, encodeExtended, encodeFetching, encodeMeet } from './extended.ts';
import { decodeNews, encodeNews, maxPartBytes, type Run } from './extended.ts';
import { decodeHandshake, encode, encodeHandshake, Reader, WireError, type Bytes, type Message } from './wire.ts';

interface Vectors {
  limit: number;
  messages: { name: string; hex: string; message: Record<string, unknown> }[];
  badMessages: { name: string; hex: string }[];
  handshakes: { name: string; hex: string; infoHash: string; peerId: string; extended: boolean; fast: boolean; v2: boolean }[];
  badHandshakes: { name: string; hex: string }[];
  extended: { name: string; payload: string; m: Record<string, number>; reqq: number | null }[];
  badExtended: { name: string; payload: string }[];
  fetchingPieces: number;
  fetching: { name: string; payload: string; active: boolean; runs: Run[] }[];
  badFetching: { name: string; payload: string }[];
  meet: { name: string; payload: string; message: Record<string, unknown> }[];
  news: { name: string; payload: string; message: Record<string, unknown> }[];
  badNews: { name: string; payload: string }[];
  badMeet: { name: string; payload: string }[];
}
const vectors = JSON.parse(readFileSync('testdata/vectors/wire.json', 'utf8')) as Vectors;

const bytes = (hex: string): Bytes => new Uint8Array(Buffer.from(hex, 'hex'));
const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex');
const handshake = bytes(vectors.handshakes[0]!.hex);

/** A message with its byte strings as hex. */
function plain(message: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(message).map(([k, v]) => [k, v instanceof Uint8Array ? hex(v) : v]));
}

/** What a stream decodes to when it arrives in pieces of `step` bytes. */
function read(stream: Bytes, step: number, limit = vectors.limit): Message[] {
  const reader = new Reader(limit);
  const messages: Message[] = [];
  for (let at = 0; at < stream.length; at += step) {
    for (const message of reader.push(stream.slice(at, at + step))) {
      if (message.type !== 'handshake') messages.push(message);
    }
  }
  return messages;
}

for (const { name, hex: want, message } of vectors.messages) {
  test(`message: ${name}`, () => {
    const [decoded, ...more] = read(Buffer.concat([handshake, bytes(want)]) as unknown as Bytes, 1000);
    assert.deepEqual(more, []);
    assert.deepEqual(plain(decoded!), message);
    assert.equal(hex(encode(decoded!)), want);
  });
}

for (const { name, hex: data } of vectors.badMessages) {
  test(`refused: ${name}`, () => {
    assert.throws(() => read(Buffer.concat([handshake, bytes(data)]) as unknown as Bytes, 1000), WireError);
  });
}

for (const { name, hex: want, ...fields } of vectors.handshakes) {
  test(`handshake: ${name}`, () => {
    const decoded = decodeHandshake(bytes(want));
    assert.deepEqual(plain(decoded), { type: 'handshake', ...fields });
    assert.equal(hex(encodeHandshake(decoded)), want);
  });
}

for (const { name, hex: data } of vectors.badHandshakes) {
  test(`refused handshake: ${name}`, () => {
    assert.throws(() => [...new Reader(100).push(bytes(data))], WireError);
  });
}

test('a stream decodes alike however it was cut', () => {
  const stream = new Uint8Array(Buffer.concat([handshake, ...vectors.messages.map((vector) => bytes(vector.hex))]));
  const want = vectors.messages.map(({ message }) => message);
  for (const step of [1, 2, 3, 5, 67, 68, 69, 1000, stream.length]) {
    assert.deepEqual(read(stream, step).map(plain), want, `in steps of ${step}`);
  }
});

test('noise is decoded or refused, and what is decoded encodes to the same bytes', () => {
  let state = 12345;
  const random = () => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 8;
  for (let round = 0; round < 3000; round++) {
    const body = Uint8Array.from({ length: 1 + (random() % 120) }, random);
    body[0] = random() % 26;
    const stream = new Uint8Array(72 + body.length);
    stream.set(handshake);
    new DataView(stream.buffer).setUint32(68, body.length);
    stream.set(body, 72);
    try {
      const [message] = read(stream, 50);
      assert.deepEqual(encode(message!), stream.slice(68));
    } catch (error) {
      assert.ok(error instanceof WireError, String(error));
    }
  }
});

const nothing = { reqq: undefined, fetching: undefined, meet: undefined, release: undefined };

for (const { name, payload, m, reqq } of vectors.extended) {
  test(`extension handshake: ${name}`, () => {
    const want = { fetching: m['pk_fetching'], meet: m['pk_meet'], release: m['pk_release'] };
    assert.deepEqual(decodeExtended(bytes(payload)), { reqq: reqq ?? undefined, ...want });
  });
}

for (const { name, payload } of vectors.badExtended) {
  test(`useless extension handshake: ${name}`, () => assert.deepEqual(decodeExtended(bytes(payload)), nothing));
}

test('our extension handshake is that of the vectors', () => {
  assert.equal(hex(encodeExtended(256)), vectors.extended.find(({ name }) => name === 'ours')!.payload);
  for (const text of ['d4:reqqi0ee', 'd4:reqqi-1ee', 'd4:reqqi9999999999ee', `${' '.repeat(20_000)}4:reqqi9e`]) {
    assert.deepEqual(decodeExtended(new TextEncoder().encode(text)), nothing, text);
  }
});

for (const { name, payload, active, runs } of vectors.fetching) {
  test(`fetching: ${name}`, () => {
    assert.deepEqual(decodeFetching(bytes(payload), vectors.fetchingPieces), { active, runs });
    assert.equal(hex(encodeFetching({ active, runs })), payload);
  });
}

for (const { name, payload } of vectors.badFetching) {
  test(`refused fetching: ${name}`, () => {
    assert.throws(() => decodeFetching(bytes(payload), vectors.fetchingPieces), WireError);
  });
}

for (const { name, payload, message } of vectors.meet) {
  test(`meet: ${name}`, () => {
    const decoded = decodeMeet(bytes(payload));
    const plainly = 'sdp' in decoded ? { ...decoded, sdp: hex(decoded.sdp) } : decoded;
    assert.deepEqual(plainly, message);
    assert.equal(hex(encodeMeet(decoded)), payload);
  });
}

for (const { name, payload } of vectors.badMeet) {
  test(`refused meet: ${name}`, () => assert.throws(() => decodeMeet(bytes(payload)), WireError));
}

test('a description that is passed on is no longer than 16 KiB', () => {
  assert.equal(decodeMeet(new Uint8Array(41 + 16384).fill(1)).type, 'offer');
  assert.throws(() => decodeMeet(new Uint8Array(42 + 16384).fill(1)), WireError);
});

for (const { name, payload, message } of vectors.news) {
  test(`news: ${name}`, () => {
    const decoded = decodeNews(bytes(payload));
    assert.deepEqual(plain(decoded), message);
    assert.equal(hex(encodeNews(decoded)), payload);
  });
}

for (const { name, payload } of vectors.badNews) {
  test(`refused news: ${name}`, () => assert.throws(() => decodeNews(bytes(payload)), WireError));
}

test('a root comes in parts of bounded length', () => {
  const part = new Uint8Array(1 + maxPartBytes).fill(2);
  assert.equal(decodeNews(part).type, 'part');
  assert.throws(() => decodeNews(new Uint8Array(2 + maxPartBytes).fill(2)), WireError);
});
