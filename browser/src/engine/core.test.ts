import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { encode, encodeHandshake, Reader, type Bytes, type Message } from '../shared/wire.ts';
import { asLink, channelPair, connect, infoHash, makeSite, noise, origin } from './testing.test.ts';
import { scope, sha256, Visitor, type FakeChannel, type Site } from './testing.test.ts';
import { Tree } from './tree.ts';
import { unhex } from './bytes.ts';

const pieceLength = 32768;

async function visitors(t: TestContext, site: Site, ...held: number[][]): Promise<Visitor[]> {
  const all = await Promise.all(
    held.map((indexes) => new Visitor().begin(site, indexes.map((index) => site.files[index]!))),
  );
  t.after(() => all.forEach((visitor) => visitor.close()));
  for (const [i, visitor] of all.entries()) {
    if (held[i]!.length) await visitor.until(() => visitor.joined.length > 0);
    // Configured in order before it, so it is answered when the engine knows the site.
    else await visitor.get(site.files[0]!, { deadlineMs: 0 }).got;
  }
  return all;
}

/** Waits until `count` peers hold the site's first file and have unchoked the visitor. */
async function served(visitor: Visitor, site: Site, count = 1): Promise<void> {
  await visitor.until(() => visitor.core.holders(site.files[0]!.content, 0).count === count);
}

/** A peer played by the test, message by message. */
class Script {
  readonly heard: Message[] = [];
  readonly channel: FakeChannel;
  reply: (message: Message, send: (message: Message) => void) => void = () => {};

  constructor(visitor: Visitor, id: string, options: { fast?: boolean; v2?: boolean; hash?: string } = {}) {
    const [mine, theirs] = channelPair();
    this.channel = mine;
    mine.binaryType = 'arraybuffer';
    const reader = new Reader(1 << 20);
    mine.onmessage = ({ data }) => {
      for (const message of reader.push(new Uint8Array(data as ArrayBuffer))) {
        if (message.type === 'handshake') continue;
        this.heard.push(message);
        this.reply(message, (answer) => this.send(answer));
      }
    };
    visitor.onLink!(asLink(theirs, id));
    const { fast = true, v2 = false, hash = infoHash } = options;
    const peerId = new TextEncoder().encode(id.padEnd(20, '-').slice(0, 20));
    mine.send(encodeHandshake({ infoHash: unhex(hash), peerId, extended: false, fast, v2 }));
  }

  send(message: Message): void {
    if (this.channel.readyState === 'open') this.channel.send(encode(message));
  }

  of<T extends Message['type']>(type: T): Extract<Message, { type: T }>[] {
    return this.heard.filter((message) => message.type === type) as Extract<Message, { type: T }>[];
  }
}

/** Serves blocks of the torrent that is `data` from piece 0. */
function seeder(data: Bytes, change: (block: Bytes, begin: number) => Bytes = (block) => block): Script['reply'] {
  return (message, send) => {
    if (message.type === 'interested') send({ type: 'unchoke' });
    if (message.type !== 'request') return;
    const { piece, begin, length } = message;
    const start = piece * pieceLength + begin;
    send({ type: 'piece', piece, begin, block: change(data.slice(start, start + length), start) });
  };
}

function seed(script: Script, data: Bytes, change?: (block: Bytes, begin: number) => Bytes): Script {
  script.reply = seeder(data, change);
  script.send({ type: 'haveAll' });
  return script;
}

test('whole files go from one visitor to another, verified, counted and stored', async (t) => {
  const site = await makeSite([noise(100_000, 1), noise(1, 2), noise(16384, 3), noise(3 * pieceLength, 4)]);
  const [a, b] = await visitors(t, site, [0, 1, 2, 3], []);
  connect(a!, b!);
  await served(b!, site);
  b!.fetch = origin(site, pieceLength);
  for (const file of site.files) {
    const got = await b!.get(file).got;
    assert.equal(got.outcome, 'end');
    assert.deepEqual(got.data, file.data);
  }
  const total = site.files.reduce((sum, { data }) => sum + data.length, 0);
  await a!.until(() => a!.counts.uploaded === total);
  assert.deepEqual(b!.counts, { origin: 0, peers: total, uploaded: 0 });
  await b!.until(() => b!.stored.length === 4);
  // Not even a piece layer was asked of the origin.
  assert.deepEqual(b!.fetched, []);
});

