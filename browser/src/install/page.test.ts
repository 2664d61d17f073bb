import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { protocol, type EngineModule, type PageMessage, type Welcome } from '../shared/messages.ts';
import { PagePlanktos } from './page.ts';
import { loadedUrls, locate, type Page, type Place } from './site.ts';

const scope = 'https://site.test/docs/';
const place: Place = {
  scope,
  worker: `${scope}planktos.sw.min.js`,
  ownWorker: false,
  engine: `${scope}planktos/engine.min.js`,
};
const sharing: Welcome = { mode: 'peers', snapshot: '5f', consent: 'unset', engine: true };

/** Lets everything that is already due run; timers are the test's own. */
const turns = async (count = 20): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

class FakeController {
  heard: PageMessage[] = [];
  reply: (message: PageMessage) => unknown;
  constructor(reply: (message: PageMessage) => unknown) {
    this.reply = reply;
  }
  postMessage(message: PageMessage, [port]: MessagePort[] = []): void {
    this.heard.push(message);
    const reply = this.reply(message);
    if (port && message.type !== 'engine' && reply !== undefined) port.postMessage(reply);
  }
  types(): string[] {
    return this.heard.map(({ type }) => type);
  }
}

class FakeLocks {
  held = false;
  async request(name: string, options: { ifAvailable: boolean }, work: (lock: object | null) => Promise<void>) {
    assert.equal(name, `planktos:${scope}`);
    assert.equal(options.ifAvailable, true, 'nobody waits for the lock');
    if (this.held) return work(null);
    this.held = true;
    try {
      await work({});
    } finally {
      this.held = false;
    }
  }
}

interface Given {
  reply?: (message: PageMessage) => unknown;
  controlled?: boolean;
  registration?: object | Error;
  existing?: object;
  webrtc?: boolean;
  saveData?: boolean;
  gpc?: boolean;
  locks?: FakeLocks | null;
  load?: () => Promise<EngineModule>;
}

function visit(given: Given = {}) {
  const { controlled = true, registration = {}, webrtc = true, saveData = false, gpc = false } = given;
  const controller = new FakeController(given.reply ?? (({ type }) => (type === 'hello' ? sharing : undefined)));
  const locks = given.locks === undefined ? new FakeLocks() : given.locks;
  const registered: [string, object][] = [];
  const container = Object.assign(new EventTarget(), {
    controller: controlled ? controller : null,
    startMessages() {},
    getRegistration: async () => given.existing,
    async register(url: string, options: object) {
      registered.push([url, options]);
      if (registration instanceof Error) throw registration;
      return registration;
    },
  });
  const page = Object.assign(new EventTarget(), {
    isSecureContext: true,
    navigator: { serviceWorker: container, locks: locks ?? undefined, connection: { saveData }, globalPrivacyControl: gpc },
    document: { readyState: 'complete' },
    location: { href: `${scope}a.html#x` },
    performance: { getEntriesByType: () => [{ name: `${scope}b.css` }, { name: 'https://site.test/c.js' }] },
    RTCPeerConnection: webrtc ? class {} : undefined,
  });
  const engine = { starts: 0, closes: 0, reconnects: 0 };
  const load =
    given.load ??
    (async (): Promise<EngineModule> => ({
      start({ script, connect }) {
        assert.equal(script, place.engine);
        engine.starts++;
        connect(new MessageChannel().port2);
        return { reconnect: () => engine.reconnects++, close: () => engine.closes++ };
      },
    }));
  const planktos = new PagePlanktos(page as unknown as Page, place, load);
  const tell = (data: unknown): boolean => container.dispatchEvent(new MessageEvent('message', { data }));
  const control = (): void => {
    container.controller = controller;
    container.dispatchEvent(new Event('controllerchange'));
  };
  return { planktos, controller, container, page, engine, locks, registered, tell, control };
}

