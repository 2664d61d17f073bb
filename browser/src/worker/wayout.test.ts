/** How a worker leaves: when its site is rid of Planktos, and when its own script keeps failing. */
import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { protocol } from '../shared/messages.ts';
import { asWorker, idOf, rootOf, scope } from './testing.test.ts';
import { put } from '../store/writer.ts';

const minutes = 60_000;

/** What the origin answers, by path; anything else is a test's mistake. */
let answers: Record<string, number>;
/** What is at the manifest's URL, where that answers 200. */
let manifest = '';
let unregistered = 0;
let openFiles: () => Promise<never>;
let databases: string[] = [];
const fakeCaches = asWorker({
  async fetch(url, { cache } = {}) {
    const status = answers[new URL(String(url)).pathname];
    assert.ok(status, `asked for ${String(url)}`);
    assert.match(String(cache), /^no-(cache|store)$/, 'the HTTP cache may not answer for the origin');
    return new Response(status === 200 ? manifest : null, { status });
  },
  unregister: async () => ++unregistered,
  deleteDatabase: (name) => void (databases = databases.filter((each) => each !== name)),
  getDirectory: () => openFiles(),
});

const { Site } = await import('./site.ts');

beforeEach(() => {
  fakeCaches.all.clear();
  unregistered = 0;
  databases = ['planktos-standby', "the site's own"];
  openFiles = async () => Promise.reject(new Error('no file system here'));
  answers = {};
  mock.timers.reset();
  mock.timers.enable({ apis: ['Date'], now: 1_000_000_000 });
});

/** A site whose origin answers so, asked for its manifest once. */
async function ask(site: InstanceType<typeof Site>, worker: number, manifest: number, root = 200): Promise<void> {
  answers = { '/planktos/manifest.json': manifest, '/planktos.sw.min.js': worker, '/': root };
  await site.snapshots.validate();
}

async function opened(own = true): Promise<InstanceType<typeof Site>> {
  const site = await Site.open(scope, own);
  assert.ok(site);
  return site;
}

for (const status of [404, 410]) {
  test(`worker and manifest answer ${status} twice, ten minutes apart: the worker leaves`, async () => {
    const site = await opened();
    site.consent = 'granted';
    await put(site.store, { hash: 'a'.repeat(64), size: 1 }, new Uint8Array(1));
    await ask(site, status, status);
    mock.timers.tick(10 * minutes - 1);
    await ask(site, status, status);
    assert.equal(unregistered, 0);
    assert.equal((await site.store.list()).length, 1);
    mock.timers.tick(1);
    await ask(site, status, status);
    assert.equal(unregistered, 1);
    assert.deepEqual(await site.store.list(), []);
    await site.records.set('state', site.persistent());
    assert.equal(fakeCaches.all.size, 0, 'what pages still say is not written down again');
  });
}

test('the time is remembered when the worker is stopped meanwhile', async () => {
  await ask(await opened(), 404, 404);
  mock.timers.tick(10 * minutes);
  await ask(await opened(), 404, 410);
  assert.equal(unregistered, 1);
});

for (const [what, worker, manifest, root] of [
  ['the script is still there', 200, 404, 200],
  ['the script answers otherwise', 500, 404, 200],
  ['the whole host answers 404', 404, 404, 404],
  ['the host is failing', 404, 503, 200],
] as const) {
  test(`the worker stays where ${what}`, async () => {
    const site = await opened();
    await ask(site, worker, manifest, root);
    mock.timers.tick(11 * minutes);
    await ask(site, worker, manifest, root);
    mock.timers.tick(11 * minutes);
    await ask(site, worker, manifest, root);
    assert.equal(unregistered, 0);
  });
}

test('a script that comes back starts the ten minutes anew', async () => {
  const site = await opened();
  await ask(site, 404, 404);
  mock.timers.tick(11 * minutes);
  await ask(site, 200, 404);
  await ask(site, 404, 404);
  assert.equal(unregistered, 0);
  mock.timers.tick(10 * minutes);
  await ask(site, 404, 404);
  assert.equal(unregistered, 1);
});

test("a site's own worker is not ours to unregister", async () => {
  const site = await opened(false);
  await ask(site, 404, 404);
  mock.timers.tick(11 * minutes);
  await ask(site, 404, 404);
  assert.equal(unregistered, 0);
});

