/** Sub-resources of a page whose origin has its manifest, and trouble with one path. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import type { FileRow } from '../shared/manifest.ts';
import type { FromEngine, Posted, ToEngine } from '../shared/messages.ts';
import { patienceMs } from '../shared/policy.ts';
import { asWorker, idOf, rootOf, rowOf, scope, settled } from './testing.test.ts';

type Answer = (range: string | null) => Promise<Response> | Response;

/** What the origin answers, by path; 404 to others. */
const answers = new Map<string, Answer>();
const asked: string[] = [];
const told: Posted[] = [];
const page = { id: 'page', postMessage: (message: Posted) => void told.push(message) };
const caches = asWorker({
  async fetch(request, init) {
    const { url, headers } = typeof request === 'string' ? { url: request, headers: init?.headers } : request;
    const path = url.slice(scope.length);
    if (path !== manifestPath) asked.push(path);
    return (answers.get(path) ?? says(404))(new Headers(headers).get('range'));
  },
  pages: [page],
});
const { Site } = await import('./site.ts');
const { resource } = await import('./resource.ts');
type Site = InstanceType<typeof Site>;

const manifestPath = 'planktos/manifest.json';
const text = 'picture '.repeat(2500);
const long = 'sound'.repeat(120_000);
const picture = await rowOf('a.png', text);
const sound = await rowOf('a.wav', long);
const copyOf = (row: FileRow): string => `planktos/${row[1]}`;

const says =
  (status: number, body = 'no'): Answer =>
  () =>
    new Response(body, { status });
const refuses: Answer = () => Promise.reject(new TypeError('refused'));

/** A host's file, whole or by range (RFC 9110, 14). */
const file =
  (body: string, headers: Record<string, string> = {}): Answer =>
  (range) => {
    const [, first, last] = /bytes=(\d+)-(\d+)/.exec(range ?? '') ?? [];
    const length = String(body.length);
    if (first === undefined) return new Response(body, { headers: { 'content-length': length, ...headers } });
    const [start, end] = [Number(first), Math.min(Number(last) + 1, body.length)];
    if (start >= end) return new Response(null, { status: 416, headers: { 'content-range': `bytes */${length}` } });
    const part = { 'content-range': `bytes ${start}-${end - 1}/${length}`, 'content-length': `${end - start}` };
    return new Response(body.slice(start, end), { status: 206, headers: { ...part, ...headers } });
  };

/** A page's engine, whose answer to every `get` the test gives; by default it stands there. */
class FakeEngine {
  onmessage: ((event: { data: FromEngine; ports: MessagePort[] }) => void) | undefined;
  gets: Extract<ToEngine, { type: 'get' }>[] = [];
  holds: string | undefined;

  postMessage(message: ToEngine): void {
    if (message.type !== 'get') return;
    this.gets.push(message);
    if (this.holds !== undefined) queueMicrotask(() => this.serve(message.id, this.holds!));
  }
  serve(id: number, body: string): void {
    const { buffer } = new TextEncoder().encode(body);
    for (const data of [{ type: 'accept', id }, { type: 'chunk', id, data: buffer }, { type: 'end', id }] as const) {
      this.onmessage!({ data, ports: [] });
    }
  }
  addEventListener(): void {}
  close(): void {}
}

let site: Site;
let engine: FakeEngine;

beforeEach(async () => {
  caches.all.clear();
  answers.clear();
  answers.set(manifestPath, says(200, JSON.stringify(rootOf(idOf(1), { files: [picture, sound] }))));
  mock.timers.enable({ apis: ['setTimeout'] });
  site = (await Site.open(scope, true))!;
  await site.snapshots.validate();
  const base = { ...site.totals };
  site.clients.set('page', { snapshot: idOf(1), atMs: Date.now() - 60_000, base, navigated: true, canShare: true });
  engine = new FakeEngine();
  site.engines.attach('page', engine as unknown as MessagePort, {} as MessagePort);
  // Nobody had it in time: what follows is the origin's turn.
  site.mayShare = () => !!asked.length;
  asked.length = told.length = 0;
});
afterEach(() => mock.timers.reset());

/** A request of the page; what it comes to, once it has. */
function request([path]: FileRow, range?: string) {
  const { signal } = new AbortController();
  const headers = new Headers(range ? { range } : {});
  const destination = range ? 'video' : 'image';
  const url = scope + path;
  const asks = { url, method: 'GET', mode: 'no-cors', cache: 'default', referrer: '', referrerPolicy: '' };
  const event = {
    request: { ...asks, destination, headers, signal },
    clientId: 'page',
    resultingClientId: '',
    waitUntil() {},
  } as unknown as FetchEvent;
  const made: { response?: Response; body?: string; over: Promise<unknown> } = { over: Promise.resolve() };
  made.over = resource(site, event, path).then(async (response) => {
    made.response = response;
    made.body = await response.text().catch(() => 'broken off');
  });
  return made;
}

/** The same, for what needs no time to pass, and what is done behind the page's back. */
async function got(row: FileRow, range?: string) {
  const made = request(row, range);
  await made.over;
  await settled();
  mock.timers.tick(1000);
  await settled();
  return { status: made.response!.status, body: made.body, headers: made.response!.headers };
}
const mismatches = (): unknown[] => told.filter(({ planktos }) => planktos === 'mismatch').map(({ detail }) => detail);
const part = (row: FileRow): string => (row === sound ? long : text).slice(1000, 2000);

