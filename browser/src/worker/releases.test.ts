/** What is heard of releases: what is believed, and what has the origin asked, and how often. */
import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { beforeEach, mock, test } from 'node:test';
import { maxSignedBytes, protocol, type Heard, type Posted, type ToEngine } from '../shared/messages.ts';
import { asWorker, idOf, rootOf, scope, settled } from './testing.test.ts';

/** A key out of 32 bytes, by PKCS #8 (RFC 8410). */
const keyOf = (seed: number) => {
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), Buffer.alloc(32, seed)]);
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
};
const [ours, theirs] = [keyOf(1), keyOf(2)];
const planktosKey = createPublicKey(ours).export({ format: 'der', type: 'spki' }).subarray(-32).toString('hex');

const hours = 3_600_000;

/** What the origin answers for the manifest, and how often it was asked. */
let manifest: string | undefined;
let asked = 0;
/** How often the worker has left. */
let left = 0;
/** What the page was told. */
let told: Posted[] = [];
const page = { id: 'page', postMessage: (message: Posted) => void told.push(message) };

Object.assign(globalThis, { planktosKey });
const caches = asWorker({
  async fetch(url) {
    assert.equal(url, `${scope}planktos/manifest.json`);
    asked++;
    if (manifest === undefined) throw new TypeError('the origin is down');
    return new Response(manifest);
  },
  pages: [page],
  unregister: async () => left++,
});

const { Site } = await import('./site.ts');
const { pin } = await import('./clients.ts');
const { hear } = await import('./messages.ts');
type Site = InstanceType<typeof Site>;

beforeEach(() => {
  caches.all.clear();
  asked = left = 0;
  told = [];
  mock.timers.reset();
  mock.timers.enable({ apis: ['Date', 'setTimeout'], now: 1_000_000 * hours });
});

const release = (n: number): void => void (manifest = JSON.stringify(rootOf(idOf(n))));

async function pass(ms: number): Promise<void> {
  mock.timers.tick(ms);
  await settled();
}

/** A site on snapshot 1, with a page. */
async function opened(): Promise<Site> {
  await pass(1000); // what a former worker had to write is written
  release(1);
  const site = (await Site.open(scope, true))!;
  await site.snapshots.validate();
  pin(site, 'page', idOf(1));
  asked = 0;
  return site;
}
const hint = (site: Site, n: number, from: Heard['from'] = 'peer'): void =>
  site.releases.heard({ snapshot: idOf(n), from });

interface Signing {
  expires?: number;
  key?: typeof ours;
  disabled?: true;
}
/** Release `n`, signed. */
function signed(n: number, sequence: number, { key = ours, ...rest }: Signing = {}): string {
  const end = { ...rest, sequence };
  const text = JSON.stringify({ ...rootOf(idOf(n)), ...end });
  const signature = sign(null, Buffer.from('planktos manifest 1\n' + text), key).toString('hex');
  return `${text.slice(0, -1)},"signature":"${signature}"}`;
}
let engines: ToEngine[] = [];
/** Hands a root over, and gives what the engine is answered. */
async function hand(site: Site, text: string, from: Heard['from'] = 'peer'): Promise<ToEngine> {
  engines = [];
  site.engines.tell = (message) => void engines.push(message);
  const root = new TextEncoder().encode(text).buffer;
  site.releases.heard({ snapshot: idOf(0), root, from, by: 'dd' });
  while (!engines.some(({ type }) => /newest|bogus/.test(type))) await new Promise(setImmediate);
  return engines.find(({ type }) => /newest|bogus/.test(type))!;
}
const bogus: ToEngine = { type: 'bogus', by: 'dd' };
const nowSeconds = (): number => Math.floor(Date.now() / 1000);
const day = 86_400;

test('a page that is looked at, and greets, has the origin asked if that was long ago', async () => {
  const site = await opened();
  const greets = async (visibilityState: string, agreed = protocol): Promise<void> => {
    const data = { type: 'hello', protocol: agreed, canShare: false, gpc: false, loaded: [] };
    const source = { id: 'page', url: scope, visibilityState };
    await hear(site, { source, data, ports: [] } as unknown as ExtendableMessageEvent);
    await settled();
  };
  await pass(9 * 60_000);
  await greets('visible');
  assert.equal(asked, 0);
  await pass(60_000);
  release(2);
  await greets('hidden');
  await greets('visible', protocol + 1);
  assert.deepEqual([asked, updates()], [0, []]);
  await greets('visible');
  await greets('visible');
  assert.deepEqual([asked, updates()], [1, [idOf(2)]]);
});