test('a range brings only the pieces that cover it', async (t) => {
  const site = await makeSite([noise(20 * pieceLength, 1)]);
  const [a, b] = await visitors(t, site, [0], []);
  b!.fetch = origin(site, pieceLength);
  connect(a!, b!);
  await served(b!, site);
  const [start, end] = [3 * pieceLength + 5, 5 * pieceLength + 1];
  const got = await b!.get(site.files[0]!, { start, end }).got;
  assert.deepEqual(got.data, site.files[0]!.data.slice(start, end));
  assert.equal(b!.counts.peers, 3 * pieceLength);
  assert.deepEqual(b!.stored, []);
});

test('two requests for one content share its download', async (t) => {
  const site = await makeSite([noise(10 * pieceLength, 1)]);
  const [a, b] = await visitors(t, site, [0], []);
  b!.fetch = origin(site, pieceLength);
  connect(a!, b!);
  await served(b!, site);
  const gets = [b!.get(site.files[0]!), b!.get(site.files[0]!, { start: 70_000 })];
  for (const { got } of gets) assert.equal((await got).outcome, 'end');
  assert.equal(b!.counts.peers, 10 * pieceLength);
});

test('what nobody near has is declined at once, and with offload after waiting for those that come', async (t) => {
  const site = await makeSite([noise(50_000, 1)]);
  const [a] = await visitors(t, site, []);
  assert.equal((await a!.get(site.files[0]!).got).verdict, 'decline');
  const patient = await makeSite([noise(50_000, 1)], { policy: { mode: 'auto', prefer: 'offload' } });
  const [b, c] = await visitors(t, patient, [], [0]);
  b!.known = 1;
  const { got } = b!.get(site.files[0]!);
  await b!.until(() => b!.wants.get(infoHash) === 8);
  connect(b!, c!);
  assert.deepEqual((await got).data, site.files[0]!.data);
});

test('a declined wait ends at its deadline', async (t) => {
  const site = await makeSite([noise(50_000, 1)]);
  const [a] = await visitors(t, site, []);
  const before = performance.now();
  assert.equal((await a!.get(site.files[0]!, { peersOnly: true, deadlineMs: 60 }).got).verdict, 'decline');
  assert.ok(performance.now() - before >= 55);
});

test('a lying peer is banned, and the web seed makes up for it', async (t) => {
  const site = await makeSite([noise(2 * 16384, 1)]);
  const [a] = await visitors(t, site, []);
  a!.fetch = origin(site, pieceLength);
  const liar = seed(new Script(a!, 'liar'), site.files[0]!.data, (block) => block.map((byte) => byte ^ 1));
  await served(a!, site);
  const got = await a!.get(site.files[0]!).got;
  assert.deepEqual(got.data, site.files[0]!.data);
  assert.deepEqual(a!.counts, { origin: 32768, peers: 0, uploaded: 0 });
  assert.equal(liar.channel.readyState, 'closed');
  const again = new Script(a!, 'liar');
  await a!.until(() => again.channel.readyState === 'closed');
});

test('of several contributors to a bad piece, the one that lied is banned', async (t) => {
  const size = 1 << 20;
  const site = await makeSite([noise(size, 1)], { pieceLength: size });
  const [a] = await visitors(t, site, []);
  a!.fetch = origin(site, size);
  const whole = site.files[0]!.data;
  const good = [1, 2].map((i) => new Script(a!, `good${i}`));
  const liar = new Script(a!, 'liar');
  for (const script of good) {
    script.reply = (message, send) => {
      if (message.type === 'interested') send({ type: 'unchoke' });
      if (message.type !== 'request') return;
      const { begin, length } = message;
      send({ type: 'piece', piece: 0, begin, block: whole.slice(begin, begin + length) });
    };
    script.send({ type: 'haveAll' });
  }
  liar.reply = (message, send) => {
    if (message.type === 'interested') send({ type: 'unchoke' });
    if (message.type === 'request') send({ ...message, type: 'piece', block: new Uint8Array(message.length) });
  };
  liar.send({ type: 'haveAll' });
  await served(a!, site, 3);
  const got = await a!.get(site.files[0]!).got;
  assert.deepEqual(got.data, whole);
  await a!.until(() => liar.channel.readyState === 'closed');
  assert.ok(good.every(({ channel }) => channel.readyState === 'open'));
});

