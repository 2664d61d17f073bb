import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { decodeTrackerMessage, encodeAnnounce, encodeAnswer, fromBinary, maxMessageLength, toBinary } from './signal.ts';

interface Described {
  infoHash: string;
  peerId: string;
  offerId: string;
  description: { type: string; sdp: string };
}
interface Reply {
  name: string;
  text: string;
  announced?: { infoHash: string; intervalSeconds: number; complete: number; incomplete: number };
  offer?: Described;
  answer?: Described;
  failure?: { reason: string; infoHash?: string };
  release?: { infoHashes: [string]; snapshot: string; root: string };
  told?: unknown;
  scraped?: unknown;
}
const url = new URL('../../../testdata/vectors/signal.json', import.meta.url);
const vectors = JSON.parse(readFileSync(url, 'utf8')) as { replies: Reply[]; refusedReplies: { name: string; text: string }[] };

for (const { name, text, announced, offer, answer, failure, release } of vectors.replies) {
  test(`reply: ${name}`, () => {
    const got = decodeTrackerMessage(text);
    const described = offer ?? answer;
    if (announced) {
      assert.equal(got?.type, 'announced');
      assert.equal(got.infoHash, announced.infoHash);
      assert.equal(got.intervalMs, announced.intervalSeconds * 1000);
      const counted = announced.complete + announced.incomplete;
      assert.equal(got.others, counted < 0 ? undefined : counted - 1);
    } else if (described) {
      const { infoHash, peerId, offerId, description } = described;
      assert.deepEqual(got, { type: description.type, infoHash, peerId, offerId, sdp: description.sdp });
    } else if (failure) {
      assert.deepEqual(got, { type: 'failure', ...(failure.infoHash && { infoHash: failure.infoHash }) });
    } else if (release) {
      const { infoHashes, snapshot, root } = release;
      assert.deepEqual(got, { type: 'release', infoHash: infoHashes[0], snapshot, ...(root && { root }) });
    } else {
      assert.equal(got, undefined, 'this client asks for no scrape, and publishes nothing');
    }
  });
}

for (const { name, text } of vectors.refusedReplies) {
  test(`refused reply: ${name}`, () => assert.equal(decodeTrackerMessage(text), undefined));
}

test('an over-long message is refused before it is parsed', () => {
  const text = JSON.stringify({ 'failure reason': 'x'.repeat(maxMessageLength) });
  assert.equal(decodeTrackerMessage(text), undefined);
});

test('cut and altered messages never throw', () => {
  for (const { text } of vectors.replies) {
    for (let i = 0; i < text.length; i += 3) {
      decodeTrackerMessage(text.slice(0, i));
      decodeTrackerMessage(`${text.slice(0, i)}0${text.slice(i + 1)}`);
    }
  }
});

test('binary strings hold every byte', () => {
  const hex = '000d1a2734414e5b6875828f9ca9b6c3d0ddeaff';
  assert.equal(fromBinary(toBinary(hex)), hex);
  assert.equal(fromBinary(toBinary(hex).slice(1)), undefined);
  assert.equal(fromBinary(`${toBinary(hex).slice(1)}\u0100`), undefined);
  assert.equal(fromBinary(20), undefined);
});

test('what we send is what clients send', () => {
  const [infoHash, peerId, id] = ['a5'.repeat(20), '2d'.repeat(20), 'ff'.repeat(20)] as const;
  const counts = { left: 1, uploaded: 2, downloaded: 3 };
  const first = JSON.parse(encodeAnnounce({ infoHash, peerId, event: 'started', ...counts, offers: [{ id, sdp: 'v=0' }] }));
  assert.deepEqual(first, {
    action: 'announce',
    info_hash: '\u00a5'.repeat(20),
    peer_id: '-'.repeat(20),
    event: 'started',
    ...counts,
    pk_release: true,
    numwant: 1,
    offers: [{ offer: { type: 'offer', sdp: 'v=0' }, offer_id: '\u00ff'.repeat(20) }],
  });
  const regular = JSON.parse(encodeAnnounce({ infoHash, peerId, ...counts, offers: [] }));
  assert.equal('event' in regular, false);
  const directed = JSON.parse(encodeAnnounce({ infoHash, peerId, ...counts, offers: [{ id, sdp: 'v=0', toPeerId: peerId }] }));
  assert.equal(directed.offers[0].to_peer_id, '-'.repeat(20));
  const answer = JSON.parse(encodeAnswer({ infoHash, peerId, toPeerId: peerId, offerId: id, sdp: 'v=0' }));
  assert.deepEqual(answer.answer, { type: 'answer', sdp: 'v=0' });
  assert.equal(answer.to_peer_id, '-'.repeat(20));
});