/** A site whose origin shows release 1 with sequence number 5. */
async function openedSigned(): Promise<Site> {
  const site = await opened();
  manifest = signed(1, 5);
  await site.snapshots.validate();
  while (!site.releases.state.sequence) await new Promise(setImmediate);
  asked = 0;
  told = [];
  return site;
}

const updates = (): string[] =>
  told.flatMap((message) => (message.planktos === 'update' ? [message.detail.snapshot] : []));

test('a hint has the origin asked once, and open pages told', async () => {
  const site = await opened();
  release(2);
  for (let i = 0; i < 100; i++) hint(site, 2);
  assert.equal(asked, 0, 'visitors hear of it together: they do not ask together');
  await pass(500);
  assert.equal(asked, 1);
  assert.equal(site.snapshots.current?.id, idOf(2));
  assert.deepEqual(updates(), [idOf(2)]);
  assert.equal(site.clients.get('page')?.snapshot, idOf(1), 'a page stays on its snapshot');
});

test('whatever is said, the origin is asked once in 30 s, and less often after each bogus hint', async () => {
  const site = await opened();
  const askedAt: number[] = [];
  for (let second = 0; second < 300; second++) {
    const before = asked;
    hint(site, 1000 + second);
    await pass(1000);
    if (asked > before) askedAt.push(second);
  }
  assert.equal(askedAt[0], 0);
  const gaps = askedAt.slice(1).map((at, i) => at - askedAt[i]!);
  assert.deepEqual(gaps.map((gap) => Math.round(gap / 60)), [1, 2], `asked at ${askedAt}`);
});

test('a hint that was right ends the back-off', async () => {
  const site = await opened();
  hint(site, 99);
  await pass(500);
  assert.deepEqual([asked, site.releases.state.peer], [1, 1]);
  hint(site, 2);
  release(2);
  await pass(61_000);
  assert.deepEqual([asked, site.releases.state.peer], [2, 0]);
  hint(site, 3);
  release(3);
  await pass(29_000);
  assert.equal(asked, 2);
  await pass(2_000);
  assert.equal(site.snapshots.current?.id, idOf(3));
});

test("what peers made up does not keep a tracker's word waiting", async () => {
  const site = await opened();
  for (let second = 0; second < 600; second++) {
    hint(site, 1000 + second);
    await pass(1000);
  }
  assert.equal(asked, 4);
  hint(site, 5000); // is to wait, and gives way
  release(2);
  hint(site, 2, 'tracker');
  await pass(500);
  assert.deepEqual([asked, site.snapshots.current?.id], [5, idOf(2)]);
  await pass(hours);
  assert.equal(asked, 5);
});

test('what a tracker made up has the origin asked less often, too', async () => {
  const site = await opened();
  const askedAt: number[] = [];
  for (let second = 0; second < 300; second++) {
    const before = asked;
    hint(site, 1000 + second, 'tracker');
    await pass(1000);
    if (asked > before) askedAt.push(second);
  }
  assert.equal(askedAt.length, 3, `asked at ${askedAt}`);
  release(2);
  hint(site, 2);
  await pass(500);
  assert.equal(site.snapshots.current?.id, idOf(2), 'nor does it keep peers waiting');
  assert.deepEqual([site.releases.state.tracker, site.releases.state.peer], [0, 0]);
});

test('what is known already, and what peers on an earlier release say, costs nothing', async () => {
  const site = await opened();
  hint(site, 1);
  release(2);
  hint(site, 2);
  await pass(500);
  hint(site, 2);
  hint(site, 1);
  await pass(hours);
  assert.equal(asked, 1);
  // The tracker may tell that the site went back.
  release(1);
  hint(site, 1, 'tracker');
  await pass(500);
  assert.deepEqual([asked, site.snapshots.current?.id], [2, idOf(1)]);
});

