import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Introduction, Meet } from '../shared/extended.ts';
import { Introductions } from './introductions.ts';
import type { Peer } from './peer.ts';
import type { ToHost } from './rtc.ts';

const infoHash = 'aa'.repeat(20);
const offerId = 'cc'.repeat(20);
const id = (n: number): string => n.toString(16).padStart(40, '0');
const text = (data: Uint8Array): string => new TextDecoder().decode(data);
const bytes = (data: string) => new TextEncoder().encode(data);

interface FakePeer {
  peer: Peer;
  heard: Meet[];
  channel: { bufferedAmount: number };
}

function setUp() {
  const posted: ToHost[] = [];
  const own = new Set([id(0)]);
  const clock = { now: 0 };
  const introductions = new Introductions({
    infoHash,
    now: () => clock.now,
    knows: (peerId) => own.has(peerId),
    post: (message) => void posted.push(message),
  });
  function connect(n: number): FakePeer {
    const heard: Meet[] = [];
    const channel = { bufferedAmount: 0 };
    const introduce = (message: Meet): void => void heard.push(message);
    const peer = { id: id(n), link: { id: `link ${n}`, channel }, introduce } as unknown as Peer;
    own.add(peer.id);
    introductions.met(peer);
    return { peer, heard, channel };
  }
  function leave({ peer }: FakePeer): void {
    own.delete(peer.id);
    introductions.lost(peer);
  }
  const later = (ms: number): void => {
    clock.now += ms;
    introductions.tick();
  };
  const strangers = () => posted.flatMap((message) => (message.type === 'strangers' ? [message.peers] : []));
  return { introductions, posted, connect, leave, later, strangers };
}

const offer = (to: number, sdp = 'v=0'): Introduction => ({ type: 'offer', peerId: id(to), id: offerId, sdp: bytes(sdp) });

test('a peer is told at once whom else we know, and others later, together', () => {
  const { connect, leave, later, posted } = setUp();
  const [a, b] = [connect(1), connect(2)];
  assert.deepEqual(b.heard, [{ type: 'peers', met: [id(1)], lost: [] }]);
  later(0);
  a.heard.length = 0;
  const c = connect(3);
  leave(b);
  later(4_999);
  assert.deepEqual(a.heard, []);
  later(1);
  assert.deepEqual(a.heard, [{ type: 'peers', met: [id(3)], lost: [id(2)] }]);
  assert.equal(c.heard.length, 2);
  later(5_000);
  assert.equal(a.heard.length, 1, 'nothing is said of nothing');
  assert.deepEqual(posted[0], { type: 'acquainted', infoHash, id: 'link 1' });
});

test('of many peers few are told', () => {
  const { connect } = setUp();
  for (let n = 1; n <= 80; n++) connect(n);
  const [message] = connect(99).heard;
  assert.equal(message?.type === 'peers' && message.met.length, 50);
});

test('a description is passed on to whom it is for, from who sent it', () => {
  const { introductions, connect, posted } = setUp();
  const [a, b, c] = [connect(1), connect(2), connect(3)];
  for (const { heard } of [a, b, c]) heard.length = 0;
  posted.length = 0;
  introductions.heard(a.peer, offer(2));
  const { sdp } = offer(2);
  assert.deepEqual(b.heard, [{ type: 'offered', peerId: id(1), id: offerId, sdp }]);
  introductions.heard(b.peer, { type: 'answer', peerId: id(1), id: offerId, sdp });
  assert.deepEqual(a.heard, [{ type: 'answered', peerId: id(2), id: offerId, sdp }]);
  introductions.heard(a.peer, offer(7)); // nobody we know
  introductions.heard(a.peer, offer(1)); // itself
  introductions.heard(a.peer, offer(0)); // ourselves
  assert.deepEqual([c.heard, posted], [[], []]);
  b.channel.bufferedAmount = 3 << 20;
  introductions.heard(a.peer, offer(2));
  assert.equal(b.heard.length, 1, 'who does not read is not given more');
});

