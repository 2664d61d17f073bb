/** What engines tell each other of releases; the workers, who judge, are played by the tests. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { hex } from '../shared/bytes.ts';
import { decodeNews, encodeExtended, encodeNews, maxPartBytes, releaseId, type News } from '../shared/extended.ts';
import { maxSignedBytes } from '../shared/messages.ts';
import { encode, encodeHandshake, Reader, type Bytes } from '../shared/wire.ts';
import { unhex } from '../shared/bytes.ts';
import { asLink, channelPair, connect, infoHash, makeSite, noise, Visitor, type FakeChannel } from './testing.test.ts';

const idOf = (n: number): string => String(n).padStart(64, '0');

async function visitor(t: TestContext): Promise<Visitor> {
  const site = await makeSite([noise(100, 1)]);
  const one = await new Visitor().begin(site, site.files);
  t.after(() => one.close());
  await one.until(() => one.wants.size > 0);
  return one;
}

/** The worker's word: release `n`, signed if it has a number. */
function newest(one: Visitor, n: number, sequence = 0, above = sequence || Infinity, root: Bytes = noise(10, n)): void {
  const bytes = sequence ? root.slice().buffer : new ArrayBuffer(0);
  one.post({ type: 'newest', snapshot: idOf(n), sequence, root: bytes, above });
}

/** A peer played by the test. */
class Teller {
  readonly heard: News[] = [];
  readonly channel: FakeChannel;
  readonly id: string;

  constructor(one: Visitor, name: string) {
    const [mine, theirs] = channelPair();
    this.channel = mine;
    mine.binaryType = 'arraybuffer';
    const reader = new Reader(1 << 20);
    mine.onmessage = ({ data }) => {
      for (const message of reader.push(new Uint8Array(data as ArrayBuffer))) {
        if (message.type === 'extended' && message.id === releaseId) this.heard.push(decodeNews(message.payload));
      }
    };
    one.onLink!(asLink(theirs, name));
    const peerId = new TextEncoder().encode(name.padEnd(20, '-'));
    this.id = hex(peerId);
    mine.send(encodeHandshake({ infoHash: unhex(infoHash), peerId, extended: true, fast: true, v2: false }));
    mine.send(encode({ type: 'extended', id: 0, payload: encodeExtended(250) }));
  }

  say(message: News): void {
    this.channel.send(encode({ type: 'extended', id: releaseId, payload: encodeNews(message) }));
  }
  tell(n: number, sequence: number): void {
    this.say({ type: 'newest', snapshot: idOf(n), sequence });
  }
  hand(root: Bytes, step = maxPartBytes): void {
    for (let at = 0; at < root.length; at += step) {
      this.say({ type: 'part', last: at + step >= root.length, data: root.slice(at, at + step) });
    }
  }
  asked(): number {
    return this.heard.filter(({ type }) => type === 'ask').length;
  }
}

test('the newest release is told to who connects, and when it changes', async (t) => {
  const [a, b] = [await visitor(t), await visitor(t)];
  newest(a, 2);
  newest(b, 1);
  connect(a, b);
  await b.until(() => b.releases.length > 0);
  assert.deepEqual(b.releases[0], { type: 'release', snapshot: idOf(2), from: 'peer', by: hex(a.core.peerId) });
  newest(b, 2);
  b.skewMs = a.skewMs = 10_000;
  newest(a, 3);
  await b.until(() => b.releases.length > 1);
  assert.equal(b.releases[1]!.snapshot, idOf(3));
});

test('a signed root is handed over whole to who has an older one, and only to them', async (t) => {
  const root = noise(5 * maxPartBytes + 7, 9);
  const [a, b] = [await visitor(t), await visitor(t)];
  newest(a, 2, 6, 6, root);
  newest(b, 1, 5);
  connect(a, b);
  await b.until(() => b.releases.length > 0);
  const { root: handed, ...rest } = b.releases[0]!;
  assert.deepEqual(rest, { type: 'release', snapshot: idOf(2), from: 'peer', by: hex(a.core.peerId) });
  assert.deepEqual(new Uint8Array(handed!), root);
  assert.deepEqual(a.releases, []);
});

