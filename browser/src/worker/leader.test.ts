import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import type { Posted } from '../shared/messages.ts';
import { depose, mayHost, settle, summon } from './leader.ts';
import type { Client, Site } from './site.ts';

interface Page {
  id: string;
  visibilityState: 'visible' | 'hidden';
  /** what it was asked to do about the engine */
  asked: string[];
}
let pages: Page[] = [];

Object.assign(globalThis, {
  self: {
    clients: {
      matchAll: async () => pages,
      get: async (wanted: string) => {
        const page = pages.find(({ id }) => id === wanted);
        return page && { postMessage: ({ detail }: Posted) => page.asked.push((detail as { act: string }).act) };
      },
    },
  },
});

function site(...names: [id: string, visibilityState: Page['visibilityState'], runs?: boolean][]) {
  const running = new Set<string>();
  pages = names.map(([id, visibilityState, runs]) => {
    if (runs) running.add(id);
    return { id, visibilityState, asked: [] };
  });
  const clients = new Map<string, Client>();
  for (const { id } of pages) {
    clients.set(id, { snapshot: '5f', atMs: 0, base: { origin: 0, peers: 0, store: 0, uploaded: 0 }, canShare: true });
  }
  const self = {
    clients,
    consent: 'unset',
    mayShare: () => true,
    engines: {
      busy: false,
      get size() {
        return running.size;
      },
      has: (id: string) => running.has(id),
      detach: (id: string) => running.delete(id),
      weed: async () => {},
    },
  };
  return { site: self as unknown as Site, clients, running };
}

const asked = (): Record<string, string[]> => Object.fromEntries(pages.map((page) => [page.id, page.asked]));
const turns = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
};
/** Lets so much time pass, in steps, with everything that becomes due in it. */
async function pass(ms: number): Promise<void> {
  for (await turns(); ms > 0; ms -= 250) {
    mock.timers.tick(250);
    await turns();
  }
}

beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
afterEach(() => mock.timers.reset());

test('pages are asked for an engine until one comes', async () => {
  const { site: own, running } = site(['a', 'visible'], ['b', 'hidden']);
  void summon(own);
  await pass(250);
  assert.deepEqual(asked(), { a: ['run', 'run'], b: ['run', 'run'] });
  running.add('b');
  await pass(20_000);
  assert.deepEqual(asked(), { a: ['run', 'run'], b: ['run', 'run'] });
});

test('what nobody answers is taken by force, by one page after the other, and not for ever', async () => {
  const { site: own } = site(['a', 'hidden'], ['b', 'visible']);
  void summon(own);
  await pass(60_000);
  const runs = ['run', 'run', 'run', 'run'];
  assert.deepEqual(asked(), { a: [...runs, 'steal', 'steal'], b: [...runs, 'steal', 'steal'] });
});

test('a new call ends the one before', async () => {
  const { site: own } = site(['a', 'visible']);
  void summon(own);
  await turns();
  void summon(own);
  await pass(60_000);
  assert.equal(asked()['a']!.length, 9);
});

test('only pages that may share are asked', async () => {
  const { site: own, clients } = site(['a', 'visible'], ['b', 'visible'], ['c', 'visible'], ['d', 'visible']);
  clients.get('a')!.canShare = false;
  clients.get('b')!.gpc = true;
  clients.get('c')!.snapshot = '';
  clients.delete('d');
  void summon(own);
  await pass(60_000);
  assert.deepEqual(asked(), { a: [], b: [], c: [], d: [] });
  own.consent = 'granted';
  assert.deepEqual(['a', 'b', 'c', 'd'].map((id) => mayHost(own, clients.get(id))), [false, true, false, false]);
});

test('an engine moves from a hidden page to one that is looked at, and not back', async () => {
  for (const [names, moves] of [
    [[['a', 'hidden', true], ['b', 'visible']], { a: [], b: ['steal'] }],
    [[['a', 'visible', true], ['b', 'visible']], { a: [], b: [] }],
    [[['a', 'visible', true], ['b', 'hidden']], { a: [], b: [] }],
    [[['a', 'hidden', true], ['b', 'hidden']], { a: [], b: [] }],
  ] as const) {
    const { site: own } = site(...(names as unknown as Parameters<typeof site>));
    void settle(own);
    await pass(60_000);
    assert.deepEqual(asked(), moves);
  }
});

test('a move waits for what is being had', async () => {
  const { site: own } = site(['a', 'hidden', true], ['b', 'visible']);
  const engines = own.engines as { busy: boolean };
  engines.busy = true;
  void settle(own);
  await pass(5000);
  assert.deepEqual(asked(), { a: [], b: [] });
  engines.busy = false;
  await pass(1000);
  assert.deepEqual(asked(), { a: [], b: ['steal'] });
});

test('another page takes over from one that hangs; where there is none, it stays', async () => {
  const alone = site(['a', 'visible', true]);
  void depose(alone.site, 'a');
  await pass(60_000);
  assert.deepEqual([asked(), alone.running.size], [{ a: [] }, 1]);

  const { site: own, running } = site(['a', 'visible', true], ['b', 'hidden']);
  void depose(own, 'a');
  await turns();
  assert.deepEqual([asked(), running.size], [{ a: [], b: ['steal'] }, 0]);
});
