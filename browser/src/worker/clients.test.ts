/** Which snapshot a page lives on, however long it lives, and while the worker comes and goes. */
import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { asWorker, idOf, rootOf, scope, settled } from './testing.test.ts';

const minutes = 60_000;
const pages: { id: string; postMessage(): void }[] = [];
const caches = asWorker({ fetch: () => assert.fail('nobody asks for anything'), pages });

const { Site } = await import('./site.ts');
const { clientOfPage, pin, tidy } = await import('./clients.ts');
const { hear } = await import('./messages.ts');
const { protocol } = await import('../shared/messages.ts');
type Site = InstanceType<typeof Site>;

beforeEach(() => {
  caches.all.clear();
  pages.length = 0;
  mock.timers.reset();
  mock.timers.enable({ apis: ['Date', 'setTimeout'], now: 1_000_000_000_000 });
});

/** The worker, started with what the last one has written down. */
async function restarted(): Promise<Site> {
  mock.timers.tick(100);
  await settled();
  return (await Site.open(scope, true))!;
}

/** A worker with a page of the first release, and then the second. */
async function opened(): Promise<Site> {
  const site = (await Site.open(scope, true))!;
  await site.snapshots.adopt(rootOf(idOf(1)));
  pages.push({ id: 'page', postMessage() {} });
  pin(site, 'page', idOf(1)).navigated = true;
  await site.snapshots.adopt(rootOf(idOf(2)));
  return site;
}

const snapshotOf = async (site: Site): Promise<string> => (await clientOfPage(site, 'page')).snapshot;

test('a page stays on its snapshot when the worker is started anew', async () => {
  await opened();
  const site = await restarted();
  assert.equal(site.snapshots.current?.id, idOf(2));
  assert.equal(await snapshotOf(site), idOf(1));
  assert.ok(site.snapshots.live.has(idOf(1)));
});

test('a page that was read for long stays on its snapshot in the back/forward cache', async () => {
  let site = await opened();
  mock.timers.tick(60 * minutes);
  // It is being left.
  await tidy(site);
  pages.length = 0;
  site = await restarted();
  mock.timers.tick(10 * minutes);
  await tidy(site);
  assert.equal(await snapshotOf(site), idOf(1));
});

test('one that has greeted has been there, though nobody looked', async () => {
  const site = await opened();
  mock.timers.tick(60 * minutes);
  const source = { id: 'page', url: scope, visibilityState: 'hidden' };
  const data = { type: 'hello', protocol, canShare: false, gpc: false, loaded: [] };
  await hear(site, { source, data, ports: [] } as unknown as ExtendableMessageEvent);
  pages.length = 0;
  mock.timers.tick(30 * minutes);
  await tidy(site);
  assert.equal(await snapshotOf(site), idOf(1));
});

test('one that has been gone for longer is forgotten, and its snapshot with it', async () => {
  const site = await opened();
  // One of which a page was had whole would stay.
  site.snapshots.proven = idOf(2);
  await tidy(site);
  pages.length = 0;
  mock.timers.tick(30 * minutes);
  await tidy(site);
  assert.deepEqual([...site.clients.keys(), ...site.snapshots.live.keys()], ['page', idOf(1), idOf(2)]);
  mock.timers.tick(1);
  await tidy(site);
  assert.deepEqual([...site.clients.keys(), ...site.snapshots.live.keys()], [idOf(2)]);
  assert.equal(await snapshotOf(await restarted()), idOf(2));
});
