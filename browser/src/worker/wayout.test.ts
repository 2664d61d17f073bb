/** How a worker leaves: when its site is rid of Planktos, and when its own script keeps failing. */
import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { protocol } from '../shared/messages.ts';

const scope = 'https://a.example/';
const minutes = 60_000;

/** A Cache Storage in memory, as far as the worker's records use it. */
class FakeCaches {
  readonly all = new Map<string, Map<string, Response>>();

  async open(name: string) {
    const entries = this.all.get(name) ?? new Map<string, Response>();
    this.all.set(name, entries);
    return {
      match: async (url: string) => entries.get(url)?.clone(),
      put: async (url: string, response: Response) => void entries.set(url, response),
      delete: async (url: string) => entries.delete(url),
    };
  }
  async delete(name: string) {
    return this.all.delete(name);
  }
}

/** What the origin answers, by path; anything else is a test's mistake. */
let answers: Record<string, number>;
let unregistered = 0;
let openFiles: () => Promise<never>;
const fakeCaches = new FakeCaches();

Object.assign(globalThis, {
  caches: fakeCaches,
  fetch: async (url: string, { cache }: RequestInit = {}) => {
    const status = answers[new URL(url).pathname];
    assert.ok(status, `asked for ${url}`);
    assert.match(String(cache), /^no-(cache|store)$/, 'the HTTP cache may not answer for the origin');
    return new Response(null, { status });
  },
  self: {
    location: { href: `${scope}planktos.sw.min.js` },
    registration: { unregister: async () => ++unregistered },
    clients: { matchAll: async () => [], get: async () => undefined },
  },
});
Object.defineProperty(globalThis, 'navigator', { value: { storage: { getDirectory: () => openFiles() } } });

const { Site } = await import('./site.ts');

beforeEach(() => {
  fakeCaches.all.clear();
  unregistered = 0;
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
    await site.store.put({ hash: 'a'.repeat(64), size: 1 }, new Uint8Array(1));
    await ask(site, status, status);
    mock.timers.tick(10 * minutes - 1);
    await ask(site, status, status);
    assert.equal(unregistered, 0);
    assert.equal((await site.store.list()).length, 1);
    mock.timers.tick(1);
    await ask(site, status, status);
    assert.equal(unregistered, 1);
    assert.deepEqual(await site.store.list(), []);
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

test('a release gets its own chance', async () => {
  for (let i = 0; i < 3; i++) await failingStart();
  assert.equal(await failingStart(), true);
  await Site.forgetStarts(scope);
  assert.equal(await failingStart(), false);
});

test('starts that succeed are no crash loop, however many', async () => {
  for (let i = 0; i < 6; i++) assert.ok(await Site.open(scope, true));
});

test('what another protocol stored is thrown away, not read', async () => {
  const first = await opened();
  first.consent = 'granted';
  const state = { ...first.persistent(), protocol: protocol + 1 };
  await first.records.set('state', state);
  const next = await opened();
  assert.equal(next.consent, 'unset');
  assert.equal(await next.records.get('state'), undefined);
});