for (const [how, failing] of [['answers 500', says(500)], ['is refused', refuses]] as const) {
  test(`a path that ${how}, while the origin is up: its copy, whole and by range`, async () => {
    for (const row of [picture, sound]) {
      answers.set(row[0], failing);
      answers.set(copyOf(row), file(row === sound ? long : text));
    }
    const whole = await got(picture);
    assert.deepEqual([whole.status, whole.body === text], [200, true]);
    const ranged = await got(sound, 'bytes=1000-1999');
    assert.deepEqual([ranged.status, ranged.body], [206, part(sound)]);
    assert.equal(site.originState, 'up');
  });
}

test('the copy fails, too: the engine is asked for as long as an origin is waited for, and no longer', async () => {
  answers.set(picture[0], says(500));
  answers.set(copyOf(picture), says(500));
  const made = request(picture);
  await settled();
  assert.deepEqual(asked, [picture[0], copyOf(picture)]);
  assert.equal(engine.gets.at(-1)?.peersOnly, true);
  assert.equal(made.response, undefined);
  mock.timers.tick(patienceMs);
  await made.over;
  assert.deepEqual([made.response!.status, made.body], [500, 'no']);
});

test('neither path nor copy is to be had: a network error, as over plain HTTP', async () => {
  answers.set(picture[0], refuses);
  answers.set(copyOf(picture), refuses);
  const made = request(picture);
  await settled();
  mock.timers.tick(patienceMs);
  await made.over;
  assert.equal(made.response!.type, 'error');
});

test('path and copy fail, and a peer has it', async () => {
  answers.set(picture[0], says(500));
  answers.set(copyOf(picture), says(500));
  engine.holds = text;
  const { status, body } = await got(picture);
  assert.deepEqual([status, body === text], [200, true]);
});

test('a path that says nothing, and then 500: the wait for the engine ends from then on', async () => {
  let answer!: (response: Response) => void;
  answers.set(picture[0], () => new Promise((resolve) => (answer = resolve)));
  answers.set(copyOf(picture), says(500));
  const made = request(picture);
  await settled();
  for (let i = 0; i < 3; i++) {
    mock.timers.tick(patienceMs);
    await settled();
  }
  assert.equal(made.response, undefined);
  answer(new Response('late', { status: 500 }));
  await settled();
  mock.timers.tick(patienceMs);
  await made.over;
  assert.deepEqual([made.response!.status, made.body], [500, 'late']);
});

test('an outage is no such thing: the copy is not asked for, and the engine has its time', async () => {
  answers.set(manifestPath, says(503));
  answers.set(picture[0], says(503));
  answers.set(copyOf(picture), file(text));
  const made = request(picture);
  await settled();
  mock.timers.tick(3 * patienceMs);
  await settled();
  assert.deepEqual([asked, made.response, site.originState], [[picture[0]], undefined, 'down']);
  engine.serve(engine.gets.at(-1)!.id, text);
  await made.over;
  assert.equal(made.body, text);
});

test('a range of a path that is gone comes from the copy', async () => {
  answers.set(copyOf(sound), file(long));
  const { status, body, headers } = await got(sound, 'bytes=1000-1999');
  assert.deepEqual([status, body], [206, part(sound)]);
  assert.equal(headers.get('content-range'), `bytes 1000-1999/${long.length}`);
});

const other = 'noise'.repeat(70_000);
const versions: [string, Answer, string][] = [
  ['206', file(other), 'bytes=1000-1999'],
  ['416, since the other is shorter', file(other), 'bytes=500000-500999'],
  ['200, by a host that knows no ranges', () => file(other)(null), 'bytes=1000-1999'],
];
for (const [how, answer, range] of versions) {
  test(`a range of a path that has another version (${how}) comes from the copy, and the page is told`, async () => {
    answers.set(sound[0], answer);
    answers.set(copyOf(sound), file(long));
    const start = Number(/\d+/.exec(range));
    // However often: a medium whose first part was the copy's goes on with that.
    for (let time = 0; time < 4; time++) {
      await site.store.delete({ hash: sound[1], size: sound[2] });
      const { status, body } = await got(sound, range);
      assert.deepEqual([status, body], [206, long.slice(start, start + 1000)]);
    }
    assert.deepEqual(mismatches(), Array(4).fill({ path: sound[0], mixed: false, altered: false }));
  });
}

test('a range of another version, and no copy: what the path has, and the page is told', async () => {
  answers.set(sound[0], file(other));
  const { status, body } = await got(sound, 'bytes=1000-1999');
  assert.deepEqual([status, body], [206, other.slice(1000, 2000)]);
  assert.deepEqual(mismatches(), [{ path: sound[0], mixed: true, altered: false }]);
});

test("a range is the origin's own where it tells of this version, of an encoded one, or of no size", async () => {
  const range = 'bytes=1000-1999';
  answers.set(copyOf(sound), file(long));
  for (const [answer, body] of [
    [file(long), part(sound)],
    [file(other, { 'content-encoding': 'br' }), other.slice(1000, 2000)],
    [file(other, { 'content-range': 'bytes 1000-1999/*' }), other.slice(1000, 2000)],
    [file(other, { 'cache-control': 'private' }), other.slice(1000, 2000)],
  ] as const) {
    answers.set(sound[0], answer);
    assert.deepEqual((await got(sound, range)).body, body);
  }
  assert.ok(!asked.includes(copyOf(sound)));
  assert.deepEqual(mismatches(), []);
});