/** `ready` if it has settled, without waiting for it. */
async function settled(planktos: PagePlanktos): Promise<string> {
  await turns();
  return Promise.race([planktos.ready, Promise.resolve('pending')]);
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

test('ready: a controlled page that may share', async () => {
  const { planktos, controller, engine } = visit();
  assert.equal(await settled(planktos), 'peers');
  assert.equal(planktos.snapshot, '5f');
  assert.equal(engine.starts, 1);
  assert.deepEqual(controller.types(), ['hello', 'engine']);
  assert.deepEqual(controller.heard[0], { type: 'hello', protocol, canShare: true });
});

test('ready: a first visit waits to be claimed, then tells what it loaded', async () => {
  const { planktos, controller, registered, control } = visit({ controlled: false });
  assert.equal(await settled(planktos), 'pending');
  assert.deepEqual(registered, [[place.worker, { scope, updateViaCache: 'none' }]]);
  control();
  assert.equal(await settled(planktos), 'peers');
  const loaded = controller.heard.find(({ type }) => type === 'loaded');
  assert.deepEqual(loaded, { type: 'loaded', urls: [`${scope}a.html`, `${scope}b.css`] });
});

const hopeless: Record<string, () => PagePlanktos> = {
  'no place': () => new PagePlanktos({} as Page, undefined, () => assert.fail()),
  'no service workers': () =>
    new PagePlanktos({ isSecureContext: true, navigator: {} } as unknown as Page, place, () => assert.fail()),
  'an insecure context': () => new PagePlanktos({ isSecureContext: false } as Page, place, () => assert.fail()),
  'a sandboxed frame': () => {
    const navigator = Object.defineProperty({}, 'serviceWorker', { get: () => assert.fail('SecurityError') });
    return new PagePlanktos({ isSecureContext: true, navigator } as Page, place, () => assert.fail());
  },
  'a registration that fails': () => visit({ controlled: false, registration: new TypeError('404') }).planktos,
  "a site's other worker": () =>
    visit({ controlled: false, existing: { scope, active: { scriptURL: `${scope}sw.js` } } }).planktos,
  'another protocol': () => visit({ reply: () => ({ ...sharing, mode: 'http', snapshot: '', engine: false }) }).planktos,
  'a reply of another kind': () => visit({ reply: () => 'hello yourself' }).planktos,
};
for (const [name, make] of Object.entries(hopeless)) {
  test(`ready: http, and everything harmless: ${name}`, async () => {
    const planktos = make();
    assert.equal(await settled(planktos), 'http');
    assert.deepEqual(await planktos.getAllSnapshots(), []);
    assert.equal((await planktos.stats()).page.peers, 0);
    await assert.rejects(planktos.getFile('x'), { name: 'NotFoundError' });
    await planktos.consent.grant();
    assert.equal(await planktos.removeSnapshot('x'), false);
  });
}

test('ready: http in time when nothing answers', async () => {
  const silent = visit({ reply: () => undefined }).planktos;
  const unclaimed = visit({ controlled: false }).planktos;
  const reloaded = visit({ controlled: false, registration: { active: { state: 'activated' } } }).planktos;
  assert.equal(await settled(silent), 'pending');
  mock.timers.tick(2_000);
  assert.equal(await settled(reloaded), 'http');
  mock.timers.tick(13_000);
  assert.equal(await settled(silent), 'http');
  assert.equal(await settled(unclaimed), 'pending');
  mock.timers.tick(15_000);
  assert.equal(await settled(unclaimed), 'http');
});

test('ready: http when the installation fails', async () => {
  const installing = Object.assign(new EventTarget(), { state: 'installing' });
  const { planktos } = visit({ controlled: false, registration: { installing } });
  assert.equal(await settled(planktos), 'pending');
  installing.state = 'redundant';
  installing.dispatchEvent(new Event('statechange'));
  assert.equal(await settled(planktos), 'http');
});

test('no engine without WebRTC, with Save-Data, or under Global Privacy Control', async () => {
  for (const given of [{ webrtc: false }, { saveData: true }, { gpc: true }]) {
    const { planktos, controller, engine } = visit({ ...given, reply: () => ({ ...sharing, mode: 'worker' }) });
    assert.equal(await settled(planktos), 'worker');
    assert.equal(engine.starts, 0);
    assert.deepEqual(controller.heard, [{ type: 'hello', protocol, canShare: false }]);
  }
});

test('consent overrules Global Privacy Control, not Save-Data', async () => {
  const reply = (message: PageMessage): Welcome => {
    const engine = message.type === 'hello' && message.canShare;
    return { mode: engine ? 'peers' : 'worker', snapshot: '5f', consent: 'granted', engine };
  };
  const { planktos, engine } = visit({ gpc: true, reply });
  assert.equal(await settled(planktos), 'peers');
  assert.equal(engine.starts, 1);
  const thrifty = visit({ gpc: true, saveData: true, reply });
  assert.equal(await settled(thrifty.planktos), 'worker');
  assert.equal(thrifty.engine.starts, 0);
});

test('one page has the engine; the next takes over when it leaves', async () => {
  const locks = new FakeLocks();
  const first = visit({ locks });
  await turns();
  const second = visit({ locks });
  await turns();
  assert.deepEqual([first.engine.starts, second.engine.starts], [1, 0]);
  first.page.dispatchEvent(new Event('pagehide'));
  assert.equal(first.engine.closes, 1, 'synchronously');
  assert.equal(first.controller.types().at(-1), 'bye');
  await turns();
  second.tell({ type: 'engine?' });
  await turns();
  assert.equal(second.engine.starts, 1);
  first.page.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }));
  await turns();
  assert.deepEqual([first.engine.starts, first.engine.reconnects], [1, 0], 'the lock is taken');
});

