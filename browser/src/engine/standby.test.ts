import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { Connection } from './connection.ts';
import { Standby, type StandbyOwner } from './standby.ts';
import { FakePeerConnection, pass, sdpOf, setUp, tearDown } from './webrtc.test.ts';

const id = (n: number): string => n.toString(16).padStart(40, '0');
/** long enough to describe a connection, and to agree */
const agreeMs = 300;

/** An IndexedDB that keeps one value a store, as far as certificates need it. */
class FakeDatabases {
  static kept = new Map<string, Map<string, unknown>>();
  static broken = false;

  open(name: string) {
    const fresh = !FakeDatabases.kept.has(name);
    const stores = FakeDatabases.kept.get(name) ?? new Map<string, unknown>();
    FakeDatabases.kept.set(name, stores);
    const result = {
      createObjectStore: (store: string) => stores.set(store, undefined),
      close: () => {},
      transaction: (store: string, mode: IDBTransactionMode) => {
        assert.ok(stores.has(store), 'no such store');
        const transaction = {
          oncomplete: () => {},
          objectStore: () => ({
            get: () => ({ result: stores.get(store) }),
            put: (value: unknown) => {
              assert.equal(mode, 'readwrite');
              return stores.set(store, value);
            },
          }),
        };
        queueMicrotask(() => transaction.oncomplete());
        return transaction;
      },
    };
    const opening = { result, error: new Error('no databases'), onupgradeneeded() {}, onsuccess() {}, onerror() {} };
    queueMicrotask(() => {
      if (FakeDatabases.broken) return opening.onerror();
      if (fresh) opening.onupgradeneeded();
      opening.onsuccess();
    });
    return opening;
  }

  deleteDatabase(name: string): void {
    FakeDatabases.kept.delete(name);
  }
}

interface Said {
  to: Connection;
  type: string;
  id: string;
  sdp: string;
}

/** A page, as far as standby concerns it. */
function page() {
  const said: Said[] = [];
  const opened: Connection[] = [];
  /** the ropes that there were each time when another had come */
  const roped: number[] = [];
  let made = 0;
  const owner: StandbyOwner = {
    connect: (offerId, peerId, certificate) => {
      return new Connection(owner, offerId, certificate ? { certificates: [certificate] } : {}, peerId);
    },
    spare: () => new Connection(owner, id(1000 + made++), {}),
    say: (to, type, offerId, sdp) => void said.push({ to, type, id: offerId, sdp }),
    roped: () => void roped.push(standby.ropes.length),
    channel: () => {},
    opened: (connection) => {
      standby.opened(connection);
      opened.push(connection);
    },
    wavers: (connection) => standby.away(connection),
    ended: (connection) => standby.ended(connection),
  };
  const standby = new Standby(owner);
  return { standby, said, opened, roped };
}

/** An open connection, of which standby wants to know nothing but who is at the other end. */
function connection(n: number): Connection {
  return { id: id(100 + n), peerId: id(n) } as Connection;
}

/** A keeper that has agreed with a page. */
async function agreed() {
  const [keeper, first] = [page(), page()];
  const between = connection(1);
  keeper.standby.acquainted(between);
  keeper.standby.give();
  await pass(agreeMs);
  const [spare] = keeper.said;
  assert.equal(spare!.type, 'spare');
  await first.standby.take(between, spare!.id, spare!.sdp);
  const [answer] = first.said;
  assert.deepEqual([answer!.type, answer!.id, answer!.to], ['agreed', spare!.id, between]);
  assert.doesNotMatch(answer!.sdp, /candidate/);
  keeper.standby.agreed(between, answer!.id, answer!.sdp);
  return { keeper, first, between, ropes: first.standby.ropes };
}

const live = (): number =>
  [...FakePeerConnection.all.values()].filter(({ connectionState }) => connectionState !== 'closed').length;

beforeEach(() => {
  FakeDatabases.kept.clear();
  FakeDatabases.broken = false;
  FakePeerConnection.online = true;
  setUp(class {}, () => 0.5);
  Object.assign(globalThis, { indexedDB: new FakeDatabases() });
});
afterEach(tearDown);

test('the page that follows finds its way back, without a word', async () => {
  const { keeper, first, between, ropes } = await agreed();
  assert.equal(ropes.length, 1);
  assert.equal(live(), 1, 'nothing but the spare');
  first.standby.leave();
  assert.deepEqual(first.standby.ropes, []);
  keeper.standby.ended(between);
  await pass(2_000);
  assert.equal(live(), 1);
  const next = page();
  await next.standby.resume(ropes);
  await pass(1_000);
  assert.deepEqual([keeper.opened.length, next.opened.length], [1, 1]);
  assert.equal(next.opened[0]!.peerId, between.peerId);
  assert.equal(next.opened[0]!.state, 'open', 'though it was described only then');
});

test('the page after one that crashed finds its way back, before its keeper has lost the connection', async () => {
  const { keeper, first, between, ropes } = await agreed();
  assert.deepEqual(first.roped, [1], 'what the next page is to know is told at once');
  const next = page();
  await next.standby.resume(ropes);
  await pass(1_000);
  assert.equal(next.opened.length, 0);
  keeper.standby.away(between);
  await pass(1_000);
  assert.deepEqual([keeper.opened.length, next.opened.length], [1, 1]);
  keeper.standby.ended(between);
  assert.equal(next.opened[0]!.state, 'open');
});

