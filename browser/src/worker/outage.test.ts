/** What the worker makes of an origin's answers to the question for its manifest, and what pages are told. */
import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { readFileSync } from 'node:fs';
import type { Posted } from '../shared/messages.ts';
import { asWorker, scope, settled as turns } from './testing.test.ts';
import { put } from '../store/writer.ts';

const vectors = JSON.parse(
  readFileSync(new URL('../../../testdata/vectors/manifest.json', import.meta.url), 'utf8'),
) as { valid: { manifest: string }[] };
const manifest = vectors.valid[0]!.manifest;

/** What the origin answers to everything; undefined: nothing at all. */
let answer: (() => Promise<Response>) | undefined;
/** What it answers for the site's own page, if something else. */
let front = 0;
let asked = 0;
let unregistered = 0;
const told: Posted[] = [];
const page = { id: 'page', postMessage: (message: Posted) => void told.push(message) };

const caches = asWorker({
  async fetch(url, { signal } = {}) {
    asked++;
    if (url === scope && front) return new Response('the site', { status: front });
    return answer?.() ?? new Promise((_, fail) => signal?.addEventListener('abort', () => fail(signal.reason)));
  },
  pages: [page],
  unregister: async () => ++unregistered,
});

const { Site } = await import('./site.ts');
const { markStale, probe } = await import('./outage.ts');
type Site = InstanceType<typeof Site>;

/** Looks at the manifest, and writes down what comes of it. */
async function look(site: Site): Promise<boolean> {
  const looking = site.snapshots.validate();
  await turns();
  mock.timers.tick(100);
  return looking;
}
const says = (status: number, body = '') => (answer = async () => new Response(body, { status }));
const refuses = () => (answer = async () => Promise.reject(new TypeError('refused')));
const states = (): string[] => told.flatMap(({ planktos, set }) => (planktos === 'origin' ? set.originState! : []));

beforeEach(() => {
  caches.all.clear();
  told.length = asked = unregistered = front = 0;
  mock.timers.reset();
  mock.timers.enable({ apis: ['Date', 'setTimeout'], now: 1_000_000_000_000 });
});

async function opened(own = true): Promise<Site> {
  says(200, manifest);
  const site = (await Site.open(scope, own))!;
  assert.equal(await site.snapshots.validate(), true);
  asked = 0;
  await turns();
  told.length = 0;
  return site;
}

const outages: Array<[string, () => unknown]> = [
  ['refuses', refuses],
  ['answers 503', () => says(503)],
  ['answers 429', () => says(429, 'slow down')],
  ['answers HTML with 200', () => says(200, '<!doctype html><title>Sign in</title>')],
  ['answers nothing with 200', () => says(200)],
  ['answers half a manifest with 200', () => says(200, manifest.slice(0, -9))],
  ['answers other JSON with 200', () => says(200, '{"error": "no such app"}')],
  ['answers null with 200', () => says(200, 'null')],
];
for (const [how, begin] of outages) {
  test(`the origin ${how}: it is down, and the site goes on; then it is up again`, async () => {
    const site = await opened();
    const { current } = site.snapshots;
    begin();
    assert.equal(await site.snapshots.validate(), false);
    assert.equal(await site.snapshots.validate(), false);
    await turns();
    assert.equal(site.snapshots.current, current);
    assert.deepEqual([site.originState, site.snapshots.originDown, states()], ['down', true, ['down']]);
    says(200, manifest);
    assert.equal(await site.snapshots.validate(), true);
    await turns();
    assert.deepEqual([site.originState, site.snapshots.originDown, states()], ['up', false, ['down', 'up']]);
  });
}

for (const [what, status, body] of [
  ['no manifest any more', 404, 'not found'],
  ['a manifest of a later format', 200, '{"format":2}'],
  ['a manifest that nobody can read', 200, '{"format":1,"files":7}'],
] as const) {
  test(`an origin that has ${what} is up, and the page as over plain HTTP`, async () => {
    const site = await opened();
    says(status, body);
    front = 200;
    assert.equal(await look(site), true);
    assert.equal(site.snapshots.current, undefined);
    assert.deepEqual([site.originState, states()], ['up', []]);
  });
}

for (const [gone, status] of [[404, 404], [410, 410], [404, 503]] as const) {
  test(`a host that answers ${gone} for the manifest and ${status} for the site has lost it: it is down`, async () => {
    const site = await opened();
    const { current } = site.snapshots;
    says(gone, 'There is no such site here.');
    front = status;
    assert.equal(await look(site), false);
    assert.deepEqual([site.snapshots.current, site.originState, states()], [current, 'down', ['down']]);
    mock.timers.tick(11 * 60_000);
    assert.equal(await look(site), false);
    assert.deepEqual([site.snapshots.current, unregistered], [current, 0]);
    says(200, manifest);
    assert.equal(await look(site), true);
    assert.deepEqual([site.originState, states()], ['up', ['down', 'up']]);
  });
}

