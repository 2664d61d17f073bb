import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryDirectory } from '../store/memory.ts';
import { Store } from '../store/store.ts';
import { Script, served, visitors } from './script.test.ts';
import { connect, makeSite, noise, origin, Visitor } from './testing.test.ts';

test('downloads that are cancelled while their parts are opened are kept as others that nobody waits for', async (t) => {
  const site = await makeSite(Array.from({ length: 21 }, (_, i) => noise(40_000, i)));
  const [a, b] = await visitors(t, site, site.files.map((_, i) => i), []);
  connect(a!, b!);
  await served(b!, site);
  const { core } = b!;
  let open = (): void => {};
  const gate = new Promise<void>((resolve) => (open = resolve));
  const make = core.newDownload.bind(core);
  let opening = 0;
  core.newDownload = (...options) => {
    const download = make(...options);
    const resume = download.resume.bind(download);
    opening++;
    download.resume = async () => gate.then(resume);
    return download;
  };
  const [last, ...others] = site.files;
  const ids = others.map((file) => b!.get(file).id);
  await b!.until(() => opening === ids.length);
  for (const id of ids) b!.post({ type: 'cancel', id });
  // What is answered at once comes after them.
  await b!.get(last!, { start: 9, end: 9 }).got;
  open();
  assert.equal((await b!.get(last!).got).outcome, 'end');
  assert.ok([...core.contents.downloads].length <= 16);
});

test('a request does not wait until the store is listed', async (t) => {
  const directory = new MemoryDirectory();
  directory.keys = async function* () {
    await new Promise(() => {});
  };
  const site = await makeSite([noise(40_000, 1)]);
  const [a] = await visitors(t, site, [0]);
  const b = await new Visitor(new Store(directory)).begin(site);
  t.after(() => b.close());
  await b.get(site.files[0]!, { start: 9, end: 9 }).got;
  connect(a!, b);
  assert.deepEqual((await b.get(site.files[0]!).got).data, site.files[0]!.data);
});

test('two requests of one content are had from the web seed side by side', async (t) => {
  const size = 64 << 20;
  const length = 1 << 18;
  const site = await makeSite([new Uint8Array(size)], { pieceLength: length });
  const [a] = await visitors(t, site, []);
  const aborted: string[] = [];
  const layers = origin(site, length);
  // An origin that never gets further than its headers.
  a!.fetch = async (url, init) => {
    if (url.endsWith('.layer')) return layers(url, init);
    const range = new Headers(init.headers).get('Range')!;
    const body = new ReadableStream({
      start(controller) {
        init.signal!.addEventListener('abort', () => {
          aborted.push(range);
          controller.error(new Error('aborted'));
        });
      },
    });
    const [start, end] = range.match(/\d+/g)!;
    return new Response(body, { status: 206, headers: { 'Content-Range': `bytes ${start}-${end}/${size}` } });
  };
  const ranges = (): (string | null)[] => a!.fetched.flatMap(({ range }) => range ?? []);
  // Somebody to share it with.
  new Script(a!, 'newcomer').send({ type: 'haveNone' });
  const first = a!.get(site.files[0]!, { deadlineMs: 1e6 });
  await a!.until(() => ranges().length === 1);
  a!.get(site.files[0]!, { start: 40 << 20, deadlineMs: 1e6 });
  await a!.until(() => ranges().length === 2);
  assert.deepEqual(ranges(), [0, 40 << 20].map((at) => `bytes=${at}-${at + (4 << 20) - 1}`));
  assert.deepEqual(aborted, []);
  a!.post({ type: 'cancel', id: first.id });
  await a!.until(() => aborted.length > 0);
  assert.deepEqual(aborted, ranges().slice(0, 1), 'and what the other waits for goes on');
});