test('the blocks of a vanished, rejecting or silent peer are asked of others', async (t) => {
  const site = await makeSite([noise(12 * pieceLength, 1)]);
  const [a, b] = await visitors(t, site, [], [0]);
  a!.fetch = async (url, init) => {
    assert.ok(url.endsWith('.layer'), `fetches ${url}`);
    return origin(site, pieceLength)(url, init);
  };
  const scripts = ['vanish', 'reject', 'choke'].map((id) => {
    const script = new Script(a!, id, { fast: id !== 'choke' });
    script.reply = (message, send) => {
      if (message.type === 'interested') send({ type: 'unchoke' });
      if (message.type !== 'request') return;
      if (id === 'vanish') script.channel.close();
      else if (id === 'reject') send({ ...message, type: 'reject' });
      else send({ type: 'choke' });
    };
    script.send(id === 'choke' ? { type: 'bitfield', bits: Uint8Array.of(255, 0xf0) } : { type: 'haveAll' });
    return script;
  });
  await a!.until(() => a!.connections === 3);
  connect(a!, b!);
  await served(a!, site, 4);
  const got = await a!.get(site.files[0]!).got;
  assert.deepEqual(got.data, site.files[0]!.data);
  assert.equal(a!.counts.peers, 12 * pieceLength);
  assert.ok(scripts.some((script) => script.of('request').length > 0));
});

test('the web seed takes over from a peer that stalls', async (t) => {
  const site = await makeSite([noise(8 * pieceLength, 1)]);
  for (const ranges of [true, false]) {
    const [a] = await visitors(t, site, []);
    a!.fetch = origin(site, pieceLength, { ranges });
    const mute = new Script(a!, 'mute');
    mute.reply = (message, send) => message.type === 'interested' && send({ type: 'unchoke' });
    mute.send({ type: 'haveAll' });
    await served(a!, site);
    const range = { start: 4 * pieceLength, end: 6 * pieceLength };
    const got = await a!.get(site.files[0]!, range).got;
    assert.deepEqual(got.data, site.files[0]!.data.slice(range.start, range.end));
    const data = a!.fetched.filter(({ url }) => !url.endsWith('.layer'));
    assert.deepEqual(data, [
      { url: `${scope}planktos/${site.files[0]!.content.hash}`, range: `bytes=${range.start}-${range.end - 1}` },
    ]);
  }
});

test('a web seed that lies is passed over for the next', async (t) => {
  const site = await makeSite([noise(20_000, 1)]);
  const { path, content, data } = site.files[0]!;
  const [a] = await visitors(t, site, []);
  a!.fetch = origin(site, pieceLength, { lies: [path] });
  const quitter = new Script(a!, 'quitter');
  quitter.reply = (message, send) => {
    if (message.type === 'interested') send({ type: 'unchoke' });
    if (message.type === 'request') quitter.channel.close();
  };
  quitter.send({ type: 'haveAll' });
  await served(a!, site);
  assert.deepEqual((await a!.get(site.files[0]!).got).data, data);
  assert.ok(a!.fetched.some(({ url }) => url === `${scope}planktos/${content.hash}`));

  const [b] = await visitors(t, site, []);
  b!.fetch = origin(site, pieceLength, { lies: [path, `planktos/${content.hash}`] });
  const other = new Script(b!, 'other');
  other.reply = quitter.reply;
  other.reply = (message, send) => {
    if (message.type === 'interested') send({ type: 'unchoke' });
    if (message.type === 'request') other.channel.close();
  };
  other.send({ type: 'haveAll' });
  await served(b!, site);
  const got = await b!.get(site.files[0]!).got;
  assert.deepEqual([got.outcome, got.data.length], ['fail', 0]);
});