test('a lock that is let go of late is tried for again', async () => {
  const locks = new FakeLocks();
  locks.held = true;
  const { engine, locks: own } = visit({ locks });
  await turns();
  assert.equal(engine.starts, 0);
  own!.held = false;
  mock.timers.tick(250);
  await turns();
  assert.equal(engine.starts, 1);
});

test('a page back from the cache goes on with its engine', async () => {
  const { page, engine, locks } = visit();
  await turns();
  page.dispatchEvent(new Event('pagehide'));
  await turns();
  assert.equal(locks!.held, false);
  page.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }));
  await turns();
  assert.deepEqual(engine, { starts: 1, closes: 1, reconnects: 1 });
});

test('a worker without an engine is given ours anew; one that forbids it ends it', async () => {
  const { planktos, engine, tell, locks } = visit();
  await turns();
  tell({ type: 'engine?' });
  assert.equal(engine.reconnects, 1);
  tell({ type: 'welcome', ...sharing, mode: 'worker', consent: 'denied', engine: false });
  await turns();
  assert.deepEqual([engine.closes, locks!.held, planktos.consent.state], [1, false, 'denied']);
});

test('without Web Locks every page may run an engine; an engine that does not load is no error', async () => {
  const bare = visit({ locks: null });
  assert.equal(await settled(bare.planktos), 'peers');
  assert.equal(bare.engine.starts, 1);
  const broken = visit({ load: async () => assert.fail('the script is gone') });
  assert.equal(await settled(broken.planktos), 'peers');
  assert.equal(broken.locks!.held, false);
});

test('the page pings while a response streams', async () => {
  const { controller, tell } = visit();
  await turns();
  const pings = (): number => controller.types().filter((type) => type === 'ping').length;
  tell({ type: 'stream', active: true });
  mock.timers.tick(25_000);
  assert.equal(pings(), 2);
  tell({ type: 'stream', active: false });
  mock.timers.tick(60_000);
  assert.equal(pings(), 2);
});

test('calls, events, and messages of others', async () => {
  const { planktos, tell } = visit({
    reply: (message) => {
      if (message.type === 'hello') return sharing;
      if (message.type !== 'call') return undefined;
      return message.method === 'update' ? { ok: true, value: '60' } : { ok: false, error: 'no' };
    },
  });
  assert.equal(await planktos.update(), '60');
  await assert.rejects(planktos.stats(), /no/);
  const seen: unknown[] = [];
  for (const type of ['peer', 'progress', 'update', 'status']) {
    planktos.addEventListener(type, (event) => seen.push((event as CustomEvent).detail));
  }
  for (const data of [undefined, null, 'text', 7, {}, { type: 'other' }, { type: 'status', connections: 3 }]) tell(data);
  tell({ type: 'progress', path: 'a', size: 2, bytes: 1, source: 'peers' });
  assert.deepEqual(seen, [{ connections: 3 }, { path: 'a', size: 2, bytes: 1, source: 'peers' }]);
  assert.equal(planktos.connections, 3);
});

test('the place follows from the script, however it is included', () => {
  const at = (src: string, worker?: string) => ({ src, dataset: worker ? { worker } : {} });
  const page = (currentScript: unknown, scripts: unknown[] = [], entries: string[] = []): Page =>
    ({
      document: { currentScript, querySelectorAll: () => scripts, baseURI: `${scope}deep/page.html` },
      location: { origin: 'https://site.test' },
      performance: { getEntriesByType: () => entries.map((name) => ({ name })) },
    }) as unknown as Page;
  const src = `${scope}planktos/install.js`;
  assert.deepEqual(locate(page(at(src))), place);
  assert.deepEqual(locate(page(at(`${src}?v=1#x`))), place);
  assert.deepEqual(locate(page(null, [at('https://site.test/other.js'), at(src)])), place, 'a module');
  assert.deepEqual(locate(page(null, [], [src])), place, 'imported by a module');
  assert.equal(locate(page(at(src, '/sw.js')))?.worker, 'https://site.test/sw.js');
  assert.equal(locate(page(at('https://cdn.test/planktos/install.js'))), undefined, 'of another origin');
  assert.equal(locate(page(at('https://site.test/bundle.js'))), undefined);
  assert.equal(locate(page(null, [at('http://[')])), undefined);
});

test('what was loaded is bounded and within the scope', () => {
  const names = Array.from({ length: 2000 }, (_, i) => ({ name: `${scope}${i}` }));
  const page = { location: { href: scope }, performance: { getEntriesByType: () => names } } as unknown as Page;
  assert.equal(loadedUrls(page, scope).length, 500);
});