test('one root is asked for at a time, and the next when the worker has judged', async (t) => {
  const one = await visitor(t);
  newest(one, 1, 5);
  const [first, second] = [new Teller(one, 'first'), new Teller(one, 'second')];
  first.tell(2, 6);
  await one.until(() => first.asked() === 1);
  second.tell(2, 6);
  first.hand(noise(10, 1));
  await one.until(() => one.releases.length === 1);
  assert.equal(second.asked(), 0);
  one.post({ type: 'bogus', by: first.id });
  await one.until(() => second.asked() === 1);
  second.hand(noise(10, 2));
  await one.until(() => one.releases.length === 2);
  newest(one, 2, 6);
  // Who was wrong once is not listened to again; who was right is.
  first.tell(3, 7);
  second.tell(3, 7);
  await one.until(() => second.asked() === 2);
  assert.equal(first.asked(), 1);
  assert.equal(first.channel.readyState, 'open', 'it is not banned for that');
});

test('numbers that are not higher, and what nobody has signed yet, cost nothing', async (t) => {
  const one = await visitor(t);
  newest(one, 1, 5, 8);
  const teller = new Teller(one, 'teller');
  for (const sequence of [5, 1, 8]) teller.tell(2, sequence);
  teller.tell(3, 9);
  await one.until(() => teller.asked() > 0);
  assert.equal(teller.asked(), 1);
  assert.deepEqual(one.releases, []);
});

test('without a key no root is asked for, and what is told is passed on a few times a minute', async (t) => {
  const one = await visitor(t);
  newest(one, 1);
  const teller = new Teller(one, 'teller');
  for (let n = 2; n < 50; n++) teller.tell(n, n);
  await one.until(() => one.releases.length === 1 && teller.channel.bufferedAmount === 0);
  one.skewMs += 5_000;
  await one.until(() => one.releases.length === 2);
  assert.equal(one.releases[1]!.snapshot, idOf(49));
  assert.equal(teller.asked(), 0);
  one.post({ type: 'bogus', by: teller.id });
  one.skewMs += 60_000;
  const other = new Teller(one, 'other');
  teller.tell(90, 1);
  other.tell(50, 0);
  await one.until(() => one.releases.length === 3);
  assert.equal(one.releases[2]!.by, other.id);
});

test('a root that is too large ends the connection; one that stops half-way is given up', async (t) => {
  const one = await visitor(t);
  newest(one, 1, 5);
  const large = new Teller(one, 'large');
  large.tell(2, 6);
  await one.until(() => large.asked() === 1);
  for (let sent = 0; sent <= maxSignedBytes; sent += maxPartBytes) {
    if (large.channel.readyState === 'open') large.say({ type: 'part', last: false, data: noise(maxPartBytes, 1) });
  }
  await one.until(() => large.channel.readyState === 'closed');
  const slow = new Teller(one, 'slow');
  slow.tell(2, 6);
  await one.until(() => slow.asked() === 1);
  slow.say({ type: 'part', last: false, data: noise(10, 1) });
  const other = new Teller(one, 'other');
  other.tell(2, 6);
  one.skewMs += 31_000;
  await one.until(() => other.asked() === 1);
  slow.hand(noise(10, 1)); // too late
  other.hand(noise(20, 2), 7);
  await one.until(() => one.releases.length === 1);
  assert.deepEqual(new Uint8Array(one.releases[0]!.root!), noise(20, 2));
});

test('a peer that leaves while it hands a root over makes room for another', async (t) => {
  const one = await visitor(t);
  newest(one, 1, 5);
  const [first, second] = [new Teller(one, 'first'), new Teller(one, 'second')];
  first.tell(2, 6);
  await one.until(() => first.asked() === 1);
  second.tell(2, 6);
  first.say({ type: 'part', last: false, data: noise(10, 1) });
  first.channel.close();
  await one.until(() => second.asked() === 1);
});

test('who asks again and again is given a root three times, and nothing where there is none', async (t) => {
  const one = await visitor(t);
  newest(one, 2, 6);
  const teller = new Teller(one, 'teller');
  await one.until(() => teller.heard.length === 1);
  for (let i = 0; i < 10; i++) teller.say({ type: 'ask' });
  await one.until(() => teller.channel.bufferedAmount === 0);
  newest(one, 3);
  teller.say({ type: 'ask' });
  await one.until(() => teller.heard.some((message) => message.type === 'newest' && message.snapshot === idOf(3)));
  newest(one, 4, 7);
  await one.until(() => teller.heard.some((message) => message.type === 'newest' && message.snapshot === idOf(4)));
  assert.equal(teller.heard.filter(({ type }) => type === 'part').length, 3);
});

test('a worker that was restarted is told again', async (t) => {
  const one = await visitor(t);
  newest(one, 1);
  const teller = new Teller(one, 'teller');
  teller.tell(2, 0);
  await one.until(() => one.releases.length === 1);
  one.skewMs += 5_000;
  one.reconnect();
  newest(one, 1);
  await one.until(() => one.releases.length === 2);
});