test('in an outage even the piece layer comes from peers', async (t) => {
  const site = await makeSite([noise(1_000_000, 1)], { pieceLength: 16384 });
  const [a, b] = await visitors(t, site, [0], []);
  b!.fetch = async () => Promise.reject(new TypeError('offline'));
  connect(a!, b!);
  const got = await b!.get(site.files[0]!, { peersOnly: true }).got;
  assert.deepEqual(got.data, site.files[0]!.data);
  assert.deepEqual(b!.fetched, []);
});

test('in an outage a request ends soon after everybody has been asked', async (t) => {
  const site = await makeSite([noise(50_000, 1)]);
  const [a, b] = await visitors(t, site, [], []);
  connect(a!, b!);
  const got = await b!.get(site.files[0]!, { peersOnly: true, deadlineMs: 1e6 }).got;
  assert.equal(got.verdict, 'decline');
});

test('credit bounds what is delivered, and cancelling ends it', async (t) => {
  const site = await makeSite([noise(3 << 20, 1)]);
  const [a, b] = await visitors(t, site, [0], []);
  b!.fetch = origin(site, pieceLength);
  b!.consume = false;
  connect(a!, b!);
  await served(b!, site);
  const { id } = b!.get(site.files[0]!, { end: 2 << 20 });
  await b!.until(() => b!.counts.peers >= 2 << 20);
  await b!.until(() => b!.chunks(id) === 4);
  b!.post({ type: 'cancel', id });
  // Answered after the cancel, so nothing of the cancelled request can follow it.
  await b!.get(site.files[0]!, { start: 9, end: 9 }).got;
  b!.post({ type: 'pull', id });
  await b!.get(site.files[0]!, { start: 9, end: 9 }).got;
  assert.equal(b!.chunks(id), 4);
});

test('a cancelled request cancels what was asked of peers', async (t) => {
  const site = await makeSite([noise(4 * pieceLength, 1)]);
  const [a] = await visitors(t, site, []);
  const mute = new Script(a!, 'mute');
  mute.reply = (message, send) => message.type === 'interested' && send({ type: 'unchoke' });
  mute.send({ type: 'haveAll' });
  await served(a!, site);
  const { id } = a!.get(site.files[0]!);
  await a!.until(() => mute.of('request').length === 8);
  a!.post({ type: 'cancel', id });
  await a!.until(() => mute.of('cancel').length === 8);
});

test('pads are zeros, what is not held is rejected, and choked peers get nothing', async (t) => {
  const site = await makeSite([noise(100, 1), noise(100, 2)]);
  const [a] = await visitors(t, site, [0]);
  // One more than there are upload slots: none is had without interest.
  for (let i = 0; i < 12; i++) new Script(a!, `other ${i}`).send({ type: 'haveNone' });
  await a!.until(() => a!.connections === 12);
  const peer = new Script(a!, 'peer');
  peer.send({ type: 'haveNone' });
  await a!.until(() => a!.connections === 13);
  peer.send({ type: 'request', piece: 0, begin: 0, length: 16384 });
  await a!.until(() => peer.of('reject').length === 1);
  peer.send({ type: 'interested' });
  await a!.until(() => peer.of('unchoke').length === 1);
  assert.deepEqual(peer.of('bitfield')[0]!.bits, Uint8Array.of(0x80));
  peer.send({ type: 'request', piece: 0, begin: 0, length: 16384 });
  peer.send({ type: 'request', piece: 0, begin: 16384, length: 16384 });
  peer.send({ type: 'request', piece: 1, begin: 0, length: 16384 });
  peer.send({ type: 'request', piece: 0, begin: 32768, length: 1 });
  await a!.until(() => peer.of('reject').length === 3);
  const [first, pad] = peer.of('piece');
  assert.deepEqual(first!.block.subarray(0, 100), site.files[0]!.data);
  assert.ok(first!.block.subarray(100).every((byte) => byte === 0) && first!.block.length === 16384);
  assert.ok(pad!.block.every((byte) => byte === 0) && pad!.block.length === 16384);
  await a!.until(() => a!.counts.uploaded === 100);
});

