import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { fromBinary, toBinary } from '../shared/signal.ts';
import type { Progress } from './announcer.ts';
import { createConnector } from './connector.ts';
import type { FromHost, Link, ToHost } from './rtc.ts';

const infoHash = 'aa'.repeat(20);
const own = '50'.repeat(20);
const lower = '40'.repeat(20);
const higher = '60'.repeat(20);
const url = 'ws://tracker.test/';
const media = 'm=application 9 UDP/DTLS/SCTP webrtc-datachannel';
const sdp = ['v=0', media, 'a=candidate:1 1 udp 1 10.0.0.1 9 typ host', ''].join('\r\n');

interface Sent {
  event?: string;
  left?: number;
  numwant?: number;
  offers?: { offer_id: string }[];
  answer?: unknown;
  to_peer_id?: string;
}

/** A WebSocket whose other end is the test; misuse fails the test. */
class FakeSocket {
  static all: FakeSocket[] = [];
  static get last(): FakeSocket {
    return FakeSocket.all.at(-1)!;
  }
  readyState = 0;
  bufferedAmount = 0;
  sent: Sent[] = [];
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  readonly url: string;
  constructor(at: string) {
    this.url = at;
    FakeSocket.all.push(this);
  }
  send(text: string): void {
    assert.equal(this.readyState, 1, 'sent on a socket that is not open');
    this.sent.push(JSON.parse(text) as Sent);
  }
  close(): void {
    this.readyState = 3;
  }
  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }
  lose(): void {
    this.readyState = 3;
    this.onclose?.();
  }
  receive(message: Record<string, unknown>): void {
    this.onmessage?.({ data: JSON.stringify({ action: 'announce', info_hash: toBinary(infoHash), ...message }) });
  }
  counts(others: number): void {
    this.receive({ interval: 120, complete: 0, incomplete: others + 1 });
  }
}

class FakeChannel extends EventTarget {
  readyState = 'connecting';
  binaryType = 'blob';
  closed = 0;
  close(): void {
    this.closed++;
    this.readyState = 'closed';
  }
  open(): void {
    this.readyState = 'open';
    this.dispatchEvent(new Event('open'));
  }
}

function setUp() {
  const asked: ToHost[] = [];
  const links: Link[] = [];
  const connector = createConnector((message) => asked.push(message), (link) => links.push(link), { peerId: own });
  const progress = (): Progress => ({ ...told });
  const told = { left: 1, uploaded: 0, downloaded: 0 };
  const join = (trackers = [url]): void => connector.join({ infoHash, trackers, ice: [], progress });
  const of = <T extends ToHost['type']>(type: T) => asked.filter((m): m is Extract<ToHost, { type: T }> => m.type === type);
  const host = (message: FromHost): void => connector.onHost(message);
  const give = (id: string): FakeChannel => {
    const channel = new FakeChannel();
    host({ type: 'channel', id, channel: channel as unknown as RTCDataChannel });
    return channel;
  };
  /** joins, opens the socket, and has the tracker count the others */
  const swarm = (others: number): FakeSocket => {
    join();
    FakeSocket.last.open();
    FakeSocket.last.counts(others);
    return FakeSocket.last;
  };
  return { asked, links, connector, join, of, host, give, swarm, told, progress };
}

beforeEach(() => {
  FakeSocket.all = [];
  Object.assign(globalThis, { WebSocket: FakeSocket });
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  mock.method(Math, 'random', () => 0.5);
});
afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

test('nothing is asked of WebRTC before the tracker knows somebody', () => {
  const { asked, connector, join } = setUp();
  join();
  connector.want(infoHash, 5);
  FakeSocket.last.open();
  assert.deepEqual(FakeSocket.last.sent.map(({ event, numwant }) => [event, numwant]), [['started', 0]]);
  FakeSocket.last.counts(0);
  assert.equal(connector.coming(infoHash), 0);
  assert.deepEqual(asked, []);
  FakeSocket.last.counts(3);
  assert.equal(connector.coming(infoHash), 3);
  assert.deepEqual(asked.map(({ type }) => type), ['offer', 'offer', 'offer']);
});

