/**
 * Every decoder, against what nobody would send: it gives a value that keeps its promises, or fails with its own error,
 * and holds no more than it says. And what was encoded decodes to itself, however it was cut on its way.
 *
 * The cases are the same in each run: a test tells what its change broke. `make fuzz` looks for new ones: it draws a seed
 * and goes on for FUZZ_SECONDS with each property. A failure says its seed, and SEED plays it again.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Bitfield } from './bitfield.ts';
import { hex } from './bytes.ts';
import { allowsScript } from './csp.ts';
import { decodeExtended, decodeFetching, decodeMeet, encodeExtended, encodeFetching, encodeMeet } from './extended.ts';
import { decodeNews, encodeNews, maxMet, maxRuns, type Meet, type News } from './extended.ts';
import { lookaheadBytes, TagInjector } from './html.ts';
import {
  candidates,
  comparePaths,
  encodePath,
  headersFor,
  isPath,
  lookup,
  parseRoot,
  parseShard,
  requestPath,
  shardFor,
} from './manifest.ts';
import type { Root } from './manifest.ts';
import { Random } from './random.test.ts';
import { contentRange, parseRange } from './ranges.ts';
import { maxCandidates, trimSdp } from './sdp.ts';
import {
  decodeTrackerMessage,
  encodeAnnounce,
  encodeAnswer,
  fromBinary,
  maxMessageLength,
  maxSdpLength,
  toBinary,
} from './signal.ts';
import { decode, encode, encodeHandshake, handshakeBytes, Reader, WireError } from './wire.ts';
import type { Bytes, Handshake, Message } from './wire.ts';

const vectors = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../../../testdata/vectors/${name}.json`, import.meta.url), 'utf8')) as T;
const latin1 = (text: string): Bytes => Uint8Array.from(text, (character) => character.charCodeAt(0));

const fuzzMs = Number(process.env['FUZZ_SECONDS'] ?? 0) * 1000;
const seed = Number(process.env['SEED'] ?? (fuzzMs > 0 ? Math.floor(Math.random() * 2 ** 32) : 1));

/** Runs a property for so many cases of one seed, or for as long as is asked. */
function fuzz(name: string, cases: number, property: (random: Random) => void): void {
  test(name, () => {
    const random = new Random(seed);
    const endMs = performance.now() + fuzzMs;
    for (let i = 0; i < cases || performance.now() < endMs; i++) {
      try {
        property(random);
      } catch (error) {
        throw new Error(`case ${i} of SEED=${random.seed}: ${String(error)}`, { cause: error });
      }
    }
  });
}

/** What the call gives, or undefined if it throws an error that the test expects. */
function attempt<T>(call: () => T, expected: (error: unknown) => boolean): T | undefined {
  try {
    return call();
  } catch (error) {
    if (expected(error)) return undefined;
    throw error;
  }
}

// The peer wire

const bare = ['choke', 'unchoke', 'interested', 'notInterested', 'haveAll', 'haveNone', 'keepAlive'] as const;

function someMessage(random: Random): Message {
  const [piece, begin, length] = [random.uint32(), random.uint32(), random.uint32()];
  const range = {
    root: random.bytes(32),
    base: random.uint32(),
    index: random.uint32(),
    length,
    proofLayers: random.uint32(),
  };
  return random.pick<() => Message>([
    () => ({ type: random.pick(bare) }),
    () => ({ type: random.pick(['have', 'suggest', 'allowedFast']), piece }),
    () => ({ type: 'bitfield', bits: random.bytes(random.below(50)) }),
    () => ({ type: random.pick(['request', 'cancel', 'reject']), piece, begin, length }),
    () => ({ type: 'piece', piece, begin, block: random.bytes(random.below(300)) }),
    () => ({ type: 'extended', id: random.below(256), payload: random.bytes(random.below(60)) }),
    () => ({ type: random.pick(['hashRequest', 'hashReject']), ...range }),
    () => ({ type: 'hashes', ...range, hashes: random.bytes(32 * random.below(5)) }),
    () => ({ type: 'unknown', id: 100 + random.below(100), payload: random.bytes(random.below(20)) }),
  ])();
}