test('a store that somebody tampered with is not uploaded from', async (t) => {
  const site = await makeSite([noise(3 * pieceLength, 1), noise(10, 2)]);
  const [a] = await visitors(t, site, [0, 1]);
  for (const { content, data } of site.files) await a!.store.put(content, data.map((byte) => byte ^ 1));
  const peer = new Script(a!, 'peer');
  peer.send({ type: 'interested' });
  await a!.until(() => peer.of('unchoke').length === 1);
  for (const piece of [0, 3]) peer.send({ type: 'request', piece, begin: 0, length: 16384 });
  await a!.until(() => peer.of('reject').length === 2);
  assert.equal(peer.of('piece').length, 0);
  assert.equal(await a!.store.has(site.files[0]!.content), false);
});

test('a peer that breaks the protocol is dropped', async (t) => {
  const site = await makeSite([noise(100, 1), noise(100, 2)]);
  const [a] = await visitors(t, site, [0]);
  const breaches: Record<string, (script: Script) => void> = {
    garbage: (script) => script.channel.send(noise(4000, 1)),
    'oversize length': (script) => script.channel.send(Uint8Array.of(0xff, 0xff, 0xff, 0xff)),
    'bitfield too long': (script) => script.send({ type: 'bitfield', bits: new Uint8Array(2) }),
    'have out of range': (script) => script.send({ type: 'have', piece: 2 }),
    'huge request': (script) => script.send({ type: 'request', piece: 0, begin: 0, length: 1 << 24 }),
    'request out of range': (script) => script.send({ type: 'request', piece: 7, begin: 0, length: 1 }),
  };
  for (const [name, breach] of Object.entries(breaches)) {
    const script = new Script(a!, name);
    breach(script);
    await a!.until(() => script.channel.readyState === 'closed');
  }
  const stranger = new Script(a!, 'stranger', { hash: 'ff'.repeat(20) });
  await a!.until(() => stranger.channel.readyState === 'closed');
  const tolerated = new Script(a!, 'tolerated');
  tolerated.send({ type: 'unknown', id: 99, payload: new Uint8Array(10) });
  tolerated.send({ type: 'extended', id: 0, payload: noise(500, 1) });
  tolerated.send({ type: 'piece', piece: 0, begin: 0, block: new Uint8Array(5) });
  tolerated.send({ type: 'cancel', piece: 0, begin: 0, length: 5 });
  tolerated.send({ type: 'interested' });
  await a!.until(() => tolerated.of('unchoke').length === 1);
});

test('hash requests that cannot be answered are rejected', async (t) => {
  const site = await makeSite([noise(5 * pieceLength, 1)]);
  const [a] = await visitors(t, site, [0]);
  const peer = new Script(a!, 'peer', { v2: true });
  await a!.until(() => a!.connections === 1);
  const tree = new Tree(sha256);
  const { content } = site.files[0]!;
  const [request] = tree.layerRequests(content, pieceLength);
  const root = unhex(content.hash);
  peer.send({ type: 'hashRequest', ...request!, root });
  await a!.until(() => peer.of('hashes').length === 1);
  const layer = peer.of('hashes')[0]!.hashes.slice(0, 5 * 32);
  assert.ok(await tree.verifyLayer(content, pieceLength, layer));
  peer.send({ type: 'hashRequest', ...request!, root, index: 3 });
  peer.send({ type: 'hashRequest', ...request!, root, length: 0xffffffff });
  peer.send({ type: 'hashRequest', ...request!, root, base: 0 });
  peer.send({ type: 'hashRequest', ...request!, root: new Uint8Array(32) });
  await a!.until(() => peer.of('hashReject').length === 4);
});

