import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import type { Planktos } from '../page/planktos.d.ts';
import { protocol, type PageMessage, type Posted, type Welcome, type WorkerMessage } from '../shared/messages.ts';
import { install } from './install.ts';

const scope = 'https://site.test/docs/';
const src = `${scope}planktos/install.js`;
const worker = `${scope}planktos.sw.min.js`;
const sharing: Welcome = { mode: 'peers', snapshot: '5f', consent: 'unset', originState: 'up' };

/** Lets everything that is already due run; timers are the test's own. */
const turns = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
};

interface Given {
  /** what the worker answers to a greeting */
  reply?: Welcome | undefined;
  controlled?: boolean;
  /** what registering gives, or throws */
  registration?: object | Error;
  existing?: object;
  navigator?: object;
  webrtc?: boolean;
  loading?: boolean;
  search?: string;
  script?: { src: string; worker?: string };
}

function visit(given: Given = {}) {
  const { controlled = true, registration = {}, script = { src }, webrtc = true } = given;
  const heard: PageMessage[] = [];
  const registered: unknown[] = [];
  const loads: string[] = [];
  const calls: unknown[] = [];
  const controller = {
    postMessage(message: PageMessage): void {
      heard.push(message);
      const reply = 'reply' in given ? given.reply : sharing;
      if (message.type === 'hello' && reply) tell({ type: 'welcome', ...reply });
    },
  };
  const container = Object.assign(new EventTarget(), {
    controller: controlled ? controller : null,
    startMessages() {},
    getRegistration: async () => given.existing,
    async register(...args: unknown[]) {
      registered.push(args);
      if (registration instanceof Error) throw registration;
      return registration;
    },
  });
  const navigator = { serviceWorker: container };
  if (given.navigator) Object.defineProperties(navigator, Object.getOwnPropertyDescriptors(given.navigator));
  const page = Object.assign(new EventTarget(), {
    navigator,
    document: { readyState: given.loading ? 'interactive' : 'complete' },
    location: { search: given.search ?? '' },
    performance: { getEntriesByType: () => [{ name: `${scope}b.css` }] },
    RTCPeerConnection: webrtc ? class {} : undefined,
  });
  const say = (data: unknown): boolean => container.dispatchEvent(new MessageEvent('message', { data }));
  const tell = ({ type, ...detail }: WorkerMessage): boolean => {
    const { snapshot, originState } = detail as Partial<Welcome>;
    const set = type === 'welcome' ? { snapshot, originState } : type === 'status' ? detail : {};
    return say({ planktos: type, detail, set, hear: type === 'engine' || type === 'stream' } as Posted);
  };
  const planktos = install(
    page as unknown as Window & typeof globalThis,
    { src: script.src, dataset: { worker: script.worker } } as unknown as HTMLScriptElement,
    async (url) => {
      loads.push(url);
      return { call: async (_, method, args) => calls.push([method, ...args]) };
    },
  );
  const control = (): void => {
    container.controller = controller;
    container.dispatchEvent(new Event('controllerchange'));
  };
  return { planktos, heard, registered, loads, calls, page, say, tell, control };
}

/** `ready` if it has settled, without waiting for it. */
async function settled(planktos: Planktos): Promise<string> {
  await turns();
  return Promise.race([planktos.ready, Promise.resolve('pending')]);
}

/** What is registered once the page has loaded. */
async function registrations(given: Given): Promise<unknown> {
  const { registered } = visit(given);
  mock.timers.tick(0);
  await turns();
  return registered;
}

const rejections: unknown[] = [];
const reject = (reason: unknown): void => void rejections.push(reason);
beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  process.on('unhandledRejection', reject);
});
afterEach(() => {
  mock.timers.reset();
  process.off('unhandledRejection', reject);
  assert.deepEqual(rejections.splice(0), []);
});

test('ready: a controlled page, greeted', async () => {
  const { planktos, heard, loads } = visit();
  assert.equal(await settled(planktos), 'peers');
  assert.equal(planktos.snapshot, '5f');
  const hello = { type: 'hello', protocol, canShare: true, gpc: undefined, loaded: [`${scope}b.css`] };
  assert.deepEqual(heard, [hello]);
  assert.deepEqual(loads, [], 'nothing more is loaded than has to be');
});

test('ready: a first visit registers the worker, and waits to be claimed', async () => {
  const { planktos, heard, registered, control } = visit({ controlled: false });
  mock.timers.tick(0);
  assert.equal(await settled(planktos), 'pending');
  assert.deepEqual(registered, [[worker, { scope, updateViaCache: 'none' }]]);
  control();
  assert.equal(await settled(planktos), 'peers');
  assert.equal(heard.length, 1);
});

test('the page loads before the worker is registered, unless that takes long', async () => {
  const { page, registered } = visit({ loading: true });
  const slow = visit({ loading: true });
  mock.timers.tick(4_999);
  await turns();
  assert.equal(registered.length, 0);
  page.dispatchEvent(new Event('load'));
  await turns();
  assert.equal(registered.length, 1);
  mock.timers.tick(1);
  await turns();
  assert.equal(slow.registered.length, 1);
});