/** A handshake and some messages as they go over the channel. */
function conversation(random: Random): { said: [Handshake, ...Message[]]; stream: Bytes } {
  const flag = (): boolean => random.below(2) === 1;
  const hello: Handshake = {
    type: 'handshake',
    extended: flag(),
    fast: flag(),
    v2: flag(),
    infoHash: random.bytes(20),
    peerId: random.bytes(20),
  };
  const messages = Array.from({ length: random.below(12) }, () => someMessage(random));
  const stream = new Uint8Array(Buffer.concat([encodeHandshake(hello), ...messages.map(encode)]));
  return { said: [hello, ...messages], stream };
}

fuzz('wire: what is said is heard, however it was cut', 1000, (random) => {
  const { said, stream } = conversation(random);
  const reader = new Reader(4096);
  const heard = [...random.chunks(stream, 1 + random.below(200))].flatMap((chunk) => [...reader.push(chunk)]);
  // Views of what was received are compared by their bytes.
  const plain = (messages: readonly object[]): string =>
    JSON.stringify(
      messages.map((message) => Object.entries(message).sort()),
      (_, value: unknown) => (value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value),
    );
  assert.equal(plain(heard), plain(said));
});

fuzz('wire: noise and altered streams are messages or a WireError', 3000, (random) => {
  const limit = 64 + random.below(300);
  const reader = new Reader(limit);
  const { stream } = conversation(random);
  const data = random.below(4) ? random.mutate(stream) : random.bytes(random.below(400));
  attempt(
    () => {
      for (const chunk of random.chunks(data, 100)) {
        for (const message of reader.push(chunk)) {
          const { length } = message.type === 'handshake' ? encodeHandshake(message) : encode(message);
          assert.ok(length <= Math.max(handshakeBytes, 4 + limit), `a message of ${length} bytes, limit ${limit}`);
        }
      }
    },
    (error) => error instanceof WireError,
  );
});

fuzz('wire: a message is allocated only if its announced length is allowed', 300, (random) => {
  const limit = random.below(1000);
  const reader = new Reader(limit);
  const hello = encodeHandshake({
    extended: true,
    fast: true,
    v2: true,
    infoHash: random.bytes(20),
    peerId: random.bytes(20),
  });
  assert.equal([...reader.push(hello)].length, 1);
  const header = new Uint8Array(4);
  new DataView(header.buffer).setUint32(0, Math.min(2 ** 32 - 1, limit + 1 + random.uint32()));
  assert.throws(() => [...reader.push(header)], WireError);
});

fuzz('wire: a body decodes to what encodes to it, or is refused', 3000, (random) => {
  const body = random.bytes(random.below(120));
  if (body.length > 0) body[0] = random.below(26);
  const message = attempt(
    () => decode(body),
    (error) => error instanceof WireError,
  );
  if (message) assert.deepEqual(encode(message).subarray(4), body);
});

// The extension protocol, whose handshake is bencoded

fuzz('extended: altered handshakes say something within bounds, or nothing', 3000, (random) => {
  const ours = encodeExtended(random.below(1000));
  const data = random.below(4) ? random.mutate(ours) : random.bytes(random.below(200));
  const { reqq, fetching, meet, release } = decodeExtended(data);
  assert.ok(reqq === undefined || (Number.isInteger(reqq) && reqq >= 1 && reqq < 1e9), `reqq ${reqq}`);
  assert.ok(fetching === undefined || (fetching >= 1 && fetching <= 255), `pk_fetching ${fetching}`);
  assert.ok(meet === undefined || (meet >= 1 && meet <= 255), `pk_meet ${meet}`);
  assert.ok(release === undefined || (release >= 1 && release <= 255), `pk_release ${release}`);
});

fuzz('extended: pk_meet', 2000, (random) => {
  const ids = (least: number): string[] => Array.from({ length: least + random.below(maxMet) }, () => hex(random.bytes(20)));
  const [peerId, id] = [hex(random.bytes(20)), hex(random.bytes(20))];
  const message: Meet = random.below(2)
    ? { type: 'peers', met: ids(1), lost: ids(0) }
    : { type: random.pick(['offer', 'answer', 'agreed']), peerId, id, sdp: random.bytes(1 + random.below(300)) };
  const bytes = encodeMeet(message);
  assert.deepEqual(decodeMeet(bytes), message);
  const data = random.below(2) ? random.mutate(bytes) : random.bytes(random.below(700));
  const got = attempt(
    () => decodeMeet(data),
    (error) => error instanceof WireError,
  );
  if (got) assert.deepEqual(encodeMeet(got), new Uint8Array(data));
});