test('of a site without a page at its root, a missing manifest says that it is rid of Planktos', async () => {
  const { files, ...root } = JSON.parse(manifest) as { files: [string][] };
  says(200, JSON.stringify({ ...root, files: files.filter(([path]) => path !== 'index.html') }));
  const site = (await Site.open(scope, true))!;
  assert.equal(await site.snapshots.validate(), true);
  says(404);
  assert.equal(await look(site), true);
  assert.deepEqual([site.snapshots.current, site.originState], [undefined, 'up']);
});

test('an origin that hangs is down after 5 s, and up when it does answer', async () => {
  const site = await opened();
  let respond = (_: Response): void => {};
  answer = () => new Promise((resolve) => (respond = resolve));
  const asking = site.snapshots.validate();
  mock.timers.tick(4999);
  assert.equal(site.originState, 'up');
  mock.timers.tick(1);
  assert.equal(site.originState, 'down');
  respond(new Response(manifest));
  assert.equal(await asking, true);
  assert.equal(site.originState, 'up');
});

test('a failure elsewhere has the origin asked, once, whether it is an outage', async () => {
  const site = await opened();
  site.snapshots.failing = true;
  site.snapshots.failing = true;
  await turns();
  assert.deepEqual([asked, site.originState, site.snapshots.originDown], [1, 'up', false]);
  refuses();
  site.snapshots.failing = true;
  await turns();
  assert.deepEqual([asked, site.originState], [2, 'down']);
  site.snapshots.failing = false;
  assert.ok(site.snapshots.originDown, 'some answer is not a manifest');
});

test('the state outlives the worker', async () => {
  const site = await opened();
  refuses();
  await site.snapshots.validate();
  mock.timers.tick(100);
  await turns();
  const next = (await Site.open(scope, true))!;
  assert.deepEqual([next.originState, next.shownMs], ['down', 1_000_000_000_000]);
});

test('responses tell how old the news of the site is, in an outage and while the origin says nothing', async () => {
  const site = await opened();
  const stale = (): string | null => markStale(site, new Headers()).get('planktos-stale');
  assert.equal(stale(), null);
  mock.timers.tick(90_000);
  assert.equal(stale(), null);
  answer = undefined;
  void site.snapshots.validate();
  assert.equal(stale(), null);
  mock.timers.tick(1200);
  assert.equal(stale(), '91');
  mock.timers.tick(60_000);
  assert.equal(stale(), '151');
  says(200, manifest);
  await site.snapshots.validate();
  assert.equal(stale(), null);
});

test('pages keep time: the origin is asked at growing intervals, at least every 30 s, however many pages there are', async () => {
  const site = await opened();
  refuses();
  await site.snapshots.validate();
  asked = 0;
  const times: number[] = [];
  for (let second = 1; second <= 300; second++) {
    mock.timers.tick(1000);
    const before = asked;
    for (let tab = 0; tab < 5; tab++) void probe(site);
    await turns();
    if (asked > before) times.push(second);
    assert.ok(asked - before <= 1);
  }
  const gaps = times.map((second, i) => second - (times[i - 1] ?? 0));
  assert.ok(Math.max(...gaps) <= 17, `${gaps}`);
  assert.ok(Math.min(...gaps.slice(3)) >= 8, `${gaps}`);
});

test('a site that is disabled: nothing is kept, and the worker goes', async () => {
  for (const body of ['{"format":1,"disabled":true}', '{"format":9,"disabled":true,"snapshot":"?"}']) {
    const site = await opened();
    await put(site.store, { hash: 'a'.repeat(64), size: 1 }, new Uint8Array(1));
    says(200, body);
    await look(site);
    assert.deepEqual([site.snapshots.current, site.snapshots.live.size, await site.store.list()], [undefined, 0, []]);
    mock.timers.tick(2000);
    await turns();
    assert.equal(caches.all.size, 0);
  }
  assert.equal(unregistered, 2);
});

test("a site's own worker stays when the site is disabled, and ours in it comes back", async () => {
  const site = await opened(false);
  says(200, '{"format":1,"disabled":true}');
  await look(site);
  assert.deepEqual([unregistered, site.snapshots.current], [0, undefined]);
  says(200, manifest);
  await look(site);
  assert.ok(site.snapshots.current);
});

test('what only sounds like it disables nothing', async () => {
  const site = await opened();
  for (const value of ['false', '1', '"true"', 'null']) {
    says(200, manifest.replace('{', `{"disabled":${value},`));
    await look(site);
    assert.ok(site.snapshots.current, value);
  }
});
