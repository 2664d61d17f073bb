/** What the page is having: uploads give way to it, and prefetching waits for it. What nobody reads keeps neither. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { connect, makeSite, noise, Visitor, type File, type Site } from './testing.test.ts';

const mebibyte = 1 << 20;

/** Resolves when the core has heard what was posted before: a request for nothing is declined at once. */
const heard = (visitor: Visitor, file: File) => visitor.get(file, { start: 9, end: 9 }).got;

async function visitor(t: TestContext, site: Site, held: File[] = []): Promise<Visitor> {
  const self = await new Visitor().begin(site, held);
  t.after(() => self.close());
  await heard(self, site.files[0]!);
  return self;
}

/** What may be uploaded, in bytes a millisecond. */
async function uploadRate(self: Visitor, t: TestContext): Promise<number> {
  const waits: number[] = [];
  const { setTimeout: real } = globalThis;
  assert.equal(self.clockRate, 0, 'the clock stands still');
  for (let i = 0; i < 2; i++) {
    const mocked = t.mock.method(globalThis, 'setTimeout', (act: () => void, ms: number) => {
      waits.push(ms);
      return real(act, 0);
    });
    const uploading = self.core.uploading(10 * mebibyte);
    // The wait is its first act: whatever else is begun meanwhile has timers of its own.
    mocked.mock.restore();
    await uploading;
  }
  return Math.round((10 * mebibyte) / (waits[1]! - waits[0]!));
}

test('uploads give way to what the page is having, from the origin too, and to nothing else', async (t) => {
  const site = await makeSite([noise(900_000, 1)]);
  const self = await visitor(t, site);
  self.clockRate = 0;
  const [file] = site.files as [File];
  const { content } = file;
  const rate = (): Promise<number> => heard(self, file).then(() => uploadRate(self, t));
  assert.equal(await rate(), 32_000);
  const { id } = self.get(file);
  assert.equal(await rate(), 5000, 'stands in the engine');
  // Its turn at the origin has come.
  self.post({ type: 'cancel', id });
  self.post({ type: 'fetching', content, active: true });
  assert.equal(await rate(), 5000, 'is fetched from the origin');
  self.post({ type: 'fetching', content, active: false });
  assert.equal(await rate(), 32_000);
  self.get(file, { background: true });
  assert.equal(await rate(), 32_000, 'is for later');
});

for (const [what, bytes] of [
  ['that has come as a whole', 4 * mebibyte],
  ['of which more is to come', 12 * mebibyte],
] as const) {
  test(`a video ${what}, and that nobody reads on, keeps neither prefetching nor uploads`, async (t) => {
    const site = await makeSite([noise(bytes, 1), noise(50_000, 2)]);
    const [video, next] = site.files as [File, File];
    const [giver, self] = [await visitor(t, site, site.files), await visitor(t, site)];
    connect(giver, self);
    await self.until(() => self.core.sources(next.content)(0).holders.length === 1);
    self.consume = false;
    const { id } = self.get(video);
    await self.until(() => self.chunks(id) === 4);
    const { verdict } = await self.get(next, { background: true, deadlineMs: 30_000 }).got;
    assert.equal(verdict, 'accept');
    self.clockRate = 0;
    assert.equal(await uploadRate(self, t), 32_000);
    self.clockRate = 1;
    self.consume = true;
    self.post({ type: 'cancel', id });
  });
}