test('an origin that does not answer is not taken for a lie, nor asked more often', async () => {
  const site = await opened();
  manifest = undefined;
  hint(site, 2);
  await pass(500);
  assert.deepEqual([asked, site.releases.state.peer, site.snapshots.current?.id], [1, 0, idOf(1)]);
  release(2);
  hint(site, 2);
  await pass(31_000);
  assert.deepEqual([asked, site.snapshots.current?.id], [2, idOf(2)]);
});

test('a restart of the worker does not end the back-off', async () => {
  const site = await opened();
  hint(site, 99);
  await pass(500);
  await pass(1000);
  const again = (await Site.open(scope, true))!;
  assert.equal(again.releases.state.peer, 1);
  hint(again, 98);
  await pass(50_000);
  assert.equal(asked, 1);
});

test('a signed release is the newest without a question to the origin, and handed on', async () => {
  const site = await openedSigned();
  const text = signed(2, 6, { expires: nowSeconds() + day });
  const answer = await hand(site, text);
  assert.equal(answer.type, 'newest');
  const { snapshot, sequence, above, root } = answer as Extract<ToEngine, { type: 'newest' }>;
  assert.deepEqual([snapshot, sequence, above], [idOf(2), 6, 6]);
  assert.equal(new TextDecoder().decode(root), text);
  assert.deepEqual([asked, site.snapshots.current?.id, updates()], [0, idOf(2), [idOf(2)]]);
  assert.equal(site.clients.get('page')?.snapshot, idOf(1), 'a page stays on its snapshot');
  assert.equal(site.snapshots.fresh, false, 'the next navigation asks the origin');
  // Known by the next worker, too, which tells its engines.
  await pass(1000);
  const again = (await Site.open(scope, true))!;
  const heard: ToEngine[] = [];
  await again.releases.introduce((message) => heard.push(message));
  assert.deepEqual(heard, [answer]);
  assert.deepEqual(await hand(again, signed(3, 5)), bogus);
});

const refusals: [string, (site: Site) => string][] = [
  ['forged by another key', () => signed(2, 6, { key: theirs })],
  ['not signed', () => JSON.stringify(rootOf(idOf(2)))],
  ['truncated', () => signed(2, 6).slice(0, -200)],
  ['empty', () => ''],
  ['altered', () => signed(2, 6).replace('"copies":true', '"copies":false')],
  ['its number raised', () => signed(2, 6).replace('"sequence":6', '"sequence":7')],
  ['a downgrade', () => signed(2, 4)],
  ['expired', () => signed(2, 6, { expires: nowSeconds() - day - 1 })],
  ['its expiry raised', () => signed(2, 6, { expires: 1 }).replace('"expires":1', '"expires":9999999999')],
  ['larger than is handed on', () => signed(2, 6).padStart(maxSignedBytes + 1)],
];
for (const [name, make] of refusals) {
  test(`refused, and who brought it is not listened to: ${name}`, async () => {
    const site = await openedSigned();
    assert.deepEqual(await hand(site, make(site)), bogus);
    assert.deepEqual([site.snapshots.current?.id, updates(), site.releases.refused], [idOf(1), [], 1]);
    await pass(hours);
    assert.deepEqual([asked, site.releases.state.sequence], [0, 5], 'it costs nothing but a counter');
    assert.equal((await hand(site, signed(2, 6))).type, 'newest');
    assert.equal(site.snapshots.current?.id, idOf(2));
  });
}

test('signed, and no manifest: refused, and its number not used up', async () => {
  const site = await openedSigned();
  const text = '{"format":1,"sequence":6}';
  const signature = sign(null, Buffer.from('planktos manifest 1\n' + text), ours).toString('hex');
  assert.deepEqual(await hand(site, `${text.slice(0, -1)},"signature":"${signature}"}`), bogus);
  assert.deepEqual([site.snapshots.current?.id, site.releases.state.sequence], [idOf(1), 5]);
});

test('of two releases with one number the first stays, and nobody has lied', async () => {
  const site = await openedSigned();
  assert.equal((await hand(site, signed(2, 6))).type, 'newest');
  const answer = await hand(site, signed(3, 6));
  assert.equal(answer.type === 'newest' && answer.snapshot, idOf(2));
  assert.deepEqual([site.snapshots.current?.id, updates()], [idOf(2), [idOf(2)]]);
});