test('an offer is made, announced, answered and becomes a link', () => {
  const { links, connector, of, host, give, swarm } = setUp();
  connector.want(infoHash, 1); // before join: of no effect
  const socket = swarm(1);
  connector.want(infoHash, 1);
  const { id } = of('offer')[0]!;
  const channel = give(id);
  host({ type: 'offer', id, sdp });
  const announced = socket.sent.at(-1)!;
  assert.equal(announced.event, undefined);
  assert.deepEqual(announced.offers?.map(({ offer_id }) => fromBinary(offer_id)), [id]);
  const answer = { answer: { type: 'answer', sdp }, offer_id: toBinary(id), peer_id: toBinary(higher) };
  socket.receive(answer);
  socket.receive(answer); // a second one has nothing to answer
  assert.equal(of('answered').length, 1);
  assert.equal(links.length, 0);
  channel.open();
  assert.deepEqual(links.map((link) => [link.id, link.peerId, link.infoHash]), [[id, higher, infoHash]]);
  assert.equal(channel.binaryType, 'arraybuffer');
  let closes = 0;
  channel.addEventListener('close', () => closes++);
  host({ type: 'closed', id });
  assert.equal(closes, 1, 'a connection that ends is told by its channel');
});

test('a remote offer is answered without wanting peers', () => {
  const { links, of, host, give, swarm } = setUp();
  const socket = swarm(1);
  const offer = { offer: { type: 'offer', sdp }, offer_id: toBinary('bb'.repeat(20)), peer_id: toBinary(higher) };
  socket.receive(offer);
  socket.receive(offer); // from the same peer: the first one is kept
  assert.equal(of('accept').length, 1);
  const { id } = of('accept')[0]!;
  host({ type: 'answer', id, sdp });
  assert.equal(fromBinary(socket.sent.at(-1)!.to_peer_id), higher);
  const channel = give(id);
  channel.open();
  assert.equal(links.length, 1);
  links[0]!.close();
  assert.deepEqual(of('close').map((message) => message.id), [id]);
  assert.equal(channel.closed, 1);
});

for (const [other, keeps] of [[higher, 'ours'], [lower, 'theirs']] as const) {
  test(`of two crossing offers the one of the lower peer_id is kept: ${keeps}`, () => {
    const { connector, of, host, swarm } = setUp();
    const socket = swarm(1);
    connector.want(infoHash, 1);
    const ours = of('offer')[0]!.id;
    host({ type: 'offer', id: ours, sdp });
    socket.receive({ offer: { type: 'offer', sdp }, offer_id: toBinary('bb'.repeat(20)), peer_id: toBinary(other) });
    const theirs = of('accept')[0]!.id;
    socket.receive({ answer: { type: 'answer', sdp }, offer_id: toBinary(ours), peer_id: toBinary(other) });
    const closed = of('close').map(({ id }) => id);
    assert.deepEqual(closed, [keeps === 'ours' ? theirs : ours]);
    assert.equal(of('answered').length, keeps === 'ours' ? 1 : 0);
  });
}

test('hostile messages cost nothing but themselves', () => {
  const { asked, connector, of, host, swarm } = setUp();
  const socket = swarm(5);
  const offer = (peerId: string, text: string): void =>
    socket.receive({ offer: { type: 'offer', sdp: text }, offer_id: toBinary('bb'.repeat(20)), peer_id: toBinary(peerId) });
  offer(own, sdp);
  offer(higher, 'v=0');
  offer(higher, sdp.replace('application', 'audio'));
  offer(higher, sdp + 'x'.repeat(20_000));
  socket.receive({ answer: { type: 'answer', sdp }, offer_id: toBinary('cc'.repeat(20)), peer_id: toBinary(higher) });
  for (const data of ['', 'null', '[]', '{', new ArrayBuffer(8), '{"action":"announce"}']) socket.onmessage?.({ data });
  host({ type: 'closed', id: 'unheard of' });
  assert.deepEqual(asked, []);
  for (let i = 0; i < 100; i++) offer(i.toString(16).padStart(40, '0'), sdp);
  assert.equal(of('accept').length, 8, 'few remote offers are answered at a time');
  connector.want(infoHash, Infinity);
  connector.want(infoHash, NaN);
});

test('offers that nobody answers are soon forgotten, and rounds come ever slower', () => {
  const { connector, of, host, swarm } = setUp();
  const socket = swarm(1);
  connector.want(infoHash, 1);
  for (let round = 1; round <= 3; round++) {
    const offers = of('offer');
    assert.equal(offers.length, round);
    host({ type: 'closed', id: offers.at(-1)!.id }); // the page cannot make a connection
    assert.equal(of('offer').length, round, 'not at once again');
    mock.timers.tick(1000 * 2 ** (round - 1) + 1);
  }
  const { id } = of('offer').at(-1)!;
  host({ type: 'offer', id, sdp });
  assert.equal(socket.sent.at(-1)!.offers?.length, 1);
  mock.timers.tick(5_001);
  assert.equal(of('close').some((message) => message.id === id), true);
  assert.equal(of('offer').length, 4);
  mock.timers.tick(8_001);
  assert.equal(of('offer').length, 5);
});