const sandboxed = {
  get serviceWorker(): never {
    throw new DOMException('the frame is sandboxed', 'SecurityError');
  },
};
const hopeless: Record<string, Given> = {
  'no service workers, or an insecure context': { navigator: { serviceWorker: undefined } },
  'a sandboxed frame': { navigator: sandboxed },
  'a script without a URL': { script: { src: '' }, controlled: false },
  '?planktos=off': { search: '?a=b&planktos=off' },
  'a registration that fails': { controlled: false, registration: new TypeError('404') },
  "a site's other worker": { controlled: false, existing: { scope, active: { scriptURL: `${scope}sw.js` } } },
  'another protocol': { reply: { ...sharing, mode: 'http', snapshot: '' } },
};
for (const [name, given] of Object.entries(hopeless)) {
  test(`ready: http: ${name}`, async () => {
    const { planktos } = visit(given);
    mock.timers.tick(0);
    assert.equal(await settled(planktos), 'http');
    assert.deepEqual([planktos.connections, planktos.snapshot, planktos.consent.state], [0, '', 'unset']);
  });
}

test('ready: http in time when nothing answers', async () => {
  const silent = visit({ reply: undefined }).planktos;
  const unclaimed = visit({ controlled: false }).planktos;
  const reloaded = visit({ controlled: false, registration: { active: {} } }).planktos;
  mock.timers.tick(0);
  await turns();
  mock.timers.tick(2_000);
  assert.equal(await settled(reloaded), 'http');
  assert.equal(await settled(unclaimed), 'pending');
  assert.equal(await settled(silent), 'pending');
  mock.timers.tick(28_000);
  assert.equal(await settled(unclaimed), 'http');
  assert.equal(await settled(silent), 'http');
});

test('ready: http at once where the worker does not come into being', async () => {
  const installing = Object.assign(new EventTarget(), { state: 'installing' });
  // Controlled by one that is gone, and does not answer.
  const { planktos } = visit({ reply: undefined, registration: { active: null, installing } });
  mock.timers.tick(0);
  for (const [state, want] of [['installed', 'pending'], ['redundant', 'http']] as const) {
    assert.equal(await settled(planktos), 'pending');
    installing.state = state;
    installing.dispatchEvent(new Event('statechange'));
    assert.equal(await settled(planktos), want);
  }
});

test('a worker of the site itself is not replaced, and may import ours', async () => {
  const mine = { scriptURL: worker };
  const theirs = { scriptURL: `${scope}sw.js` };
  const register = [[worker, { scope, updateViaCache: 'none' }]];
  assert.deepEqual(await registrations({ existing: { scope, active: theirs } }), []);
  assert.deepEqual(await registrations({ existing: { scope, active: null, installing: theirs } }), []);
  assert.deepEqual(await registrations({ existing: { scope, active: mine } }), register);
  assert.deepEqual(await registrations({ existing: { scope: 'https://site.test/', active: theirs } }), register);
  const own = { src, worker: '/docs/sw.js' };
  const imported = [['/docs/sw.js', { scope, updateViaCache: 'none' }]];
  assert.deepEqual(await registrations({ existing: { scope, active: theirs }, script: own }), imported);
});

test('what the page can and wishes is told', async () => {
  for (const [given, canShare, gpc] of [
    [{ webrtc: false }, false, false],
    [{ navigator: { connection: { saveData: true } } }, false, false],
    [{ navigator: { connection: {}, globalPrivacyControl: true } }, true, true],
  ] as const) {
    const [hello] = visit(given).heard;
    assert.deepEqual(hello?.type === 'hello' && [!!hello.canShare, !!hello.gpc], [canShare, gpc]);
  }
});

test('a page back from the back/forward cache greets anew', async () => {
  const { page, heard } = visit();
  page.dispatchEvent(new Event('pageshow'));
  assert.deepEqual(heard.map(({ type }) => type), ['hello', 'hello']);
});

test('a page greets anew now and then, each at times of its own', async (t) => {
  t.mock.method(Math, 'random', () => 0.5);
  const { heard } = visit();
  mock.timers.tick(15 * 60_000 - 1);
  assert.equal(heard.length, 1);
  mock.timers.tick(1);
  mock.timers.tick(15 * 60_000);
  assert.deepEqual(heard.map(({ type }) => type), ['hello', 'hello', 'hello']);
});

test('messages become events and properties; those of others do not', async () => {
  const { planktos, loads, say, tell } = visit();
  const seen: unknown[] = [];
  for (const type of ['peer', 'progress', 'update', 'status', 'consent']) {
    planktos.addEventListener(type, (event) => seen.push([type, (event as CustomEvent).detail]));
  }
  for (const data of [undefined, null, 'text', 7, {}, { type: 'status', connections: 3 }]) say(data);
  assert.deepEqual(seen, []);
  tell({ type: 'status', connections: 3 });
  tell({ type: 'progress', path: 'a', size: 2, bytes: 1, source: 'peers' });
  assert.deepEqual(seen, [
    ['status', { connections: 3 }],
    ['progress', { path: 'a', size: 2, bytes: 1, source: 'peers' }],
  ]);
  assert.equal(planktos.connections, 3);
  assert.equal(planktos.originState, 'up');
  tell({ type: 'welcome', ...sharing, snapshot: '60', consent: 'denied', originState: 'down' });
  assert.deepEqual([planktos.snapshot, planktos.consent.state, planktos.originState], ['60', 'denied', 'down']);
  assert.deepEqual(loads, []);
});

test("the engine's script is loaded when there is a reason to", async () => {
  const { planktos, loads, calls, tell } = visit();
  tell({ type: 'engine', act: 'run' });
  await planktos.removeSnapshot('x');
  await planktos.consent.grant();
  assert.deepEqual(loads, Array.from({ length: 3 }, () => `${scope}planktos/engine.min.js`));
  assert.deepEqual(calls, [
    ['hear', { planktos: 'engine', detail: { act: 'run' }, set: {}, hear: true }],
    ['removeSnapshot', 'x'],
    ['grant'],
  ]);
});