test('no more peers than fit, each once, and never itself', async (t) => {
  const site = await makeSite([noise(100, 1)]);
  const [a] = await visitors(t, site, [0]);
  const first = new Script(a!, 'twin');
  const second = new Script(a!, 'twin');
  await a!.until(() => [first, second].some(({ channel }) => channel.readyState === 'closed'));
  for (let i = 0; i < 40; i++) new Script(a!, `peer${i}`);
  await a!.until(() => a!.connections === 30);
});

test('a content that has left the store is fetched again, and no longer given', async (t) => {
  const site = await makeSite([noise(100, 1), noise(100, 2)]);
  const [a, b] = await visitors(t, site, [0, 1], [0]);
  const { content, data } = site.files[0]!;
  await b!.store.delete(content);
  assert.equal((await b!.get(site.files[0]!).got).outcome, 'fail');
  connect(a!, b!);
  await served(b!, site);
  assert.deepEqual((await b!.get(site.files[0]!).got).data, data);
});

test('a new port ends what the old one asked for, and serves as before', async (t) => {
  const site = await makeSite([noise(4 * pieceLength, 1)]);
  const [a, b] = await visitors(t, site, [0], []);
  b!.fetch = origin(site, pieceLength);
  b!.consume = false;
  connect(a!, b!);
  await served(b!, site);
  const { id } = b!.get(site.files[0]!, { start: 0, end: 10 });
  await b!.until(() => b!.chunks(id) === 1);
  b!.get(site.files[0]!, { peersOnly: true, deadlineMs: 1e6 });
  b!.reconnect();
  await b!.begin(site);
  b!.consume = true;
  assert.deepEqual((await b!.get(site.files[0]!).got).data, site.files[0]!.data);
});

test('a page that is frozen keeps nothing open, and goes on when it is back', async (t) => {
  const site = await makeSite([noise(100_000, 1)]);
  const [a, b] = await visitors(t, site, [0], []);
  const silent = new Script(b!, 'silent');
  silent.send({ type: 'haveAll' });
  silent.send({ type: 'unchoke' });
  const { id } = b!.get(site.files[0]!);
  await b!.until(() => silent.of('request').length > 0);
  b!.host({ type: 'suspended' });
  await b!.until(() => b!.connections === 0);
  assert.equal(b!.core.memory.left, 32 << 20, 'nothing is being put together');
  assert.equal(b!.chunks(id), 0);
  b!.host({ type: 'resumed' });
  b!.reconnect();
  await b!.begin(site);
  connect(a!, b!);
  const { got } = b!.get(site.files[0]!);
  assert.deepEqual((await got).data, site.files[0]!.data);
});

test('in a crowd that has nothing, with offload, a request waits a little for the others to get it', async (t) => {
  const site = await makeSite([noise(20_000, 1)], { policy: { mode: 'auto', prefer: 'offload' } });
  const [a, b] = await visitors(t, site, [], []);
  connect(a!, b!);
  await b!.until(() => b!.connections === 1);
  const waited = b!.get(site.files[0]!);
  assert.equal((await waited.got).verdict, 'decline');
  t.mock.method(Math, 'random', () => 1);
  const { got } = b!.get(site.files[0]!);
  await a!.store.put(site.files[0]!.content, site.files[0]!.data);
  a!.post({ type: 'have', content: site.files[0]!.content });
  assert.deepEqual((await got).data, site.files[0]!.data);
});

test('in an outage a request waits for peers as long as it may, whoever is there', async (t) => {
  const site = await makeSite([noise(20_000, 1)], { policy: { mode: 'auto', prefer: 'offload' } });
  const [a, b] = await visitors(t, site, [], []);
  connect(a!, b!);
  await b!.until(() => b!.connections === 1);
  t.mock.method(Math, 'random', () => 0);
  const before = performance.now();
  assert.equal((await b!.get(site.files[0]!, { peersOnly: true, deadlineMs: 100 }).got).verdict, 'decline');
  assert.ok(performance.now() - before >= 95);
});

