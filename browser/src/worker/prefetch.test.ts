import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import type { FileRow, Root } from '../shared/manifest.ts';
import type { Wish } from './engines.ts';
import { Prefetch } from './prefetch.ts';
import type { Site } from './site.ts';

const scope = 'https://site.test/';
const hash = (name: string): string => name.repeat(64).slice(0, 64);
const shard: FileRow = [`planktos/shards/${hash('e')}.json`, hash('e'), 50, 9];
const files: FileRow[] = [
  ['a.css', hash('a'), 1000, 0],
  ['a.html', hash('b'), 200, 1, [0, 3]],
  ['b/index.html', hash('c'), 300, 2, [0]],
  ['big.png', hash('d'), 5000, 3],
];

let pages: { id: string; visibilityState: string }[] = [];
Object.assign(globalThis, { self: { clients: { matchAll: async () => pages } } });

function setUp({ prefetch = 10_000, sharded = false, ruled = true } = {}) {
  pages = [{ id: 'page', visibilityState: 'visible' }];
  const asked: string[] = [];
  const stored = new Set<string>();
  const nobodyHas = new Set<string>();
  const policy = { mode: 'auto', prefer: 'speed', prefetch };
  const table = sharded ? { shards: [['', ...shard.slice(1)]] } : { files };
  const root = { policy, types: [['html', 'text/html']], headers: ruled ? [['*', {}]] : [], ...table };
  const snapshot = { id: '5f', root: root as unknown as Root, shards: new Map<string, FileRow[]>() };
  /** what each transfer waits for */
  let transfer: () => Promise<void> = async () => {};
  const site = {
    scope,
    consent: 'unset',
    mayShare: () => true,
    clients: new Map([['page', { snapshot: '5f', canShare: true, atMs: 0 }]]),
    snapshots: {
      current: snapshot,
      async row(_: unknown, path: string) {
        if (sharded) snapshot.shards.set(shard[1], files);
        return files.find(([file]) => file === path);
      },
    },
    store: { has: async ({ hash }: { hash: string }) => stored.has(hash) },
    known: { get: async (path: string) => (path === 'a' ? {} : undefined) },
    turns: { busy: false },
    engines: {
      connections: 1,
      async ask([path, hash, size]: FileRow, range: object, wish: Wish) {
        assert.deepEqual(range, { start: 0, end: size });
        assert.deepEqual([wish.peersOnly, wish.background], [true, true]);
        asked.push(path);
        if (nobodyHas.has(path)) return undefined;
        wish.hear!('accept');
        if (wish.signal!.aborted) return undefined;
        let chunks = 1;
        return {
          async next() {
            await Promise.race([
              transfer(),
              new Promise((_, reject) => wish.signal!.addEventListener('abort', () => reject(new Error('given up')))),
            ]);
            if (!chunks--) return void stored.add(hash);
            return new Uint8Array(1);
          },
          cancel() {},
        };
      },
    },
  };
  const self = new Prefetch(site as unknown as Site);
  return { self, site, asked, stored, nobodyHas, delay: (by: typeof transfer) => (transfer = by) };
}

const turns = async (): Promise<void> => {
  for (let i = 0; i < 30; i++) await new Promise((resolve) => setImmediate(resolve));
};
async function pass(ms: number): Promise<void> {
  for (await turns(); ms > 0; ms -= 250) {
    mock.timers.tick(250);
    nowMs += 250;
    await turns();
  }
}
let nowMs = 0;
const { now } = performance;
beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout'] });
  performance.now = () => nowMs;
});
afterEach(() => {
  mock.timers.reset();
  performance.now = now;
});

test('documents and what they load, each once, and nothing that is no document of the site', async () => {
  const { self, asked } = setUp();
  const urls = [`${scope}a`, `${scope}b/?q#x`, `${scope}big.png`, `${scope}none`, `${scope}%`, 'https://other.test/a.html'];
  await self.want('page', urls);
  assert.deepEqual(asked, ['a.html', 'a.css', 'big.png', 'b/index.html']);
  await self.want('page', urls);
  assert.equal(asked.length, 4, 'what is stored is not asked for');
});

test('a document only where its headers are told', async () => {
  const { self, asked } = setUp({ ruled: false });
  await self.want('page', [`${scope}a`, `${scope}b/`]);
  assert.deepEqual(asked, ['a.html', 'a.css', 'big.png']);
});

test("no more than the page's allowance", async () => {
  const { self, asked } = setUp({ prefetch: 1500 });
  await self.want('page', [`${scope}a.html`]);
  assert.deepEqual(asked, ['a.html', 'a.css']);
  await self.want('page', [`${scope}b/`]);
  assert.deepEqual(asked, ['a.html', 'a.css', 'b/index.html'], 'another message has the same allowance');
  const less = setUp({ prefetch: 1100 });
  await less.self.want('page', [`${scope}a.html`]);
  assert.deepEqual([...less.stored], [hash('b')], 'what is asked for at the same time counts when it begins to come');
  const none = setUp({ prefetch: 0 });
  await none.self.want('page', [`${scope}a.html`]);
  assert.deepEqual(none.asked, []);
});

test('the table of a large site comes from peers too, or not at all', async () => {
  const { self, asked } = setUp({ sharded: true });
  await self.want('page', [`${scope}a.html`]);
  assert.deepEqual(asked, [shard[0], 'a.html', 'a.css', 'big.png']);
  const alone = setUp({ sharded: true });
  alone.nobodyHas.add(shard[0]);
  await alone.self.want('page', [`${scope}a.html`]);
  assert.ok(alone.asked.every((path) => path === shard[0]), String(alone.asked));
});

test('nothing while pages ask for something; a transfer gives way and is taken up again', async () => {
  const { self, site, asked, delay } = setUp();
  site.turns.busy = true;
  const done = self.want('page', [`${scope}b/`]);
  await pass(2000);
  assert.deepEqual(asked, []);
  site.turns.busy = false;
  delay(() => new Promise(() => {}));
  await pass(250);
  assert.deepEqual(asked, ['b/index.html', 'a.css']);
  self.giveWay();
  await pass(250);
  assert.deepEqual(asked, ['b/index.html', 'a.css']);
  delay(async () => {});
  await pass(500);
  await done;
  assert.deepEqual(asked, ['b/index.html', 'a.css', 'b/index.html', 'a.css']);
});

test('not for a page that is gone, or hidden, or may not share, nor without peers for ever', async () => {
  for (const change of [
    () => (pages = []),
    () => (pages[0]!.visibilityState = 'hidden'),
    ({ site }: ReturnType<typeof setUp>) => (site.clients.get('page')!.canShare = false),
    ({ site }: ReturnType<typeof setUp>) => site.clients.clear(),
    ({ site }: ReturnType<typeof setUp>) => (site.engines.connections = 0),
  ]) {
    const given = setUp();
    change(given);
    const done = given.self.want('page', [`${scope}b/`]);
    await pass(31_000);
    await done;
    assert.deepEqual(given.asked, []);
  }
});

test('a later wish takes the place of an earlier one', async () => {
  const { self, site, asked } = setUp();
  site.turns.busy = true;
  const done = self.want('page', [`${scope}a.html`]);
  await pass(500);
  const later = self.want('page', [`${scope}b/`]);
  site.turns.busy = false;
  await pass(2000);
  await Promise.all([done, later]);
  assert.deepEqual(asked, ['b/index.html', 'a.css']);
});
