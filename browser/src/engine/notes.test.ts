/** A download goes on from the part that an earlier page's engine left. */
import assert from 'node:assert/strict';
import { before, test, type TestContext } from 'node:test';
import { nameOf, Store } from '../store/store.ts';
import { FakeDirectory } from '../store/testing.test.ts';
import { connect, makeSite, noise, origin, Visitor, type Site } from './testing.test.ts';

const pieceLength = 32768;
const pieces = 64;

before(() => {
  const estimate = async () => ({ quota: 10 * 2 ** 30, usage: 0 });
  Object.defineProperty(globalThis, 'navigator', { value: { storage: { estimate } } });
});

async function met(t: TestContext, site: Site, directory: FakeDirectory): Promise<Visitor> {
  const giver = await new Visitor().begin(site, site.files);
  const taker = await new Visitor(new Store(directory)).begin(site);
  t.after(() => [giver, taker].forEach((visitor) => visitor.close()));
  await giver.until(() => giver.wants.size > 0);
  await taker.get(site.files[0]!, { start: 9, end: 9 }).got;
  connect(giver, taker);
  await taker.until(() => taker.core.sources(site.files[0]!.content)(0).holders.length === 1);
  taker.fetch = origin(site, pieceLength);
  return taker;
}

/** Downloads half of the site's file, and leaves the page. Gives the name of the part. */
async function leave(t: TestContext, site: Site, directory: FakeDirectory): Promise<string> {
  const first = await met(t, site, directory);
  const got = await first.get(site.files[0]!, { end: (pieces / 2) * pieceLength }).got;
  assert.equal(got.outcome, 'end');
  first.host({ type: 'stop' });
  const name = `${nameOf(site.files[0]!.content)}.part`;
  assert.deepEqual([directory.names, directory.locked.size], [[name], 0]);
  return name;
}

for (const [what, spoil, again] of [
  ['as it was left', (bytes: Uint8Array<ArrayBuffer>) => bytes, pieces / 2],
  [
    'with a piece that was written by half',
    (bytes) => bytes.fill(0, 5.5 * pieceLength, 6 * pieceLength),
    pieces / 2 + 1,
  ],
  [
    "with a layer that is not the content's",
    (bytes) => bytes.fill(7, pieces * pieceLength, pieces * pieceLength + 1),
    pieces,
  ],
  ['with the layer and nothing else', (bytes) => bytes.slice(0, pieces * (pieceLength + 32)), pieces],
] as Array<[string, (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>, number]>) {
  test(`a part ${what}`, async (t) => {
    const site = await makeSite([noise(pieces * pieceLength, 1)]);
    const [file] = site.files;
    const directory = new FakeDirectory(true);
    const name = await leave(t, site, directory);
    const bytes = new Uint8Array(await directory.files.get(name)!.arrayBuffer());
    directory.files.set(name, new Blob([spoil(bytes)]));
    const second = await met(t, site, directory);
    const got = await second.get(file!).got;
    assert.deepEqual([got.outcome, Buffer.compare(got.data, file!.data)], ['end', 0]);
    await second.until(() => second.stored.length === 1);
    // From whomever: a slow machine makes a peer seem slow.
    await second.until(() => second.counts.origin + second.counts.peers >= again * pieceLength);
    assert.equal(second.counts.origin + second.counts.peers, again * pieceLength);
    assert.deepEqual(directory.names, [nameOf(file!.content)]);
    assert.equal(directory.files.get(nameOf(file!.content))!.size, file!.content.size);
  });
}