test('forgetting a snapshot closes its peers', async (t) => {
  const site = await makeSite([noise(100, 1)]);
  const [a] = await visitors(t, site, [0]);
  const peer = new Script(a!, 'peer');
  await a!.until(() => a!.connections === 1);
  a!.post({ type: 'forget', id: site.snapshot.id });
  await a!.until(() => peer.channel.readyState === 'closed' && a!.connections === 0);
  const unknown = { hash: '0'.repeat(64), size: 5, piece: 0 };
  assert.equal((await a!.get(site.files[0]!, { content: unknown, end: 5 }).got).verdict, 'decline');
});

test('what is being fetched is given on at once, in pieces of another torrent too', async (t) => {
  const data = noise(40 * pieceLength, 1);
  const old = await makeSite([noise(7, 9), data]);
  const other = 'c3'.repeat(20);
  const renewed = await makeSite([data], { pieceLength: 16384, hash: other });
  renewed.snapshot.id = '6'.repeat(64);
  const [a, b] = await visitors(t, old, [1], []);
  const [c] = await visitors(t, renewed, []);
  for (const visitor of [b!, c!]) {
    visitor.fetch = async (url, init) => {
      assert.ok(url.endsWith('.layer'), `fetches ${url}`);
      return origin(renewed, 16384)(url, init);
    };
  }
  // b knows both snapshots: it fetches in the one and gives in the other.
  b!.post({ type: 'rows', id: renewed.snapshot.id, root: renewed.snapshot.root, rows: renewed.snapshot.rows });
  await b!.get(old.files[0]!, { deadlineMs: 0 }).got;
  connect(a!, b!);
  connect(b!, c!, other);
  b!.consume = false;
  await b!.until(() => b!.core.holders(old.files[1]!.content, 0).count === 1);
  const stopped = b!.get(old.files[1]!, { start: 0, end: 20 * pieceLength });
  await b!.until(() => b!.counts.peers === 20 * pieceLength);
  await c!.until(() => c!.core.holders(renewed.files[0]!.content, 19 * pieceLength).count === 1);
  const got = await c!.get(renewed.files[0]!, { end: 20 * pieceLength }).got;
  assert.deepEqual(got.data, data.slice(0, 20 * pieceLength));
  assert.deepEqual(c!.counts, { origin: 0, peers: 20 * pieceLength, uploaded: 0 });
  b!.post({ type: 'cancel', id: stopped.id });
});

test('many megabytes pass with bounded memory', async (t) => {
  const site = await makeSite([noise(24 << 20, 1)], { pieceLength: 1 << 18 });
  const [a, b] = await visitors(t, site, [0], []);
  b!.fetch = origin(site, 1 << 18);
  connect(a!, b!);
  await served(b!, site);
  let least = Infinity;
  const watch = setInterval(() => (least = Math.min(least, b!.core.memory.left)), 1);
  const got = await b!.get(site.files[0]!, { deadlineMs: 1e6 }).got;
  clearInterval(watch);
  assert.equal(Buffer.compare(got.data, site.files[0]!.data), 0);
  assert.ok(least >= (32 << 20) - (6 << 20), `${least}`);
  await b!.until(() => b!.stored.length === 1);
  assert.equal(b!.core.memory.left, 32 << 20);
});

test('a page that pauses for a minute is not given up, peers that are silent for long are', async (t) => {
  const site = await makeSite([noise(8 << 20, 1), noise(10, 2)]);
  const [a, b] = await visitors(t, site, [0], []);
  b!.fetch = origin(site, pieceLength);
  connect(a!, b!);
  await served(b!, site);
  b!.consume = false;
  const { id, got } = b!.get(site.files[0]!, { end: 4 << 20, deadlineMs: 1e6 });
  await b!.until(() => b!.chunks(id) === 4 && b!.counts.peers + b!.counts.origin === 4 << 20);
  b!.skewMs = 60_000;
  // Declined by a timer that is longer than the engine's tick.
  await b!.get(site.files[1]!, { peersOnly: true, deadlineMs: 450 }).got;
  b!.consume = true;
  for (let i = 0; i < 4; i++) b!.post({ type: 'pull', id });
  assert.equal((await got).outcome, 'end');
  b!.skewMs = 300_000;
  await b!.until(() => b!.connections === 0);
});
