/** What lies in the store under a content's name, and is something else: any script of the origin can write there. */
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import type { FileRow } from '../shared/manifest.ts';
import type { ToEngine } from '../shared/messages.ts';
import { nameOf, Store } from '../store/store.ts';
import { FakeDirectory } from '../store/testing.test.ts';
import { asWorker, idOf as idOfSnapshot, rootOf, rowOf, scope, settled } from './testing.test.ts';

/** What the origin has, by path. */
const files = new Map<string, string>();
const asked: string[] = [];
const types = { js: 'text/javascript', css: 'text/css', html: 'text/html', wasm: 'application/wasm' };

const caches = asWorker({
  async fetch(request) {
    const path = new URL(typeof request === 'string' ? request : request.url).pathname.slice(1);
    asked.push(path);
    const type = types[path.split('.').at(-1) as keyof typeof types] ?? 'application/json';
    const status = files.has(path) ? 200 : 404;
    return new Response(files.get(path) ?? null, { status, headers: { 'content-type': type } });
  },
});

const { Site } = await import('./site.ts');
const { Keeper } = await import('./keeper.ts');
const { idOf } = await import('./content.ts');
const { resource } = await import('./resource.ts');
const { navigation } = await import('./navigation.ts');
type Site = InstanceType<typeof Site>;

beforeEach(() => {
  caches.all.clear();
  files.clear();
  asked.length = 0;
});

/** A site of one file, with these bytes in the store under its name; and what its engines are told. */
async function holding(path: string, text: string, there: string) {
  const row = await rowOf(path, text);
  const root = rootOf(idOfSnapshot(1), { files: [row] });
  root.types = Object.entries(types).sort(([a], [b]) => (a < b ? -1 : 1));
  files.set('planktos/manifest.json', JSON.stringify(root)).set(path, text);
  const directory = new FakeDirectory();
  const site = (await Site.open(scope, true))!;
  site.store = new Store(directory);
  site.keeper = new Keeper(site);
  await site.snapshots.validate();
  const told: ToEngine[] = [];
  site.engines.tell = (message) => void told.push(message);
  const name = nameOf(idOf(row));
  directory.files.set(name, new Blob([there]));
  asked.length = 0;
  const kept = async (): Promise<string | undefined> => directory.files.get(name)?.text();
  return { site, row, told, kept };
}

/** What a page's request comes to, once the worker is done with it. */
async function request(site: Site, path: string, destination: string): Promise<string> {
  const waits: Promise<unknown>[] = [];
  const { signal } = new AbortController();
  const event = {
    request: { url: scope + path, headers: new Headers(), destination, signal, referrer: '', cache: 'default' },
    clientId: 'page',
    resultingClientId: destination === 'document' ? 'page' : '',
    waitUntil: (promise: Promise<unknown>) => waits.push(promise),
  } as unknown as FetchEvent;
  const { totals: base, snapshots } = site;
  site.clients.set('page', { snapshot: snapshots.current!.id, atMs: Date.now(), base, canShare: false });
  const response = await (destination === 'document' ? navigation(site, event, path) : resource(site, event, path));
  const text = await response.text();
  await Promise.all(waits);
  await settled();
  return text;
}

const drop = (row: FileRow): ToEngine => ({ type: 'drop', content: idOf(row) });

for (const [path, destination] of [
  ['app.js', 'script'],
  ['look.css', 'style'],
  ['sum.wasm', ''],
  // What is no code by its name may be run as such.
  ['data', 'worker'],
] as const) {
  test(`${path} as ${destination || 'anything'}: code that is not the site's is never run, and goes`, async () => {
    const { site, row, told, kept } = await holding(path, 'right', 'wrong');
    // The origin has told the file's headers before.
    await site.known.set(path, { hash: row[1], size: row[2], headers: [] });
    assert.equal(await request(site, path, destination), 'right');
    assert.deepEqual([asked, await kept()], [[path], 'right']);
    assert.deepEqual(told.filter(({ type }) => type === 'drop'), [drop(row)]);
    assert.equal(await request(site, path, destination), 'right');
    assert.deepEqual(asked, [path], 'from the store, this time');
  });
}

test('a document that is not the site\'s is never shown, and goes', async () => {
  const text = '<title>right</title>';
  const { site, row, told, kept } = await holding('page.html', text, '<title>wrong</title>');
  await site.known.set('page.html', { hash: row[1], size: row[2], headers: [['content-type', 'text/html']] });
  assert.match(await request(site, 'page.html', 'document'), /<title>right/);
  assert.deepEqual([await kept(), told.some(({ type }) => type === 'drop')], [text, true]);
});

test('where the origin has lost the file, too, a page is given nothing rather than what is wrong', async () => {
  const { site, kept } = await holding('app.js', 'right', 'wrong');
  files.delete('app.js');
  assert.equal(await request(site, 'app.js', 'script'), '');
  assert.equal(await kept(), undefined);
});
