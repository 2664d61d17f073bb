import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import type { Heard } from '../shared/messages.ts';
import { fromBinary, toBinary } from '../shared/signal.ts';
import { Meeting } from './meeting.ts';
import type { FromHost, Joined } from './rtc.ts';
import { connectMs, FakePeerConnection, gatherMs, pass, sdpOf, settled, setUp, tearDown } from './webrtc.test.ts';

const infoHash = 'aa'.repeat(20);
const own = '50'.repeat(20);
const lower = '40'.repeat(20);
const higher = '60'.repeat(20);
const url = 'ws://tracker.test/';
const describedMs = gatherMs + 40;

interface Sent {
  event?: string;
  left?: number;
  numwant?: number;
  offers: { offer_id: string; to_peer_id?: string; offer: { sdp: string } }[];
  answer?: { sdp: string };
  to_peer_id?: string;
}

/** A WebSocket whose other end is the test; misuse fails the test. */
class FakeSocket {
  static all: FakeSocket[] = [];
  static get last(): FakeSocket {
    return FakeSocket.all.at(-1)!;
  }
  readyState = 0;
  sent: Sent[] = [];
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  readonly url: string;
  constructor(at: string) {
    this.url = at;
    if (at.includes('forbidden')) throw new DOMException('by the CSP', 'SecurityError');
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
  /** a remote offer */
  offer(peerId: string, offerId: string, sdp = sdpOf(`remote${peerId}`)): void {
    this.receive({ offer: { type: 'offer', sdp }, offer_id: toBinary(offerId), peer_id: toBinary(peerId) });
  }
  answer(peerId: string, offerId: string, sdp = sdpOf(`remote${peerId}`)): void {
    this.receive({ answer: { type: 'answer', sdp }, offer_id: toBinary(offerId), peer_id: toBinary(peerId) });
  }
  get offered(): string[] {
    return this.sent.flatMap(({ offers = [] }) => offers.map(({ offer_id }) => fromBinary(offer_id)!));
  }
}

let ended: (() => void)[] = [];

function begin({ trackers = [url], peers = 0, last = [] as string[] } = {}) {
  const told: FromHost[] = [];
  const releases: Heard[] = [];
  const progress = { left: 1, uploaded: 2, downloaded: 3 };
  const torrent: Joined = { infoHash, trackers, ice: [], peers, progress };
  const meeting = new Meeting(torrent, own, (message, transfer) => {
    told.push(message);
    if (message.type === 'channel') assert.deepEqual(transfer, [message.channel]);
  }, (release) => void releases.push(release), () => {});
  meeting.start({ peers: last, ropes: [] });
  ended.push(() => meeting.stop());
  const of = <T extends FromHost['type']>(type: T) => told.filter((m): m is Extract<FromHost, { type: T }> => m.type === type);
  const want = (wanted: number): void => meeting.meet({ ...torrent, peers: wanted });
  return { meeting, told, releases, of, want };
}

/** A meeting whose socket is open and whose tracker counts others. */
function swarm(others: number, options: Parameters<typeof begin>[0] = {}) {
  const begun = begin(options);
  FakeSocket.last.open();
  FakeSocket.last.counts(others);
  return { ...begun, socket: FakeSocket.last };
}

/** Moves time until the condition holds; returns the whole seconds that took. */
function secondsUntil(condition: () => boolean): number {
  let seconds = 0;
  for (; !condition() && seconds < 1000; seconds++) mock.timers.tick(1000);
  return seconds;
}

beforeEach(() => {
  FakeSocket.all = [];
  FakePeerConnection.online = true;
  setUp(FakeSocket, () => 0.5);
});
afterEach(() => {
  for (const end of ended.splice(0)) end();
  tearDown();
});

test('nothing is asked of WebRTC before the tracker knows somebody', async () => {
  const { of } = begin({ peers: 8 });
  FakeSocket.last.open();
  assert.deepEqual(FakeSocket.last.sent.map(({ event, numwant, left }) => [event, numwant, left]), [['started', 0, 1]]);
  FakeSocket.last.counts(0);
  assert.deepEqual(of('coming').map(({ peers }) => peers), [0]);
  assert.equal(FakePeerConnection.made, 0);
  FakeSocket.last.counts(3);
  assert.equal(of('coming').at(-1)!.peers, 3);
  assert.equal(FakePeerConnection.made, 3);
  await pass(describedMs);
  assert.equal(FakeSocket.last.offered.length, 3, 'in one announcement');
});

test('an offer is announced, answered and opens', async () => {
  const { socket, of, want, meeting } = swarm(1);
  want(1);
  const { id, ours } = of('channel')[0]!;
  assert.equal(ours, true);
  await pass(describedMs);
  assert.deepEqual(socket.offered, [id]);
  assert.equal(socket.sent.at(-1)!.event, undefined);
  socket.answer(higher, id, sdpOf('1'));
  socket.answer(higher, id, sdpOf('1')); // a second one has nothing to answer
  const [connection] = FakePeerConnection.all.values();
  connection!.connectionState = 'connected';
  connection!.onconnectionstatechange!();
  assert.equal(of('coming').at(-1)!.peers, 0);
  assert.deepEqual(meeting.stop(), { peers: [higher], ropes: [], tracker: url });
  assert.deepEqual(of('closed').map((message) => message.id), [id]);
});

test('a remote offer is answered without wanting peers', async () => {
  const { socket, of, meeting } = swarm(1);
  const id = 'bb'.repeat(20);
  socket.offer(higher, id);
  socket.offer(higher, 'cc'.repeat(20)); // from the same peer: the first one is kept
  assert.equal(FakePeerConnection.made, 1);
  await pass(describedMs);
  assert.equal(fromBinary(socket.sent.at(-1)!.to_peer_id), higher);
  assert.ok(socket.sent.at(-1)!.answer?.sdp.includes('a=candidate'));
  assert.equal(of('channel').length, 0);
  const [connection] = FakePeerConnection.all.values();
  const channels = [1, 2].map(() => Object.assign(new EventTarget(), { closed: 0, close: () => {} }));
  let closed = 0;
  channels[1]!.close = () => closed++;
  for (const channel of channels) connection!.ondatachannel!({ channel: channel as never });
  assert.deepEqual(of('channel').map((message) => [message.id, message.ours]), [[id, false]]);
  assert.equal(closed, 1, 'one channel a connection');
  meeting.close(id);
  assert.deepEqual(of('closed').map((message) => message.id), [id]);
});

for (const [other, keeps] of [[higher, 'ours'], [lower, 'theirs']] as const) {
  test(`of two crossing offers the one of the lower peer_id is kept: ${keeps}`, async () => {
    const { socket, of, want } = swarm(1);
    want(1);
    await pass(describedMs);
    const ours = of('channel')[0]!.id;
    const theirs = 'bb'.repeat(20);
    socket.offer(other, theirs);
    socket.answer(other, ours);
    assert.deepEqual(of('closed').map(({ id }) => id), [keeps === 'ours' ? theirs : ours]);
  });
}

test('a bogus description costs nothing but itself', async () => {
  const { socket, told, want } = swarm(5);
  const before = told.length;
  const good = sdpOf('remote');
  socket.offer(own, 'bb'.repeat(20));
  for (const bad of ['', 'v=0', 'x'.repeat(1000), good.replace('application', 'audio'), good + 'x'.repeat(20_000)]) {
    socket.offer(higher, 'bb'.repeat(20), bad);
  }
  socket.answer(higher, 'cc'.repeat(20));
  for (const data of ['', 'null', '[]', '{', new ArrayBuffer(8), '{"action":"announce"}']) socket.onmessage?.({ data });
  assert.equal(FakePeerConnection.made, 0);
  assert.equal(told.length, before);
  for (let i = 0; i < 100; i++) socket.offer(`${i}`.padStart(40, '0'), `${i}`.padStart(40, '1'));
  assert.equal(FakePeerConnection.made, 8, 'few remote offers are answered at a time');
  want(Infinity);
  assert.equal(FakePeerConnection.made, 8, 'no more strangers than the tracker knows');
});

test('a browser refuses a description, and that connection ends', async () => {
  const { socket, of } = swarm(1);
  mock.method(FakePeerConnection.prototype, 'setRemoteDescription', async () => {
    throw new DOMException('', 'OperationError');
  });
  socket.offer(higher, 'bb'.repeat(20));
  await settled();
  assert.equal(of('closed').length, 1);
  assert.equal(socket.sent.some(({ answer }) => answer), false);
});

test('at most eight candidates of an offer are used, of ours and of theirs', async () => {
  const { socket } = swarm(1);
  const seen = mock.method(FakePeerConnection.prototype, 'setRemoteDescription');
  socket.offer(higher, 'bb'.repeat(20), sdpOf('remote', 30));
  await settled();
  const [{ sdp }] = seen.mock.calls[0]!.arguments as unknown as [{ sdp: string }];
  assert.equal(sdp.match(/^a=candidate/gm)?.length, 8);
});

test('offers that come to nothing are forgotten, and rounds come ever slower', async () => {
  FakePeerConnection.online = false;
  const { socket, want } = swarm(1);
  want(1);
  const begun: number[] = [];
  for (let ms = 0; ms < 20_000; ms += 100) {
    if (begun.length < FakePeerConnection.made) begun.push(ms);
    await pass(100);
  }
  const rests = begun.slice(1).map((ms, i) => Math.round((ms - begun[i]!) / 1000));
  assert.deepEqual(rests, [1, 2, 4, 8]);
  assert.deepEqual(socket.offered, [], 'nobody could reach us');
  FakePeerConnection.online = true;
  const before = FakePeerConnection.made;
  await pass(16_000);
  assert.equal(socket.offered.length, 1);
  await pass(5_000);
  assert.equal(FakePeerConnection.made, before + 1, 'an offer without an answer is given up');
});

test('a peer that offers anew has given its earlier offer up', async () => {
  const { socket, of } = swarm(1);
  const [first, second, third] = ['bb', 'cc', 'dd'].map((byte) => byte.repeat(20)) as [string, string, string];
  socket.offer(higher, first);
  await pass(describedMs);
  socket.offer(higher, second);
  assert.equal(FakePeerConnection.made, 1, 'it may have come by another tracker');
  await pass(5_000);
  socket.offer(higher, third);
  assert.equal(FakePeerConnection.made, 2);
  assert.deepEqual(of('closed').map((message) => message.id), [first]);
});

test('the peers of the last page are offered to while the socket opens', async () => {
  const { of } = begin({ last: [higher, lower] });
  assert.equal(FakePeerConnection.made, 2);
  await pass(describedMs);
  FakeSocket.last.open();
  const [first] = FakeSocket.last.sent;
  assert.equal(first!.event, 'started');
  assert.deepEqual(first!.offers.map(({ to_peer_id }) => fromBinary(to_peer_id)), [higher, lower]);
  FakeSocket.last.answer(lower, of('channel')[1]!.id);
  await pass(connectMs);
  assert.equal(of('coming').at(-1)!.peers, 1);
});

test('offers that have expired while the socket opened are not announced', async () => {
  begin({ last: [higher] });
  await pass(5_500);
  FakeSocket.last.open();
  assert.deepEqual(FakeSocket.last.offered, []);
});

test('a visitor alone asks again after 2, 4, 8 seconds, then at the interval', () => {
  const { socket } = swarm(0, { peers: 1 });
  const gaps: number[] = [];
  for (let step = 0; step < 8; step++) {
    const before = socket.sent.length;
    gaps.push(secondsUntil(() => socket.sent.length > before));
    socket.counts(0);
  }
  assert.deepEqual(gaps, [2, 4, 8, 16, 32, 64, 120, 120]);
});

test('a lost socket is opened again, later each time, and introduces anew', () => {
  begin();
  const delays: number[] = [];
  for (let i = 0; i < 4; i++) {
    FakeSocket.last.lose();
    const before = FakeSocket.all.length;
    delays.push(secondsUntil(() => FakeSocket.all.length > before));
  }
  assert.deepEqual(delays, [2, 4, 8, 16]);
  FakeSocket.last.open();
  assert.equal(FakeSocket.last.sent[0]!.event, 'started');
});

test('a tracker that hangs, before the socket is open or after, is given up and tried again', () => {
  const { of } = begin({ peers: 8 });
  assert.deepEqual(of('coming'), [], 'it may know somebody');
  assert.equal(secondsUntil(() => FakeSocket.last.readyState === 3), 15);
  assert.deepEqual(of('coming').map(({ peers }) => peers), [0]);
  secondsUntil(() => FakeSocket.all.length === 2);
  FakeSocket.last.open();
  assert.equal(secondsUntil(() => FakeSocket.last.readyState === 3), 15);
  assert.equal(FakePeerConnection.made, 0);
});

test('a tracker that refuses is asked again at its interval, over the same socket', () => {
  const { of } = begin({ peers: 8 });
  FakeSocket.last.open();
  FakeSocket.last.receive({ 'failure reason': 'not here' });
  assert.deepEqual(of('coming').map(({ peers }) => peers), [0]);
  assert.equal(secondsUntil(() => FakeSocket.last.sent.length > 1), 120);
  assert.equal(FakeSocket.all.length, 1);
  assert.equal(FakePeerConnection.made, 0);
});

test('a tracker that answers garbage is like one that is silent', () => {
  begin({ peers: 8 });
  FakeSocket.last.open();
  const nonsense = { interval: -1, complete: 'many', incomplete: [], info_hash: toBinary('bb'.repeat(20)) };
  for (let i = 0; i < 100; i++) FakeSocket.last.receive(nonsense);
  FakeSocket.last.receive({ interval: 1, complete: 1e300, incomplete: 1e15 });
  assert.equal(FakePeerConnection.made, 8, 'numbers are bounded');
  secondsUntil(() => FakeSocket.last.sent.length > 1);
  assert.equal(FakeSocket.last.sent.length, 2);
});

test('a tracker that the page may not reach does no harm to another', () => {
  begin({ trackers: ['ws://forbidden.test/', 'nonsense', 'udp://x/', url, url], peers: 1 });
  assert.equal(FakeSocket.all.length, 1);
  FakeSocket.last.open();
  FakeSocket.last.counts(1);
  assert.equal(FakePeerConnection.made, 1);
});

test('a page that is left says so, keeps no connection, and can come back', async () => {
  const { socket, meeting, want } = swarm(1);
  want(1);
  meeting.stop();
  assert.equal(socket.sent.at(-1)!.event, 'stopped');
  assert.equal(socket.readyState, 3);
  await pass(100_000);
  assert.equal(FakeSocket.all.length, 1, 'nothing happens meanwhile');
  assert.deepEqual(socket.offered, []);
  meeting.start();
  FakeSocket.last.open();
  FakeSocket.last.counts(1);
  assert.equal(FakePeerConnection.made, 2);
});

const snapshot = '5f'.repeat(32);
const hint = (socket: FakeSocket, id = snapshot): void => socket.receive({ action: 'release', snapshot: id });

test('a signed release is passed on at once, byte for byte', () => {
  const { socket, releases } = swarm(5000);
  const root = '{"title":"caf\u00e9"}';
  hint(socket);
  socket.receive({ action: 'release', snapshot, root });
  mock.timers.tick(0);
  assert.deepEqual(releases, [{ snapshot, root: new TextEncoder().encode(root).buffer, from: 'tracker' }]);
  mock.timers.tick(3_600_000);
  assert.equal(releases.length, 1, 'nor is the hint passed on that came before it');
});

test('a hint is passed on in a time that grows with the swarm, however often it is said', () => {
  for (const [others, afterMs] of [[0, 0], [1000, 5_000], [10_000_000, 450_000]] as const) {
    const { socket, releases } = swarm(others);
    for (let i = 0; i < 100; i++) hint(socket, String(i).padStart(64, '0'));
    if (afterMs) mock.timers.tick(afterMs - 1);
    assert.equal(releases.length, 0);
    mock.timers.tick(1);
    assert.deepEqual(releases, [{ snapshot: '99'.padStart(64, '0'), from: 'tracker' }]);
    hint(socket);
    mock.timers.tick(afterMs);
    assert.equal(releases.length, 2);
  }
});

test('a lost socket loses no hint, and a torrent that is left does', () => {
  const { socket, releases, meeting } = swarm(1000);
  hint(socket);
  socket.lose();
  mock.timers.tick(5_000);
  assert.equal(releases.length, 1);
  FakeSocket.last.open();
  FakeSocket.last.counts(1000);
  hint(FakeSocket.last);
  meeting.stop();
  mock.timers.tick(3_600_000);
  assert.equal(releases.length, 1);
});

test('releases of other swarms are not ours', () => {
  const { socket, releases } = swarm(0);
  socket.receive({ action: 'release', info_hash: toBinary('bb'.repeat(20)), snapshot });
  mock.timers.tick(3_600_000);
  assert.equal(releases.length, 0);
});

/** A meeting with one open connection, whose peer can be spoken to. */
async function met(options: Parameters<typeof begin>[0] = {}) {
  const all = swarm(1, options);
  all.want(1);
  const { id } = all.of('channel')[0]!;
  await pass(describedMs);
  all.socket.answer(higher, id, sdpOf('1'));
  const [connection] = FakePeerConnection.all.values();
  connection!.connectionState = 'connected';
  connection!.onconnectionstatechange!();
  all.meeting.acquainted(id);
  return { ...all, via: id, connection: connection! };
}

test('who has fallen silent, perhaps for its next page, does not keep that from being found', async () => {
  const { want, socket, connection, of, via } = await met();
  want(8);
  await pass(2_000);
  const before = socket.offered.length;
  const becomes = (state: RTCPeerConnectionState): void => {
    connection.connectionState = state;
    connection.onconnectionstatechange!();
  };
  becomes('disconnected');
  await pass(describedMs);
  assert.equal(socket.offered.length, before + 1);
  assert.deepEqual(of('closed'), [], 'it may come back');
  becomes('connected');
  socket.counts(1);
  await pass(20_000);
  assert.equal(socket.offered.length, before + 1, 'it was nobody else');
  assert.deepEqual(of('closed').map(({ id }) => id), socket.offered.filter((id) => id !== via));
});

test('while a tracker answers, peers are asked for theirs only after a while', async () => {
  const { meeting, of, want, socket } = await met();
  want(8);
  meeting.knownToPeers(3);
  await pass(9_000);
  assert.equal(of('offers').length, 0);
  await pass(2_000);
  socket.counts(1);
  await pass(describedMs);
  assert.equal(of('offers')[0]!.offers.length, 3);
  assert.equal(of('introduced').length, 0, 'no spares');
});

test('once no tracker answers, peers are asked for theirs, in rounds', async () => {
  const { meeting, of, want, socket } = await met();
  want(8);
  const before = FakePeerConnection.made;
  socket.lose();
  await pass(describedMs);
  assert.equal(of('offers').length, 0, 'nobody knows anybody');
  meeting.knownToPeers(2);
  await pass(5_000);
  const [first, ...more] = of('offers');
  assert.equal(first!.offers.length, 2);
  assert.deepEqual(more, [], 'two are on their way');
  const [answered] = first!.offers;
  const introduced = { infoHash, via: 'gone', type: 'answered', peerId: lower, id: answered!.id, sdp: sdpOf('x') } as const;
  meeting.introduced(introduced); // of nobody that we know
  assert.equal(of('coming').at(-1)!.peers, 2);
  await pass(30_000);
  assert.ok(of('offers').length >= 3 && of('offers').length <= 6, 'ever slower');
  assert.ok(FakePeerConnection.made - before < 20);
});

test('an offer that a peer passes on is answered by way of it', async () => {
  const { meeting, of, via } = await met();
  const [id, peerId] = ['bb'.repeat(20), lower];
  const introduced = { infoHash, via, type: 'offered', peerId, id, sdp: sdpOf('remote') } as const;
  const made = FakePeerConnection.made;
  meeting.introduced({ ...introduced, via: 'gone' });
  meeting.introduced({ ...introduced, peerId: own });
  meeting.introduced({ ...introduced, sdp: 'nonsense' });
  assert.equal(FakePeerConnection.made, made);
  meeting.introduced(introduced);
  await pass(describedMs);
  const [answer] = of('introduced');
  assert.deepEqual({ ...answer!.introduced, sdp: '' }, { ...introduced, type: 'answer', sdp: '' });
  assert.match(answer!.introduced.sdp, /a=candidate/);
  for (let i = 0; i < 100; i++) meeting.introduced({ ...introduced, peerId: `${i}`.padStart(40, '1'), id: `${i}`.padStart(40, '0') });
  assert.ok(FakePeerConnection.made <= made + 8, 'few are answered at a time');
});

const four = ['ws://a.test/', 'ws://b.test/', 'ws://c.test/', 'ws://d.test/'];
const asked = (): (string | undefined)[] => FakeSocket.all.map((socket) => socket.url);

test('trackers are asked one after the other, until one knows enough', async () => {
  const { want } = begin({ trackers: four, peers: 8 });
  assert.deepEqual(asked(), four.slice(0, 1));
  FakeSocket.all[0]!.lose();
  assert.deepEqual(asked(), four.slice(0, 2), 'the first has failed');
  await pass(400);
  assert.equal(FakeSocket.all.length, 2);
  await pass(100);
  assert.deepEqual(asked(), four.slice(0, 3), 'the second takes its time');
  FakeSocket.last.open();
  FakeSocket.last.counts(100);
  await pass(1_000);
  assert.equal(FakeSocket.all.length, 3, 'the third knows plenty');
  FakeSocket.all[1]!.open();
  FakeSocket.all[1]!.counts(0);
  want(0);
  assert.equal(FakeSocket.all.length, 3);
});

test('a tracker that knows nobody is not enough', () => {
  begin({ trackers: four, peers: 8 });
  for (let i = 0; i < 4; i++) {
    assert.equal(FakeSocket.all.length, i + 1);
    FakeSocket.last.open();
    FakeSocket.last.counts(0);
  }
  assert.deepEqual(asked(), four);
});

test('offers go to the tracker that answers fastest, and the next page asks it first', async () => {
  const { meeting } = begin({ trackers: four.slice(0, 2), peers: 1 });
  const [slow, fast] = [FakeSocket.all[0]!, (await pass(500), FakeSocket.last)];
  for (const socket of [slow, fast]) socket.open();
  await pass(20);
  fast.counts(1);
  await pass(100);
  slow.counts(1);
  await pass(10_000);
  assert.ok(fast.offered.length > 0);
  const left = meeting.stop();
  assert.equal(left.tracker, four[1]);
  FakeSocket.all = [];
  meeting.start(left);
  assert.deepEqual(asked(), [four[1]]);
});

test('who loses a tracker comes back to it the later, the larger the swarm', () => {
  const { socket } = swarm(2_000);
  const before = FakeSocket.all.length;
  socket.lose();
  assert.equal(secondsUntil(() => FakeSocket.all.length > before), 12, 'half of 20 s, by chance, and 2 s');
});