fuzz('extended: pk_release', 2000, (random) => {
  const message: News = random.pick([
    { type: 'newest', snapshot: hex(random.bytes(32)), sequence: random.below(2 ** 31) * 2 ** 20 },
    { type: 'ask' },
    { type: 'part', last: random.below(2) === 1, data: random.bytes(1 + random.below(300)) },
  ]);
  const bytes = encodeNews(message);
  assert.deepEqual(decodeNews(bytes), message);
  const data = random.below(2) ? random.mutate(bytes) : random.bytes(random.below(100));
  const got = attempt(
    () => decodeNews(data),
    (error) => error instanceof WireError,
  );
  if (got) assert.deepEqual(encodeNews(got), new Uint8Array(data));
});

fuzz('extended: pk_fetching', 2000, (random) => {
  const pieces = 1 + random.below(5000);
  const runs = Array.from({ length: 1 + random.below(maxRuns) }, () => {
    const first = random.below(pieces);
    return { first, count: 1 + random.below(pieces - first) };
  });
  const message = { active: random.below(2) === 1, runs };
  const bytes = encodeFetching(message);
  assert.deepEqual(decodeFetching(bytes, pieces), message);
  const got = attempt(
    () => decodeFetching(random.below(2) ? random.mutate(bytes) : random.bytes(random.below(700)), pieces),
    (error) => error instanceof WireError,
  );
  if (!got) return;
  assert.ok(got.runs.length >= 1 && got.runs.length <= maxRuns);
  for (const { first, count } of got.runs) assert.ok(count >= 1 && first + count <= pieces, `${first} + ${count}`);
});

fuzz('bitfield: of any bytes, it counts what it has', 500, (random) => {
  const length = random.below(200);
  const field = Bitfield.from(random.bytes(random.below(2) ? (length + 7) >> 3 : random.below(30)), length);
  if (!field) return;
  const all = Array.from({ length: length + 20 }, (_, i) => i).filter((i) => i < length && field.has(i));
  assert.equal(field.count, all.length);
});

// The tracker's protocol

const replies = vectors<{ replies: { text: string }[] }>('signal').replies.map(({ text }) => text);

fuzz('signal: altered replies are well-formed messages, or none', 5000, (random) => {
  const text = random.pick(replies);
  const value = attempt(
    (): unknown => JSON.parse(text),
    () => true,
  );
  const altered =
    value !== undefined && random.below(3) ? JSON.stringify(random.mutateJson(value)) : random.mutateText(text);
  const message = decodeTrackerMessage(altered);
  if (!message) return;
  assert.ok(altered.length <= maxMessageLength);
  const isId = (id: string | undefined): boolean => id !== undefined && /^[0-9a-f]{40}$/.test(id);
  assert.ok(message.infoHash === undefined ? message.type === 'failure' : isId(message.infoHash), altered);
  if (message.type === 'offer' || message.type === 'answer') {
    assert.ok(isId(message.peerId) && isId(message.offerId) && message.sdp.length <= maxSdpLength, altered);
  } else if (message.type === 'announced') {
    const { intervalMs = 0, others = 0 } = message;
    for (const count of [intervalMs, others]) assert.ok(count >= 0 && Number.isFinite(count), altered);
  }
});

fuzz('signal: identifiers and what is announced survive', 500, (random) => {
  const id = (): string => random.hex(20);
  const anything = random.text(30);
  const known = id();
  assert.equal(fromBinary(toBinary(known)), known);
  assert.ok(anything.length === 20 || fromBinary(anything) === undefined);
  const sdp = random.text(40) || 'v=0';
  const offers = [{ id: id(), sdp, toPeerId: id() }];
  const announce = { infoHash: id(), peerId: id(), left: 1, uploaded: 2, downloaded: 3, offers };
  const told = JSON.parse(encodeAnnounce(announce)) as {
    offers: [{ offer_id: string; to_peer_id: string; offer: { sdp: string } }];
  };
  assert.equal(fromBinary(told.offers[0].offer_id), offers[0]!.id);
  assert.equal(fromBinary(told.offers[0].to_peer_id), offers[0]!.toPeerId);
  assert.equal(told.offers[0].offer.sdp, sdp);
  // An answer passed on by a tracker, as it is, is an answer.
  const answer = { infoHash: id(), peerId: id(), toPeerId: id(), offerId: id(), sdp };
  const { toPeerId: _, ...heard } = answer;
  assert.deepEqual(decodeTrackerMessage(encodeAnswer(answer)), { type: 'answer', ...heard });
});

