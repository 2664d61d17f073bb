/** The worker's events, as far as a script that has switched itself off still heeds them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asWorker, idOf, rootOf, scope, settled } from './testing.test.ts';

const release = (n: number): string => JSON.stringify(rootOf(idOf(n), { files: [['index.html', idOf(0), 1, 0]] }));
/** What the origin shows, and how often it was asked. */
let manifest = release(1);
let asked = 0;
asWorker({
  async fetch(url) {
    assert.equal(url, `${scope}planktos/manifest.json`);
    asked++;
    return new Response(manifest);
  },
});
declare const self: ServiceWorkerGlobalScope;
const listeners: Record<string, (event: unknown) => void> = {};
const { location, registration } = self;
Object.assign(globalThis, { SCRIPTS: {} });
Object.assign(location, { pathname: '/planktos.sw.min.js' });
Object.assign(registration, { scope });
Object.assign(self, { addEventListener: (type: string, listener: () => void) => (listeners[type] = listener) });

const { Records } = await import('./records.ts');

/** A request of a page or for one; resolves, once all is done that it began, to whether the worker answers it. */
async function request(mode: string): Promise<boolean> {
  const waits: Promise<unknown>[] = [];
  let answers = false;
  listeners['fetch']!({
    request: { url: scope, method: 'GET', mode, headers: new Headers(), cache: 'default', referrer: '' },
    clientId: '',
    waitUntil: (done: Promise<unknown>) => waits.push(done),
    respondWith: (response: Promise<Response>) => {
      answers = true;
      response.catch(() => {});
    },
  });
  await Promise.all(waits);
  await settled();
  return answers;
}

test('a script that is off, and kept running, looks for its next release with each navigation', async () => {
  const records = new Records(scope);
  await records.set('starts', [Date.now(), Date.now(), Date.now()]);
  await records.set('state', { current: idOf(1) });
  await import('./main.ts');
  await settled();
  assert.equal(asked, 1, 'it looks when it is started');

  manifest = release(2);
  assert.deepEqual([await request('cors'), asked], [false, 1], 'what a page loads costs nothing');
  assert.deepEqual(await Promise.all([request('navigate'), request('navigate')]), [false, false]);
  // It has its chance, and knows of nothing yet.
  await request('navigate');
  assert.equal(await request('navigate'), true);
});