test('a clock that is a day off, either way, breaks nothing', async () => {
  const site = await openedSigned();
  assert.equal((await hand(site, signed(2, 6, { expires: nowSeconds() - day + 1 }))).type, 'newest', 'a day ahead');
  assert.equal((await hand(site, signed(3, 7, { expires: nowSeconds() + 2 * day }))).type, 'newest', 'a day behind');
  assert.equal((await hand(site, signed(4, 8, { expires: Number.MAX_SAFE_INTEGER }))).type, 'newest', 'as good as never');
  assert.equal(site.snapshots.current?.id, idOf(4));
});

test('the highest number leaves room for the origin alone', async () => {
  const site = await openedSigned();
  assert.equal((await hand(site, signed(2, Number.MAX_SAFE_INTEGER))).type, 'newest');
  assert.deepEqual(await hand(site, signed(3, 7)), bogus);
  manifest = signed(4, 8);
  await site.snapshots.validate();
  assert.equal(site.snapshots.current?.id, idOf(4));
});

test('the origin overrules, signed or not, and what it went back from is not taken up again', async () => {
  const site = await openedSigned();
  assert.equal((await hand(site, signed(2, 6))).type, 'newest');
  await site.snapshots.validate();
  assert.equal(site.snapshots.current?.id, idOf(1));
  await hand(site, signed(2, 6));
  assert.equal(site.snapshots.current?.id, idOf(1));
  manifest = JSON.stringify(rootOf(idOf(3)));
  await site.snapshots.validate();
  assert.equal(site.snapshots.current?.id, idOf(3));
  assert.deepEqual(await hand(site, signed(1, 5)), bogus);
  assert.equal((await hand(site, signed(4, 7))).type, 'newest');
});

test('an origin that shows now the old release, now the new one, tells pages of each twice at most', async () => {
  const site = await openedSigned();
  for (let i = 0; i < 50; i++) {
    manifest = signed(1 + (i % 2), 5 + (i % 2));
    await site.snapshots.validate();
  }
  assert.ok(updates().length >= 1 && updates().length <= 4, updates().join());
  assert.equal(site.clients.get('page')?.snapshot, idOf(1));
});

test('a new key counts anew', async () => {
  const site = await openedSigned();
  await hand(site, signed(2, Number.MAX_SAFE_INTEGER));
  const kept = { ...site.releases.state, key: '00'.repeat(32) };
  site.releases.load(kept);
  assert.equal(site.releases.state.sequence, 0);
});

test('without a manifest, as after a refusal of the origin, nothing is believed', async () => {
  const site = await openedSigned();
  site.snapshots.current = undefined;
  const root = new TextEncoder().encode(signed(2, 6)).buffer;
  site.releases.heard({ snapshot: idOf(2), root, from: 'peer' });
  await settled();
  assert.equal(site.snapshots.current, undefined);
});

test('a signed word that Planktos is to leave is obeyed, whoever hands it on, and no other', async () => {
  const site = await openedSigned();
  for (const text of [signed(2, 4, { disabled: true }), signed(2, 6, { disabled: true, key: theirs })]) {
    assert.deepEqual(await hand(site, text), bogus);
  }
  assert.deepEqual([left, site.snapshots.current?.id], [0, idOf(1)]);
  const root = new TextEncoder().encode(signed(2, 6, { disabled: true })).buffer;
  site.releases.heard({ snapshot: idOf(0), root, from: 'tracker' });
  while (!left) await pass(1000);
  assert.deepEqual([left, site.snapshots.current], [1, undefined]);
});

test('who leaves by a signed word hands it to the peers it has before', async () => {
  const site = await openedSigned();
  const engines: ToEngine[] = [];
  site.engines.tell = (message) => void engines.push(message);
  Object.defineProperty(site.engines, 'connections', { value: 1 });
  const root = new TextEncoder().encode(signed(2, 6, { disabled: true })).buffer;
  site.releases.heard({ snapshot: idOf(0), root, from: 'tracker' });
  while (!engines.length && !left) await new Promise(setImmediate);
  assert.deepEqual(engines, [{ type: 'newest', snapshot: idOf(1), sequence: 6, root, above: 6 }]);
  assert.equal(left, 0, 'they have time to ask for it');
  while (!left) await pass(1000);
  assert.deepEqual([left, site.snapshots.current], [1, undefined]);
});