fuzz('sdp: a description is refused, or names few candidates', 2000, (random) => {
  const line = (): string =>
    random.pick([
      `a=candidate:1 1 ${random.pick(['udp', 'tcp', 'UDP'])} 1 10.0.0.${random.below(99)} 9 typ ${random.pick(['host', 'srflx', 'relay'])}`,
      `m=${random.pick(['application', 'audio'])} 9 UDP/DTLS/SCTP webrtc-datachannel`,
      random.text(),
      'a=mid:0',
    ]);
  const lines = Array.from({ length: random.below(60) }, line);
  const sdp = ['v=0', 'm=application 9 UDP/DTLS/SCTP webrtc-datachannel', ...lines].join(random.pick(['\r\n', '\n']));
  const trimmed = trimSdp(random.below(3) ? sdp : random.mutateText(sdp));
  if (trimmed === undefined) return;
  const kept = trimmed.split('\r\n').filter((each) => each.startsWith('a=candidate:'));
  assert.ok(kept.length <= maxCandidates, `${kept.length} candidates`);
  for (const each of kept) assert.match(each, /^a=candidate:\S+ \d+ udp /i);
  assert.equal(trimSdp(trimmed), trimmed);
});

// The manifest

const { valid, shards } = vectors<{
  valid: { manifest: string }[];
  shards: { document: string }[];
}>('manifest');
const isRefusal = (error: unknown): boolean =>
  error instanceof SyntaxError || (error instanceof Error && error.message.startsWith('manifest: bad '));

/** What everything that uses a manifest relies on. */
function sound(root: Root): void {
  const { files, shards: list, torrent } = root;
  assert.equal(files === undefined, list !== undefined);
  for (const row of files ?? list ?? []) {
    const [name, hash, size, piece] = row;
    assert.match(hash, /^[0-9a-f]{64}$/);
    assert.ok(Number.isSafeInteger(size) && size >= 0 && Number.isSafeInteger(piece) && piece >= 0);
    assert.ok(size === 0 || piece + Math.ceil(size / torrent.pieceLength) <= torrent.pieces);
    if (files) assert.ok(isPath(name) && lookup(files, name) === row, name);
    else assert.ok(shardFor(root, name) === row, name);
  }
  for (const [pattern] of root.headers) for (const header of headersFor(root, pattern)) new Headers([header]);
  // By its text: a zero may be written with a minus, which JSON does not keep.
  assert.equal(JSON.stringify(parseRoot(JSON.stringify(root))), JSON.stringify(root));
}

test('manifest: a zero with a minus is a zero', () => {
  for (const { manifest } of valid) {
    const altered = manifest.replace(/,0\]/, ',-0]');
    if (altered !== manifest) return sound(parseRoot(altered));
  }
  assert.fail('no manifest has a row that begins at piece 0');
});

fuzz('manifest: an altered one is sound, or refused whole', 5000, (random) => {
  const source = random.pick(valid).manifest;
  let altered = source;
  if (random.below(4)) {
    let value: unknown = JSON.parse(source);
    for (let left = 1 + random.below(3); left > 0; left--) value = random.mutateJson(value);
    altered = JSON.stringify(value);
  } else {
    altered = random.mutateText(source);
  }
  const root = attempt(() => parseRoot(altered), isRefusal);
  if (root) sound(root);
});

fuzz('manifest: an altered shard is rows of the torrent, or refused', 2000, (random) => {
  const { shards: _, ...root } = parseRoot(random.pick(valid).manifest);
  const { document } = random.pick(shards);
  const value = attempt(
    (): unknown => JSON.parse(document),
    () => true,
  );
  const altered = value && random.below(4) ? JSON.stringify(random.mutateJson(value)) : random.mutateText(document);
  const files = attempt(() => parseShard(altered, root), isRefusal);
  if (files) sound({ ...root, files });
});

fuzz('manifest: a path survives its URL, and only a path comes out of one', 5000, (random) => {
  const scope = random.pick(['https://a.example/', 'https://a.example/docs/v1/']);
  const path = random.text(8);
  if (isPath(path)) {
    const url = scope + encodePath(path);
    assert.equal(requestPath(scope, url), path);
    assert.equal(new URL(url).href, url, 'the browser would ask for another URL');
    assert.ok(candidates(path).includes(path));
  }
  const raw = scope + random.text(8);
  const parsed = attempt(
    () => new URL(raw).href,
    () => true,
  );
  const named = parsed === undefined ? undefined : requestPath(scope, parsed);
  if (named !== undefined) assert.doesNotMatch(named, /[\\\0]|(^|\/)\.{1,2}(\/|$)/, raw);
});