test('what was passed on goes to the host and no further, and nobody speaks for another of himself', () => {
  const { introductions, connect, posted } = setUp();
  const [a, b] = [connect(1), connect(2)];
  [a, b].forEach(({ heard }) => (heard.length = 0));
  posted.length = 0;
  for (const type of ['offered', 'answered', 'spare', 'agreed'] as const) {
    introductions.heard(a.peer, { type, peerId: id(2), id: offerId, sdp: bytes('é') });
  }
  assert.deepEqual(b.heard, []);
  assert.deepEqual(
    posted.map((message) => message.type === 'introduced' && [message.introduced.type, message.introduced.peerId]),
    [['offered', id(2)], ['answered', id(2)], ['spare', id(1)], ['agreed', id(1)]],
  );
  assert.deepEqual(posted[0], {
    type: 'introduced',
    introduced: { infoHash, via: 'link 1', type: 'offered', peerId: id(2), id: offerId, sdp: 'é' },
  });
});

test('of a flood few messages are heeded, and more with time', () => {
  const { introductions, connect, later } = setUp();
  const [a, b] = [connect(1), connect(2)];
  b.heard.length = 0;
  for (let i = 0; i < 1000; i++) introductions.heard(a.peer, offer(2, 'x'.repeat(16_000)));
  assert.equal(b.heard.length, 64);
  later(499);
  introductions.heard(a.peer, offer(2));
  assert.equal(b.heard.filter(({ type }) => type === 'offered').length, 64);
  later(2_001);
  for (let i = 0; i < 10; i++) introductions.heard(a.peer, offer(2));
  assert.equal(b.heard.filter(({ type }) => type === 'offered').length, 69);
});

test('strangers are counted once, and forgotten with who knows them', () => {
  const { introductions, connect, leave, strangers } = setUp();
  const [a, b] = [connect(1), connect(2)];
  introductions.heard(a.peer, { type: 'peers', met: [id(0), id(2), id(8), id(9)], lost: [] });
  introductions.heard(b.peer, { type: 'peers', met: [id(9)], lost: [] });
  assert.deepEqual(strangers(), [2]);
  introductions.heard(a.peer, { type: 'peers', met: [], lost: [id(9)] });
  assert.deepEqual(strangers(), [2], 'the other one still knows it');
  introductions.heard(a.peer, { type: 'peers', met: [], lost: [id(2)] });
  leave(b);
  connect(8);
  assert.deepEqual(strangers(), [2, 1, 0]);
  for (let i = 0; i < 50; i++) {
    introductions.heard(a.peer, { type: 'peers', met: [1, 2, 3, 4].map((n) => id(100 * n + i)), lost: [] });
  }
  assert.ok(strangers().at(-1)! <= 50);
});

test('each offer goes to another stranger, by who knows it', () => {
  const { introductions, connect } = setUp();
  const [a, b] = [connect(1), connect(2)];
  introductions.heard(a.peer, { type: 'peers', met: [id(7)], lost: [] });
  introductions.heard(b.peer, { type: 'peers', met: [id(8)], lost: [] });
  [a, b].forEach(({ heard }) => (heard.length = 0));
  introductions.offer(['1', '2', '3'].map((n) => ({ id: n.repeat(40), sdp: n })));
  const said = [...a.heard, ...b.heard] as Introduction[];
  assert.deepEqual(said.map(({ type, peerId }) => [type, peerId]), [['offer', id(7)], ['offer', id(8)]]);
  assert.notEqual(text(said[0]!.sdp), text(said[1]!.sdp));
  introductions.say({ infoHash, via: 'link 2', type: 'answer', peerId: id(8), id: offerId, sdp: 'ä' });
  introductions.say({ infoHash, via: 'gone', type: 'answer', peerId: id(8), id: offerId, sdp: 'ä' });
  assert.deepEqual(b.heard.at(-1), { type: 'answer', peerId: id(8), id: offerId, sdp: bytes('ä') });
  assert.equal(b.heard.length, 2);
});