test('a peer that offers anew has given its earlier offer up', () => {
  const { of, host, swarm } = setUp();
  const socket = swarm(1);
  const offer = (id: string): void =>
    socket.receive({ offer: { type: 'offer', sdp }, offer_id: toBinary(id), peer_id: toBinary(higher) });
  offer('bb'.repeat(20));
  const { id } = of('accept')[0]!;
  host({ type: 'answer', id, sdp });
  offer('cc'.repeat(20));
  assert.equal(of('accept').length, 1, 'it may have come by another tracker');
  mock.timers.tick(5_001);
  offer('dd'.repeat(20));
  assert.equal(of('accept').length, 2);
  assert.deepEqual(of('close').map((message) => message.id), [id]);
});

test('a visitor alone asks again after 2, 4, 8 seconds, then at the interval', () => {
  const { connector, swarm } = setUp();
  const socket = swarm(0);
  connector.want(infoHash, 1);
  const gaps: number[] = [];
  for (let step = 0; step < 8; step++) {
    const before = socket.sent.length;
    let seconds = 0;
    while (socket.sent.length === before && seconds < 200) {
      mock.timers.tick(1000);
      seconds++;
    }
    gaps.push(seconds);
    socket.counts(0);
  }
  assert.deepEqual(gaps, [2, 4, 8, 16, 32, 64, 120, 120]);
});

test('announcements tell how far we are, and once that we are done', () => {
  const { connector, swarm, told } = setUp();
  const socket = swarm(0);
  connector.want(infoHash, 1);
  for (const left of [7, 0, 0]) {
    Object.assign(told, { left, downloaded: 10 - left });
    const before = socket.sent.length;
    while (socket.sent.length === before) mock.timers.tick(1000);
    assert.equal(socket.sent.at(-1)!.left, left);
    socket.counts(0);
  }
  assert.deepEqual(socket.sent.map(({ event }) => event), ['started', undefined, 'completed', undefined]);
});

test('a lost socket is opened again, later each time, and introduces anew', () => {
  const { join } = setUp();
  join();
  const delays: number[] = [];
  for (let i = 0; i < 4; i++) {
    FakeSocket.last.lose();
    const before = FakeSocket.all.length;
    let seconds = 0;
    while (FakeSocket.all.length === before) {
      mock.timers.tick(1000);
      seconds++;
    }
    delays.push(seconds);
  }
  assert.deepEqual(delays, [2, 4, 8, 16]);
  FakeSocket.last.open();
  assert.equal(FakeSocket.last.sent[0]!.event, 'started');
});

test('a tracker that stays silent is given up', () => {
  const { join } = setUp();
  join();
  const socket = FakeSocket.last;
  socket.open();
  mock.timers.tick(20_001);
  assert.equal(socket.readyState, 3);
});

test('torrents share a socket; leaving says stopped, and the last one closes it', () => {
  const { connector, join, progress } = setUp();
  const second = 'bb'.repeat(20);
  join();
  connector.join({ infoHash: second, trackers: [url, 'udp://x/', 'nonsense'], ice: [], progress });
  join();
  assert.equal(FakeSocket.all.length, 1);
  const socket = FakeSocket.last;
  socket.open();
  connector.leave(second);
  assert.deepEqual(socket.sent.map(({ event }) => event), ['started', 'started', 'stopped']);
  assert.equal(socket.readyState, 1);
  connector.leave(infoHash);
  assert.equal(socket.sent.at(-1)!.event, 'stopped');
  assert.equal(socket.readyState, 3);
});

test('a suspended page leaves its swarms and comes back to them', () => {
  const { connector, of, host, swarm, progress } = setUp();
  const socket = swarm(1);
  connector.want(infoHash, 1);
  host({ type: 'suspended' });
  assert.equal(socket.sent.at(-1)!.event, 'stopped');
  assert.equal(of('close').length, 1);
  assert.equal(connector.coming(infoHash), 0);
  mock.timers.tick(600_000);
  assert.equal(FakeSocket.all.length, 1, 'nothing happens meanwhile');
  host({ type: 'resumed' });
  FakeSocket.last.open();
  FakeSocket.last.counts(1);
  assert.equal(of('offer').length, 2);
  connector.close();
  assert.equal(FakeSocket.last.sent.at(-1)!.event, 'stopped');
  host({ type: 'resumed' });
  connector.join({ infoHash, trackers: [url], ice: [], progress });
  assert.equal(FakeSocket.all.length, 2, 'closed is closed');
});

test('a channel whose connection was given up meanwhile is closed', () => {
  const { give } = setUp();
  assert.equal(give('unheard of').closed, 1);
});