fuzz('manifest: paths are ordered as their UTF-8 is', 2000, (random) => {
  const [a, b] = [random.text(), random.text()];
  if (!isPath(a) || !isPath(b)) return;
  assert.equal(Math.sign(comparePaths(a, b)), Buffer.compare(Buffer.from(a), Buffer.from(b)));
});

// HTTP and HTML

fuzz('ranges: what is asked lies within the content', 5000, (random) => {
  const size = random.below(3) ? random.below(1000) : 0;
  const number = (): string => random.pick(['', String(random.number()), String(random.below(1200)), '9'.repeat(400)]);
  const header = random.below(3)
    ? `bytes=${number()}-${number()}`
    : `bytes=${random.text()}${number()}-${random.text()}`;
  const range = parseRange(header, size);
  if (typeof range !== 'object') return;
  const { start, end } = range;
  assert.ok(
    Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start < end && end <= size,
    header,
  );
  assert.match(contentRange(range, size), /^bytes \d+-\d+\/\d+$/);
});

const pages = vectors<{ page: string }[]>('inject').map(({ page }) => page.replace('|', ''));
const tag = '<script src="/planktos/install.js"></script>';
const pieces = [
  '<',
  '>',
  '<!--',
  '-->',
  '--!>',
  '<!doctype html>',
  '<html>',
  '<html lang=en>',
  '<head>',
  '</head>',
  '<body>',
  '<p>',
  '<title>',
  '</title>',
  '<script>',
  '</script>',
  '<style>',
  '</style',
  '<meta x="',
  "'>",
  '"',
  "'",
  '=',
  ' ',
  '\n',
  'x',
  '<noscript>',
  '</noscript>',
  '<template>',
  '<svg>',
  '<?xml ?>',
  '</',
  '\0',
  '\xef\xbb\xbf',
  '\xff\xfe',
  '<link href=a/b>',
];

function inject(chunks: Iterable<Bytes>): string {
  const injector = new TagInjector(tag);
  const out = [...chunks].flatMap((chunk) => injector.push(chunk));
  return Buffer.concat([...out, ...injector.push(undefined)]).toString('latin1');
}

fuzz('html: one tag is added or none, wherever the document was cut, and never a second', 3000, (random) => {
  const document = random.below(2)
    ? Array.from({ length: random.below(40) }, () => random.pick(pieces)).join('')
    : random.mutateText(random.pick(pages)).replace(/[^\0-\xff]/g, '?');
  const whole = inject([latin1(document)]);
  if (whole !== document) {
    const at = whole.indexOf(tag);
    assert.equal(whole.slice(0, at) + whole.slice(at + tag.length), document);
  }
  assert.ok(document.length < lookaheadBytes);
  assert.equal(inject(random.chunks(latin1(document), 1 + random.below(30))), whole);
  assert.equal(inject([latin1(whole)]), whole, 'a second tag');
});

fuzz('html: a long head is not held back for ever', 50, (random) => {
  const document = random.pick(['<meta x>', '<!-- ', '<a "', "<meta '", '<script>', ' ']).repeat(12_000);
  const injector = new TagInjector(tag);
  let pushed = 0;
  let passed = 0;
  for (const chunk of random.chunks(latin1(document), 4000)) {
    pushed += chunk.length;
    passed += injector.push(chunk).reduce((total, { length }) => total + length, 0);
    assert.ok(pushed - passed <= lookaheadBytes + 4000, `${pushed - passed} bytes held back`);
  }
});

fuzz('csp: any policy is judged', 2000, (random) => {
  const word = (): string =>
    random.pick([
      'script-src',
      'default-src',
      "'self'",
      "'none'",
      '*',
      'https:',
      'a.example',
      '*.example:*',
      ';',
      ',',
      random.text(),
    ]);
  const policy = Array.from({ length: random.below(12) }, word).join(' ');
  assert.equal(typeof allowsScript(policy, 'https://a.example/planktos/install.js'), 'boolean');
  assert.equal(allowsScript(`script-src 'none'; ${policy}`, 'https://a.example/planktos/install.js'), false);
});