test('a page that was silent for a moment only is given another way back', async () => {
  const { keeper, between } = await agreed();
  keeper.standby.away(between);
  await pass(61_000);
  assert.equal(live(), 0, 'nobody came');
  keeper.standby.give();
  await pass(agreeMs);
  assert.deepEqual(keeper.said.map(({ to }) => to), [between, between]);
});

test('without its certificate, or without databases, there is no way back, and no harm', async () => {
  const { ropes } = await agreed();
  FakeDatabases.kept.clear();
  const made = FakePeerConnection.made;
  const next = page();
  await next.standby.resume(ropes);
  FakeDatabases.broken = true;
  await page().standby.resume(ropes);
  assert.equal(FakePeerConnection.made, made);
  FakeDatabases.broken = false;
  await agreed();
  const gone = page();
  const resumed = gone.standby.resume(ropes);
  gone.standby.leave();
  const before = FakePeerConnection.made;
  await resumed;
  assert.equal(FakePeerConnection.made, before, 'who has left does not go back');
  FakeDatabases.broken = true;
  const other = page();
  await other.standby.take(connection(1), id(9), sdpOf('remote'));
  assert.deepEqual([other.said, other.standby.ropes], [[], []]);
});

test('another certificate than the one agreed on opens nothing', async () => {
  const { keeper, between, ropes } = await agreed();
  keeper.standby.ended(between);
  FakeDatabases.kept.get('planktos-standby')!.set('certificates', 'of another');
  const next = page();
  await next.standby.resume(ropes);
  await pass(61_000);
  assert.deepEqual([keeper.opened, live()], [[], 0]);
});

test('a spare that nobody takes ends soon, and one that was agreed on is followed by another', async () => {
  const { keeper, between } = await agreed();
  const declined = connection(2);
  keeper.standby.acquainted(declined);
  keeper.standby.give();
  await pass(agreeMs);
  assert.equal(live(), 2);
  await pass(5_000);
  assert.equal(live(), 1);
  keeper.standby.give();
  assert.equal(live(), 1, 'it is not offered another one at once');
  await pass(60_000);
  keeper.standby.give();
  await pass(agreeMs);
  assert.deepEqual(keeper.said.map(({ to }) => to), [between, declined, declined]);
  keeper.standby.ended(declined);
  await pass(5 * 60_000);
  assert.equal(live(), 0);
  keeper.standby.give();
  await pass(agreeMs);
  assert.equal(keeper.said.at(-1)!.to, between);
});

test('a page that does not come back is waited for a minute', async () => {
  const { keeper, between } = await agreed();
  keeper.standby.ended(between);
  await pass(59_000);
  assert.equal(live(), 1);
  await pass(2_000);
  assert.equal(live(), 0);
});

test('few are given, and few taken', async () => {
  const keeper = page();
  for (let n = 1; n <= 10; n++) keeper.standby.acquainted(connection(n));
  keeper.standby.give();
  keeper.standby.give();
  await pass(agreeMs);
  assert.equal(keeper.said.length, 3);
  const taker = page();
  const peers = Array.from({ length: 10 }, (_, n) => connection(n));
  await Promise.all(peers.map((peer, n) => taker.standby.take(peer, id(n), sdpOf(`remote${n}`))));
  assert.equal(taker.standby.ropes.length, 2);
  await taker.standby.take(peers[1]!, id(77), sdpOf('again'));
  assert.deepEqual(taker.standby.ropes.map((rope) => rope.id), [id(0), id(77)], 'a newer one takes its place');
  taker.standby.ended(peers[0]!);
  assert.equal(taker.standby.ropes.length, 1, 'who is gone keeps nothing for us');
});

test('what was not offered is not agreed to, and nonsense is no description', async () => {
  const keeper = page();
  const [one, other] = [connection(1), connection(2)];
  keeper.standby.acquainted(one);
  keeper.standby.give();
  await pass(agreeMs);
  const { id: spare } = keeper.said[0]!;
  keeper.standby.agreed(one, id(5), sdpOf('remote'));
  keeper.standby.agreed(other, spare, sdpOf('remote'));
  keeper.standby.ended(other);
  assert.equal(live(), 1);
  keeper.standby.agreed(one, spare, 'nonsense');
  assert.equal(live(), 0);
  const taker = page();
  for (const bad of ['', 'nonsense', sdpOf('x').replace('application', 'audio')]) await taker.standby.take(one, id(1), bad);
  assert.deepEqual(taker.standby.ropes, []);
});

test('when a tracker answers again, nothing is left', async () => {
  const { keeper, first, between } = await agreed();
  keeper.standby.end();
  first.standby.end();
  assert.deepEqual([live(), first.standby.ropes, FakeDatabases.kept.size], [0, [], 0]);
  keeper.standby.give();
  await pass(agreeMs);
  assert.equal(live(), 1, 'until it fails again');
  assert.equal(keeper.said.at(-1)!.to, between);
});