test('a refusal of consent outlives a purge, consent does not', async () => {
  for (const [before, after] of [['denied', 'denied'], ['granted', 'unset']] as const) {
    const site = await opened();
    site.consent = before;
    await ask(site, 200, 401);
    assert.deepEqual(databases, ["the site's own"], 'what an engine left to the next one goes too');
    assert.equal(site.consent, after);
    assert.equal((await opened()).consent, after);
  }
});

/** A start that does not get ready; resolves to whether the script switched itself off instead. */
async function failingStart(): Promise<boolean> {
  let reached = (): void => {};
  const tried = new Promise<boolean>((resolve) => (reached = () => resolve(false)));
  openFiles = () => new Promise<never>(reached);
  return Promise.race([tried, Site.open(scope, true).then((site) => site === undefined)]);
}

test('three starts that fail within a minute switch the worker off, and it stays off', async () => {
  for (let i = 0; i < 3; i++) {
    assert.equal(await failingStart(), false, `start ${i}`);
    mock.timers.tick(1000);
  }
  assert.equal(await failingStart(), true);
  assert.equal(await Site.open(scope, true), undefined);
  mock.timers.tick(minutes);
  assert.equal(await failingStart(), true);
});

test('another script gets its own chance', async () => {
  for (let i = 0; i < 3; i++) await failingStart();
  assert.equal(await failingStart(), true);
  await Site.forgetStarts(scope);
  assert.equal(await failingStart(), false);
});

/** The origin shows a release: the document of its manifest, by number. */
function shows(release: number): void {
  answers = { '/planktos/manifest.json': 200 };
  manifest = JSON.stringify(rootOf(idOf(release)));
}

test('so does the same script with each release, and with no other answer of the origin', async () => {
  shows(1);
  const site = await opened();
  site.consent = 'granted';
  assert.equal(await site.snapshots.validate(), true);
  await site.records.set('state', site.persistent());

  for (let i = 0; i < 3; i++) assert.equal(await failingStart(), false);
  assert.equal(await Site.released(scope), false);
  for (const [status, text] of [[404, ''], [503, ''], [200, '<!doctype html>']] as const) {
    answers = { '/planktos/manifest.json': status };
    manifest = text;
    await assert.rejects(Site.released(scope));
  }
  assert.equal(await failingStart(), true);

  shows(2);
  assert.equal(await Site.released(scope), true);
  for (let i = 0; i < 3; i++) assert.equal(await failingStart(), false, `start ${i} of the second release`);
  assert.equal(await failingStart(), true);
  assert.equal(await Site.released(scope), false, 'one chance a release');

  shows(3);
  assert.equal(await Site.released(scope), true);
  openFiles = async () => Promise.reject(new Error('no file system here'));
  const next = await opened();
  assert.equal(next.snapshots.current, undefined, 'what pages have been since is nothing that it knows of');
  assert.equal(await next.snapshots.validate(), true);
  assert.deepEqual([next.snapshots.current!.id, next.consent], [idOf(3), 'granted']);
});

test('a script that has never got ready has one chance more', async () => {
  shows(1);
  for (let i = 0; i < 3; i++) await failingStart();
  assert.deepEqual([await Site.released(scope), await Site.released(scope)], [true, false]);
});

test('a script that is off sees that the site has disabled Planktos, and leaves if it can', async () => {
  for (let i = 0; i < 3; i++) await failingStart();
  answers = { '/planktos/manifest.json': 200 };
  manifest = '{"format":1,"disabled":true}';
  assert.deepEqual([await Site.released(scope), await Site.released(scope)], [true, false]);
  openFiles = async () => Promise.reject(new Error('no file system here'));
  await (await opened()).snapshots.validate();
  assert.equal(unregistered, 1);
});

test('starts that succeed are no crash loop, however many', async () => {
  for (let i = 0; i < 6; i++) assert.ok(await Site.open(scope, true));
});

test('of what another protocol recorded, a refusal alone is read', async () => {
  for (const [before, after] of [['granted', 'unset'], ['denied', 'denied']] as const) {
    const first = await opened();
    Object.assign(first, { consent: before, paused: true });
    await first.records.set('shield', 'of another shape');
    await first.records.set('state', { ...first.persistent(), protocol: protocol + 1 });
    for (const start of ['first', 'second']) {
      const next = await opened();
      assert.deepEqual([next.consent, next.paused], [after, false], `${before}, at the ${start} start`);
      assert.equal(await next.records.get('shield'), undefined);
    }
    fakeCaches.all.clear();
  }
});
