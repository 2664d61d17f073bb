import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode, encodeHandshake, Reader, type Bytes } from '../shared/wire.ts';
import { Peer, type PeerOwner } from './peer.ts';
import { asLink, FakeChannel } from './testing.test.ts';

const peerId = new Uint8Array(20).fill(7);
const infoHash = new Uint8Array(20).fill(8);
const none = (): void => {};
const theirs = encodeHandshake({ infoHash, peerId: new Uint8Array(20).fill(9), extended: true, fast: true, v2: true });

const ownerAt = (now: () => number): PeerOwner => ({
  ...{ pieces: 4, peerId, infoHash, now, gained: none, free: none, block: none, serve: none },
  ...{ hashes: none, closed: none, curious: none, fetching: none, news: none, introduced: none },
  ready(peer) {
    peer.send({ type: 'haveNone' });
    return true;
  },
});

test('what comes before a channel opens is taken, and what goes waits for it', async () => {
  const channel = new FakeChannel();
  channel.readyState = 'connecting';
  const owner = ownerAt(() => 0);
  const peer = new Peer(asLink(channel, '1'.repeat(40)), owner);
  channel.onmessage!({ data: theirs.slice().buffer });
  channel.onmessage!({ data: encode({ type: 'have', piece: 3 }).slice().buffer });
  await Promise.resolve();
  assert.equal(peer.ready, true);
  assert.equal(peer.pieces.has(3), true);
  const sent: Bytes[] = [];
  channel.tap = (data) => (sent.push(data), data);
  channel.readyState = 'open';
  channel.onopen!();
  const reader = new Reader(1024);
  const types = sent.flatMap((data) => [...reader.push(data)]).map(({ type }) => type);
  assert.deepEqual(types, ['handshake', 'haveNone', 'extended']);
  assert.equal(sent[0]!.length, theirs.length, 'WebTorrent misses what comes with the handshake');
  peer.close();
});

test('a channel speaks though the event was missed that it is open, and is closed if it never opens', () => {
  for (const opens of [true, false]) {
    let now = 0;
    const channel = new FakeChannel();
    channel.readyState = 'connecting';
    const peer = new Peer(asLink(channel, '1'.repeat(40)), ownerAt(() => now));
    channel.onmessage!({ data: theirs.slice().buffer });
    peer.tick();
    const sent: Bytes[] = [];
    channel.tap = (data) => (sent.push(data), data);
    if (opens) channel.readyState = 'open';
    peer.tick();
    assert.equal(sent.length > 0, opens);
    now = 6_001;
    peer.tick();
    assert.equal(peer.closed, !opens);
    peer.close();
  }
});

test('that we have got a piece is told at once to who lacks it, and others when there is something else to say', async () => {
  const channel = new FakeChannel();
  const peer = new Peer(asLink(channel, '1'.repeat(40)), ownerAt(() => 0));
  channel.onmessage!({ data: theirs.slice().buffer });
  channel.onmessage!({ data: encode({ type: 'have', piece: 3 }).slice().buffer });
  await Promise.resolve();
  let sent = 0;
  channel.tap = (data) => (sent++, data);
  peer.have(3);
  await Promise.resolve();
  assert.equal(sent, 0);
  peer.have(2);
  await Promise.resolve();
  assert.equal(sent, 1);
  peer.have(3);
  await Promise.resolve();
  assert.equal(sent, 1);
  peer.tick();
  assert.equal(sent, 2, 'or after a while');
  peer.close();
});
