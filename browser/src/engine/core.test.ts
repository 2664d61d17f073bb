import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unhex } from '../shared/bytes.ts';
import type { Message } from '../shared/wire.ts';
import { put } from '../store/writer.ts';
import { pieceLength, Script, seed, seeder, served, visitors } from './script.test.ts';
import { connect, infoHash, makeSite, noise, origin, scope, sha256 } from './testing.test.ts';
import { Tree } from './tree.ts';

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

test('what nobody has is in sight only while somebody is to come, and is had from them', async (t) => {
  const site = await makeSite([noise(50_000, 1)]);
  const [a] = await visitors(t, site, []);
  a!.known = 1;
  const { id } = a!.get(site.files[0]!);
  await a!.until(() => a!.expects.get(id) === true);
  a!.known = 0;
  await a!.until(() => a!.expects.get(id) === false);
  const patient = await makeSite([noise(50_000, 1)], { policy: { mode: 'auto', prefer: 'offload' } });
  const [b, c] = await visitors(t, patient, [], [0]);
  b!.known = 1;
  const { got } = b!.get(site.files[0]!);
  await b!.until(() => b!.wants.get(infoHash) === 30);
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
  const rejected = scripts[1]!.of('request').map(({ piece, begin }) => `${piece}:${begin}`);
  assert.equal(new Set(rejected).size, rejected.length, 'what was rejected was asked for again');
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

test('the web seed races a peer that delivers, if what is left would come too late', async (t) => {
  const site = await makeSite([noise(16 * 16384, 1)], { pieceLength: 16 * 16384 });
  const [file] = site.files;
  const fetch = async (deadlineMs: number): Promise<number> => {
    const [a] = await visitors(t, site, []);
    a!.fetch = origin(site, pieceLength);
    a!.post({ type: 'origin', latencyMs: 10, bytesPerMs: 10_000 });
    const slow = new Script(a!, 'slow');
    const answer = seeder(file!.data);
    const asked: Message[] = [];
    slow.reply = (message, send) => (message.type === 'request' ? asked.push(message) : answer(message, send));
    slow.send({ type: 'haveAll' });
    await served(a!, site);
    const { got } = a!.get(file!, { deadlineMs });
    // Takes 1.6 s in all.
    const blocks = setInterval(() => asked[0] && answer(asked.shift()!, (block) => slow.send(block)), 100);
    t.after(() => clearInterval(blocks));
    assert.deepEqual((await got).data, file!.data);
    return a!.counts.origin;
  };
  assert.deepEqual(await Promise.all([fetch(500), fetch(60_000)]), [file!.data.length, 0]);
});

test('what a peer leaves in the middle of a piece is completed by others, or by the web seed', async (t) => {
  const site = await makeSite([noise(2 * 16384, 1)]);
  for (const way of ['stalls', 'vanishes'] as const) {
    for (const other of ['peer', 'web seed'] as const) {
      const [a, b] = await visitors(t, site, [], [0]);
      if (other === 'web seed') a!.fetch = origin(site, pieceLength);
      const half = new Script(a!, 'half');
      const answer = seeder(site.files[0]!.data);
      half.reply = (message, send) => {
        const first = message.type !== 'request' || message.begin === 0;
        if (first) answer(message, send);
        else if (way === 'vanishes') half.channel.close();
      };
      half.send({ type: 'haveAll' });
      await served(a!, site);
      const { got } = a!.get(site.files[0]!, { peersOnly: other === 'peer' });
      await a!.until(() => half.of('request').length === 2);
      if (other === 'peer') connect(a!, b!);
      assert.deepEqual((await got).data, site.files[0]!.data);
      assert.equal(a!.core.memory.left, 16 << 20);
    }
  }
});

test('a seek is re-aimed at once, at peers and at the web seed, and what it left is abandoned', async (t) => {
  const size = 64 << 20;
  const site = await makeSite([new Uint8Array(size)], { pieceLength: 1 << 18 });
  const [a] = await visitors(t, site, []);
  const aborted: string[] = [];
  // An origin that never gets further than its headers.
  const layers = origin(site, 1 << 18);
  a!.fetch = async (url, init) => {
    if (url.endsWith('.layer')) return layers(url, init);
    const range = new Headers(init.headers).get('Range')!;
    const [start, end] = range.match(/\d+/g)!.map(Number);
    const body = new ReadableStream({
      start(controller) {
        init.signal!.addEventListener('abort', () => {
          aborted.push(range);
          controller.error(new Error('aborted'));
        });
      },
    });
    return new Response(body, { status: 206, headers: { 'Content-Range': `bytes ${start}-${end}/${size}` } });
  };
  const mute = new Script(a!, 'mute');
  // It holds the first half of the content.
  mute.reply = (message, send) => message.type === 'interested' && send({ type: 'unchoke' });
  mute.send({ type: 'bitfield', bits: new Uint8Array(32).fill(255, 0, 16) });
  await served(a!, site);
  const seek = async (to: number, before?: number): Promise<number> => {
    if (before !== undefined) a!.post({ type: 'cancel', id: before });
    const { id } = a!.get(site.files[0]!, { start: to, deadlineMs: 1e6 });
    return id;
  };
  const first = await seek(0);
  await a!.until(() => mute.of('request').length > 0);
  const asked = mute.of('request').length;
  const second = await seek(40 << 20, first);
  await a!.until(() => mute.of('cancel').length === asked);
  await a!.until(() => a!.fetched.some(({ range }) => range?.startsWith(`bytes=${40 << 20}-`)));
  const third = await seek(50 << 20, second);
  await a!.until(() => a!.fetched.some(({ range }) => range?.startsWith(`bytes=${50 << 20}-`)));
  assert.ok(aborted.some((range) => range.startsWith(`bytes=${40 << 20}-`)));
  a!.post({ type: 'cancel', id: third });
  await a!.until(() => aborted.some((range) => range.startsWith(`bytes=${50 << 20}-`)));
});

test('two hundred requests that wait cost little to look at', async (t) => {
  const site = await makeSite(Array.from({ length: 200 }, (_, i) => noise(40_000, i)));
  const [a] = await visitors(t, site, []);
  const others = Array.from({ length: 20 }, (_, i) => new Script(a!, `other ${i}`, { extended: true }));
  for (const script of others) {
    script.send({ type: 'haveNone' });
    script.send({ type: 'unchoke' });
  }
  await a!.until(() => a!.connections === 20);
  const ids = site.files.map((file) => a!.get(file).id);
  await a!.until(() => ids.every((id) => a!.expects.get(id) === false));
  const before = process.cpuUsage();
  for (const script of others) for (let i = 0; i < 100; i++) script.send({ type: 'have', piece: 399 });
  await a!.until(() => others.every(({ channel }) => channel.bufferedAmount === 0));
  const { user } = process.cpuUsage(before);
  t.diagnostic(`${user / 1000} ms`);
  assert.ok(user < 2e6, `${user} microseconds`);
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

test('a web seed that fails is asked last, until it has rested', async (t) => {
  const site = await makeSite([noise(20_000, 1), noise(20_000, 2), noise(20_000, 3)]);
  const mirror = 'https://mirror.test/';
  site.snapshot.root.webSeeds.push(mirror);
  const [a] = await visitors(t, site, []);
  const content = origin(site, pieceLength);
  let down = true;
  a!.fetch = async (url, init) => {
    if (url.startsWith(mirror)) return content(scope + url.slice(mirror.length), init);
    return down ? new Response('overloaded', { status: 503 }) : content(url, init);
  };
  const hosts = async (file: (typeof site.files)[number]): Promise<string[]> => {
    const quitter = new Script(a!, `quitter ${file.path[1]}`);
    quitter.reply = (message, send) => {
      if (message.type === 'interested') send({ type: 'unchoke' });
      if (message.type === 'request') quitter.channel.close();
    };
    quitter.send({ type: 'haveAll' });
    await served(a!, site);
    a!.fetched.length = 0;
    assert.deepEqual((await a!.get(file).got).data, file.data);
    return a!.fetched.map(({ url }) => (url.startsWith(mirror) ? 'mirror' : 'origin'));
  };
  assert.deepEqual(await hosts(site.files[0]!), ['origin', 'mirror']);
  assert.deepEqual(await hosts(site.files[1]!), ['mirror']);
  down = false;
  a!.skewMs += 2000;
  assert.deepEqual(await hosts(site.files[2]!), ['origin']);
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

test('in an outage a piece layer that no peer knows is waited for while others are to come', async (t) => {
  const site = await makeSite([noise(4 * pieceLength, 1)]);
  const [file] = site.files;
  // Who has the content, and speaks version 1 alone.
  const begin = async (deadlineMs: number) => {
    const [a, b] = await visitors(t, site, [0], []);
    b!.known = 1;
    const old = seed(new Script(b!, 'old'), file!.data);
    const { got } = b!.get(file!, { peersOnly: true, deadlineMs });
    await b!.until(() => old.of('request').length === 4 * pieceLength / 16384);
    return { a: a!, b: b!, old, got };
  };
  {
    const { a, b, old, got } = await begin(10_000);
    await b.get(file!, { start: 9, end: 9 }).got;
    connect(a, b);
    b.known = 0;
    assert.deepEqual((await got).data, file!.data);
    assert.equal(old.of('request').length, 4 * pieceLength / 16384, 'what had come is kept');
  }
  // Whom nobody comes to, or not in time, is told.
  {
    const { b, got } = await begin(10_000);
    b.known = 0;
    assert.equal((await got).outcome, 'fail');
  }
  for (const [deadlineMs, skewMs] of [[10_000, 11_000], [1e6, 13_000]] as const) {
    const { b, got } = await begin(deadlineMs);
    b.skewMs = skewMs;
    assert.equal((await got).outcome, 'fail');
  }
});

test('in an outage another host gives what peers do not, the origin is not asked, and a prefetch asks nobody', async (t) => {
  const site = await makeSite([noise(3 << 20, 1), noise(20_000, 2), noise(20_000, 3)]);
  const [large, small, later] = site.files;
  const mirror = 'https://mirror.test/';
  site.snapshot.root.webSeeds.push(mirror);
  const [a] = await visitors(t, site, []);
  const content = origin(site, pieceLength);
  a!.fetch = async (url, init) => {
    assert.ok(url.startsWith(mirror), url);
    return content(scope + url.slice(mirror.length), init);
  };
  const quitter = new Script(a!, 'quitter');
  const answer = seeder(large!.data);
  quitter.reply = (message, send) => {
    if (message.type === 'request' && message.piece > 9) quitter.channel.close();
    else answer(message, send);
  };
  quitter.send({ type: 'haveAll' });
  await served(a!, site);
  assert.deepEqual((await a!.get(large!, { peersOnly: true }).got).data, large!.data);
  assert.ok(a!.counts.peers > 0);
  const asked = a!.fetched.length;
  assert.equal((await a!.get(later!, { peersOnly: true, background: true, deadlineMs: 300 }).got).verdict, 'decline');
  assert.equal(a!.fetched.length, asked);
  // Nobody is known of any more, and in a while nobody is waited for.
  a!.clockRate = 20;
  assert.deepEqual((await a!.get(small!, { peersOnly: true, deadlineMs: 1e6 }).got).data, small!.data);
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
  await b!.until(() => b!.counts.peers + b!.counts.origin >= 2 << 20);
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

test('pads are zeros, and what is not held is rejected', async (t) => {
  const site = await makeSite([noise(100, 1), noise(100, 2)]);
  const [a] = await visitors(t, site, [0]);
  const peer = new Script(a!, 'peer');
  peer.send({ type: 'haveNone' });
  await a!.until(() => peer.of('unchoke').length === 1);
  assert.deepEqual(peer.of('bitfield')[0]!.bits, Uint8Array.of(0x80));
  peer.send({ type: 'request', piece: 0, begin: 0, length: 16384 });
  peer.send({ type: 'request', piece: 0, begin: 16384, length: 16384 });
  peer.send({ type: 'request', piece: 1, begin: 0, length: 16384 });
  peer.send({ type: 'request', piece: 0, begin: 32768, length: 1 });
  await a!.until(() => peer.of('reject').length === 2);
  const [first, pad] = peer.of('piece');
  assert.deepEqual(first!.block.subarray(0, 100), site.files[0]!.data);
  assert.ok(first!.block.subarray(100).every((byte) => byte === 0) && first!.block.length === 16384);
  assert.ok(pad!.block.every((byte) => byte === 0) && pad!.block.length === 16384);
  await a!.until(() => a!.counts.uploaded === 100);
});

test('uploads take turns: a newcomer is served while others have much to come, and those that do not read', async (t) => {
  const site = await makeSite([noise(4 << 20, 1)]);
  const [a] = await visitors(t, site, [0]);
  const greedy = Array.from({ length: 8 }, (_, i) => new Script(a!, `greedy ${i}`));
  for (const script of greedy) {
    script.send({ type: 'haveNone' });
    // Nothing that is sent to it arrives.
    script.channel.other!.frozen = true;
  }
  await a!.until(() => a!.connections === 8);
  for (const script of greedy) {
    for (let i = 0; i < 128; i++) script.send({ type: 'request', piece: i, begin: 0, length: 16384 });
  }
  const newcomer = new Script(a!, 'newcomer');
  newcomer.send({ type: 'request', piece: 100, begin: 0, length: 16384 });
  await a!.until(() => newcomer.of('piece').length === 1);
  for (const { channel } of greedy) assert.ok(channel.other!.bufferedAmount < 1.2 * 2 ** 20, 'no more than fits');
  for (const { channel } of greedy) channel.other!.thaw();
  await a!.until(() => greedy.every((script) => script.of('piece').length === 128));
});

test('a flood of requests is rejected beyond the queue, and the rest is served', async (t) => {
  const site = await makeSite([noise(40 * pieceLength, 1)]);
  const [a] = await visitors(t, site, [0]);
  const flood = new Script(a!, 'flood');
  flood.channel.other!.frozen = true;
  await a!.until(() => a!.connections === 1);
  for (let i = 0; i < 2000; i++) flood.send({ type: 'request', piece: i % 40, begin: 0, length: 16384 });
  await a!.until(() => flood.channel.bufferedAmount === 0);
  flood.channel.other!.thaw();
  await a!.until(() => flood.of('piece').length + flood.of('reject').length === 2000);
  const served = flood.of('piece').length;
  assert.ok(served >= 256 && served < 400, `${served}`);
});

test('a store that somebody tampered with is not uploaded from', async (t) => {
  const site = await makeSite([noise(3 * pieceLength, 1), noise(10, 2)]);
  const [a] = await visitors(t, site, [0, 1]);
  for (const { content, data } of site.files) {
    await a!.store.delete(content);
    await put(a!.store, content, data.map((byte) => byte ^ 1));
  }
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
    'extension of another torrent': (script) => script.fetching(true, [{ first: 1, count: 2 }]),
    'a claim that is renewed': (script) => {
      const run = { first: 1, count: 1 };
      script.fetching(true, [run]);
      script.fetching(true, [run]);
    },
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

test('the worker is woken when a peer comes or goes, and told how many there are', async (t) => {
  const site = await makeSite([noise(16384, 1)]);
  const [a, b] = await visitors(t, site, [0], []);
  assert.deepEqual(a!.toHost, ['beat'], 'it runs');
  connect(a!, b!);
  await a!.until(() => a!.connections === 1);
  const wakes = (): number => a!.toHost.filter((type) => type === 'wake').length;
  assert.equal(wakes(), 1);
  b!.close();
  // The worker that was stopped hears nothing, and the one that is started asks anew.
  await a!.until(() => wakes() === 2);
  a!.reconnect();
  await a!.until(() => a!.connections === 0);
});

test("a port that another takes the place of is the worker's to close", async (t) => {
  const site = await makeSite([noise(16384, 1)]);
  const [a] = await visitors(t, site, [0]);
  const old = a!.port as unknown as EventTarget;
  let closed = false;
  old.addEventListener('close', () => (closed = true));
  const { port1, port2 } = new MessageChannel();
  const told = new Promise((resolve) => (port1.onmessage = resolve));
  a!.host({ type: 'port', port: port2 });
  await told;
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  assert.equal(closed, false);
  port1.close();
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

test('a core that is stopped keeps nothing open, and answers nobody', async (t) => {
  const site = await makeSite([noise(100_000, 1)]);
  const [, b] = await visitors(t, site, [0], []);
  const silent = new Script(b!, 'silent');
  silent.send({ type: 'haveAll' });
  silent.send({ type: 'unchoke' });
  const { id } = b!.get(site.files[0]!);
  await b!.until(() => silent.of('request').length > 0);
  b!.host({ type: 'stop' });
  assert.equal(b!.core.connections, 0);
  assert.equal(b!.core.memory.left, 16 << 20, 'nothing is being put together');
  assert.equal(b!.chunks(id), 0);
});

test('a request stands, and is served once a peer has the content', async (t) => {
  for (const prefer of ['speed', 'offload'] as const) {
    const site = await makeSite([noise(20_000, 1)], { policy: { mode: 'auto', prefer } });
    const [a, b] = await visitors(t, site, [], []);
    connect(a!, b!);
    await b!.until(() => b!.connections === 1);
    const { id, got } = b!.get(site.files[0]!, { deadlineMs: 0 });
    await b!.until(() => b!.expects.get(id) === false);
    await put(a!.store, site.files[0]!.content, site.files[0]!.data);
    a!.post({ type: 'have', content: site.files[0]!.content });
    assert.deepEqual((await got).data, site.files[0]!.data);
  }
});

test('what is large is had piece by piece as soon as there is somebody to share it with', async (t) => {
  const site = await makeSite([noise(6 << 20, 1)], { pieceLength: 1 << 16 });
  const [a, b] = await visitors(t, site, [], []);
  for (const visitor of [a!, b!]) visitor.fetch = origin(site, 1 << 16);
  const alone = a!.get(site.files[0]!);
  await a!.until(() => a!.expects.get(alone.id) === false);
  connect(a!, b!);
  const both = await Promise.all([alone.got, b!.get(site.files[0]!).got]);
  for (const { data } of both) assert.deepEqual(data, site.files[0]!.data);
  assert.equal(a!.counts.origin + a!.counts.peers, 6 << 20);
  for (const { range } of a!.fetched) {
    const [start, end] = range?.match(/\d+/g)?.map(Number) ?? [];
    assert.ok(range === null || end! - start! >= 1 << 20 || end === (6 << 20) - 1, `asks for ${range}`);
  }
});

test('a web seed is asked for each byte once, however fast it is', async (t) => {
  const site = await makeSite([noise(1_200_000, 1)]);
  const file = site.files[0]!;
  const [a] = await visitors(t, site, []);
  a!.fetch = origin(site, pieceLength);
  new Script(a!, 'empty-handed').send({ type: 'haveNone' });
  await a!.until(() => a!.core.connections > 0);
  for (const [start, end] of [[300_000, 400_000], [0, 1_200_000]] as const) {
    assert.deepEqual((await a!.get(file, { start, end }).got).data, file.data.slice(start, end));
  }
  const ranges = a!.fetched.map(({ range }) => range).filter((range) => range !== null);
  assert.deepEqual(ranges, ['bytes=294912-425983', 'bytes=0-294911', 'bytes=425984-1199999']);
});

test('a prefetch comes from peers alone, and gives way to what the page asks for', async (t) => {
  const site = await makeSite([noise(pieceLength, 1), noise(pieceLength, 2)]);
  const [a] = await visitors(t, site, []);
  a!.fetch = origin(site, pieceLength);
  const holder = new Script(a!, 'holder');
  const answer = seeder(new Uint8Array(Buffer.concat(site.files.map(({ data }) => data))));
  // Nothing is given before the page's own request has been heard.
  holder.reply = (message, send) => {
    if (message.type !== 'request' || holder.of('request').some(({ piece }) => piece === 1)) answer(message, send);
  };
  holder.send({ type: 'haveAll' });
  await served(a!, site);
  const later = a!.get(site.files[0]!, { background: true, deadlineMs: 1e6 });
  await a!.until(() => holder.of('request').length === 2);
  const now = a!.get(site.files[1]!, { peersOnly: true });
  assert.deepEqual((await now.got).data, site.files[1]!.data);
  assert.equal(holder.of('cancel').length, 2, 'what was asked for is taken back');
  assert.deepEqual((await later.got).data, site.files[0]!.data);
  assert.equal(a!.counts.origin, 0);
});

test('a few contents at a time are prefetched; those given up in the midst leave the others alone', async (t) => {
  const site = await makeSite(Array.from({ length: 9 }, (_, i) => noise(60_000, i + 1)));
  const [a, b] = await visitors(t, site, site.files.map((_, i) => i), []);
  connect(a!, b!);
  await served(b!, site);
  const gets = site.files.map((file) => b!.get(file, { background: true, deadlineMs: 1e6 }));
  for (const { id } of gets.slice(3)) {
    await b!.until(() => b!.verdict(id) === 'accept');
    b!.post({ type: 'cancel', id });
  }
  for (const [i, { got }] of gets.slice(0, 3).entries()) assert.deepEqual((await got).data, site.files[i]!.data);
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

test('what a peer says it is fetching is waited for, and comes from it', async (t) => {
  for (const prefer of ['speed', 'offload'] as const) {
    const site = await makeSite([noise(20_000, 1), noise(90_000, 2)], { policy: { mode: 'auto', prefer } });
    const [a, b] = await visitors(t, site, [], []);
    const [before, after] = site.files;
    a!.post({ type: 'fetching', content: before!.content, active: true });
    await a!.get(before!, { start: 9, end: 9 }).got;
    connect(a!, b!);
    const told = b!.get(before!);
    await b!.until(() => b!.expects.get(told.id) === true);
    const later = b!.get(after!);
    await b!.until(() => b!.expects.get(later.id) === false);
    a!.post({ type: 'fetching', content: after!.content, active: true });
    await b!.until(() => b!.expects.get(later.id) === true);
    a!.post({ type: 'fetching', content: after!.content, active: false });
    await b!.until(() => b!.expects.get(later.id) === false);
    for (const { content, data } of site.files) {
      await put(a!.store, content, data);
      a!.post({ type: 'have', content });
    }
    assert.deepEqual((await told.got).data, before!.data);
    assert.deepEqual((await later.got).data, after!.data);
    assert.deepEqual(b!.fetched, []);
  }
});

test('the web seed leaves to a peer what it is fetching, until the peer ends it, leaves or takes too long', async (t) => {
  const size = 8 * pieceLength;
  const policy = { mode: 'auto', prefer: 'offload', prefetch: 0 } as const;
  const site = await makeSite([noise(size, 1), noise(10, 2)], { policy });
  for (const way of ['end', 'leave', 'late'] as const) {
    const [a] = await visitors(t, site, []);
    a!.fetch = origin(site, pieceLength);
    const holder = new Script(a!, 'holder');
    holder.reply = seeder(site.files[0]!.data);
    holder.send({ type: 'bitfield', bits: Uint8Array.of(0xf0, 0) });
    const fetcher = new Script(a!, 'fetcher', { extended: true });
    fetcher.fetching(true, [{ first: 4, count: 4 }]);
    await served(a!, site);
    const { got } = a!.get(site.files[0]!);
    await a!.until(() => a!.counts.peers + a!.counts.origin === size / 2);
    // Looked at by a timer that is longer than the engine's tick.
    await a!.get(site.files[1]!, { peersOnly: true, deadlineMs: 450 }).got;
    assert.equal(a!.counts.peers + a!.counts.origin, size / 2);
    if (way === 'end') fetcher.fetching(false, [{ first: 4, count: 4 }]);
    else if (way === 'leave') fetcher.channel.close();
    else a!.skewMs += 5000;
    assert.deepEqual((await got).data, site.files[0]!.data);
    assert.ok(a!.counts.origin >= size / 2);
    if (way === 'late') continue;
    assert.deepEqual(holder.of('extended'), [], 'told to nobody who does not ask');
    if (way !== 'end') continue;
    await a!.until(() => fetcher.told().length === 2);
    assert.deepEqual(fetcher.told(), [[true, 4, 4], [false, 4, 4]]);
  }
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
  await b!.get(old.files[0]!, { start: 9, end: 9 }).got;
  connect(a!, b!);
  connect(b!, c!, other);
  b!.consume = false;
  await b!.until(() => b!.core.sources(old.files[1]!.content)(0).holders.length === 1);
  const stopped = b!.get(old.files[1]!, { start: 0, end: 20 * pieceLength });
  await b!.until(() => b!.counts.peers === 20 * pieceLength);
  await c!.until(() => c!.core.sources(renewed.files[0]!.content)(19 * pieceLength).holders.length === 1);
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
  assert.ok(least >= (16 << 20) - (9 << 20), `${least}`);
  await b!.until(() => b!.stored.length === 1);
  assert.equal(b!.core.memory.left, 16 << 20);
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
