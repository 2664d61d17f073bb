import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import type { Mode, PageMessage } from '../shared/messages.ts';
import { pageModule } from './page.ts';
import type { Own } from './methods.ts';
import { fakePage } from './testing.test.ts';

mock.timers.enable({ apis: ['setInterval'] }); // a page goes on until it is left

const scope = 'https://site.test/docs/';

/** `window.planktos` as install.js makes it, with its methods called by their names. */
function own(mode: Mode, reply: (message: PageMessage) => unknown = () => assert.fail('nobody is asked')) {
  const { page, heard } = fakePage(reply);
  const module = pageModule(page, `${scope}planktos/engine.min.js`, () => assert.fail('no engine'));
  const consent: Own['consent'] = { state: 'unset' };
  const planktos = Object.assign(new EventTarget(), { ready: Promise.resolve(mode), consent });
  const call = (method: string, ...args: unknown[]): Promise<unknown> => module.call(planktos, method, args);
  return { call, consent, heard };
}

test('as over plain HTTP nothing is asked, and nothing throws', async () => {
  const { call, consent, heard } = own('http');
  const none = { origin: 0, peers: 0, store: 0, uploaded: 0 };
  assert.deepEqual(await call('stats'), { ...none, page: none });
  assert.deepEqual(await call('getAllSnapshots'), []);
  assert.deepEqual([await call('update'), await call('removeSnapshot', 'x')], ['', false]);
  for (const method of ['pause', 'resume', 'grant', 'deny', 'revoke']) assert.equal(await call(method), undefined);
  assert.equal(consent.state, 'unset');
  await assert.rejects(call('getFile', 'x'), { name: 'NotFoundError' });
  assert.deepEqual(heard, []);
});

test('the worker is asked', async () => {
  const { call, consent, heard } = own('peers', (message) => {
    assert.equal(message.type, 'call');
    if (message.type !== 'call') return undefined;
    if (message.method === 'update') return { ok: true, value: '60' };
    if (message.method === 'consent') return { ok: true, value: message.args.consent };
    return { ok: false, error: 'no' };
  });
  assert.equal(await call('update'), '60');
  await assert.rejects(call('stats'), /planktos: no/);
  await call('deny');
  assert.equal(consent.state, 'denied');
  assert.deepEqual(heard.at(-1), { type: 'call', method: 'consent', args: { consent: 'denied' } });
});

test('a file of the site', async () => {
  const { call } = own('worker', (message) => {
    if (message.type !== 'call' || message.method !== 'file') return assert.fail();
    return { ok: true, value: message.args.path ? { url: scope + message.args.path, length: 7 } : undefined };
  });
  type File = { length: number; getBlob(): Promise<Blob>; getStream(): Promise<ReadableStream> };
  const file = (await call('getFile', 'a.txt')) as File;
  assert.equal(file.length, 7);
  assert.equal(await (await file.getBlob()).text(), `body of ${scope}a.txt`);
  assert.equal(await new Response(await file.getStream()).text(), `body of ${scope}a.txt`);
  await assert.rejects(call('getFile', ''), { name: 'NotFoundError' });
  const gone = (await call('getFile', 'none')) as File;
  await assert.rejects(gone.getBlob(), { name: 'NetworkError' });
});

test("fetch takes a path from the site's root", async () => {
  const { call } = own('http');
  const text = async (request: unknown): Promise<string> => ((await call('fetch', request)) as Response).text();
  assert.equal(await text('a.txt'), `body of ${scope}a.txt`);
  assert.equal(await text(new URL('https://other.test/b')), 'body of https://other.test/b');
});
