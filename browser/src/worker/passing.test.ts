/** Whose requests a host that hangs keeps, and whose not. */
import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import type { Site } from './site.ts';
import { asWorker, scope, settled } from './testing.test.ts';

const pages: { id: string; postMessage(): void }[] = [];
const asked: Array<{ request: Request; init: RequestInit | undefined }> = [];
asWorker({
  pages,
  fetch: (request, init) =>
    new Promise((_, reject) => {
      asked.push({ request: request as Request, init });
      init?.signal?.addEventListener('abort', () => reject(new DOMException('', 'AbortError')));
    }),
});
let nowMs = 0;
mock.method(performance, 'now', () => nowMs);

const { endLeft, endWaiting, passOn } = await import('./passing.ts');

const site = (originDown = false): Site => ({ snapshots: { originDown } }) as Site;

interface Asked {
  client?: string;
  /** the client that there will be, of a navigation */
  coming?: string;
  headers?: HeadersInit;
}

function event({ client = '', coming = '', headers = {} }: Asked): FetchEvent {
  const request = new Request(`${scope}x.png`, { headers, referrer: `${scope}page`, referrerPolicy: 'origin' });
  if (coming) Object.defineProperty(request, 'mode', { value: 'navigate' });
  return { clientId: client, resultingClientId: coming, request } as FetchEvent;
}

/** What becomes of a request that is passed on: '' while it waits, else the type of the response. */
function pass(of: FetchEvent, at = site()): { type: string } {
  const state = { type: '' };
  void passOn(at, of).then(({ type }) => (state.type = type));
  return state;
}

/** Lets time pass, and then looks for what nobody waits for any more. */
async function later(ms: number): Promise<void> {
  nowMs += ms;
  endLeft();
  await settled();
}

beforeEach(() => {
  asked.length = 0;
  pages.splice(0, Infinity, ...['here', 'gone'].map((id) => ({ id, postMessage() {} })));
});

const leave = (id: string): void => void pages.splice(pages.findIndex((page) => page.id === id), 1);

test('what a page asked ends after the page has been left, and no other', async () => {
  const [here, gone] = [pass(event({ client: 'here' })), pass(event({ client: 'gone' }))];
  await later(60_000);
  assert.deepEqual([here.type, gone.type], ['', '']);
  leave('gone');
  await later(0);
  assert.deepEqual([here.type, gone.type], ['', 'error']);
});

test('a page that is asked for is given time to come; none whose request only browsers can make', async () => {
  const plain = pass(event({ coming: 'page' }));
  const inOutage = pass(event({ coming: 'page' }), site(true));
  const part = pass(event({ client: 'never', headers: { range: 'bytes=0-' } }));
  await later(20_000);
  assert.equal(inOutage.type, '');
  await later(20_000);
  assert.deepEqual([plain.type, inOutage.type, part.type], ['', 'error', '']);
  assert.deepEqual(asked.map(({ init }) => !!init), [false, true, false]);
});

test('the request stays as it was, and ends once it is answered otherwise', async () => {
  const of = event({ client: 'here' });
  const { type } = pass(of);
  assert.equal(type, '');
  const [{ request, init }] = asked as [(typeof asked)[number]];
  assert.equal(request, of.request);
  assert.deepEqual([init?.referrer, init?.referrerPolicy], [`${scope}page`, 'origin']);
  endWaiting(of);
  assert.equal(init?.signal?.aborted, true);
});
