/**
 * A page stays on the snapshot it was loaded from, and so does what it brings into being afterwards: a frame of srcdoc,
 * a worker from a file, a worker from a blob. A release in between changes nothing for them, and old and new never mix.
 * A page that was there before its site's service worker is of the release that its document is of.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Page } from 'puppeteer-core';
import { launch, visitor } from './harness/browsers.ts';
import { origin } from './harness/origin.ts';
import { explained, open, openNewest } from './harness/page.ts';
import { pack } from './harness/planktos.ts';
import { makeSite, page as pageOf } from './harness/site.ts';
import type { Site } from './harness/site.ts';
import { staticHost } from './harness/static.ts';
import { until } from './harness/wait.ts';

const browser = await launch({ after }, 'chrome');
const firefox = await launch({ after }, 'firefox');

/** Packs a release: every file that the page has not asked for yet says its number. */
async function release(site: Site, number: number): Promise<string> {
  await site.write('late.js', `self.late = ${number};\n`);
  await site.write('late.txt', `${number}`);
  await site.write(
    'job.js',
    `importScripts('late.js');
     fetch('late.txt').then((got) => got.text()).then((text) => postMessage([${number}, self.late, Number(text)]));\n`,
  );
  return (await pack(site.dir, '--inject'))['snapshot'] as string;
}

/**
 * The release that each thing a page can make finds itself in: by its own script, by what that imports, and by fetch.
 * What does not answer is told as such.
 */
function found(page: Page): Promise<Record<string, number[] | string>> {
  return page.evaluate(async () => {
    const { href } = new URL('.', location.href);
    type Told = number[] | string;
    const answer = (listen: (done: (told: Told) => void) => void): Promise<Told> =>
      new Promise((done) => {
        setTimeout(() => done('no answer'), 30_000);
        listen(done);
      });
    const worker = (url: string): Promise<Told> =>
      answer((done) => {
        const made = new Worker(url);
        made.onmessage = ({ data }: MessageEvent<number[]>) => done(data);
        made.onerror = (event) => done(`error: ${event.message}`);
      });
    const frame = (): Promise<Told> =>
      answer((done) => {
        window.addEventListener('message', ({ data }: MessageEvent<unknown>) => {
          if (Array.isArray(data)) done(data as number[]);
        });
        const element = document.createElement('iframe');
        element.srcdoc = `<!doctype html><base href="${href}"><script src="late.js"></${''}script><script>
          fetch('late.txt').then((got) => got.text()).then((text) => parent.postMessage([late, Number(text)], '*'));
          </${''}script>`;
        document.body.append(element);
      });
    const source = `importScripts('${href}late.js');
      fetch('${href}late.txt').then((got) => got.text()).then((text) => postMessage([self.late, Number(text)]));`;
    const blob = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
    return {
      page: [Number(await (await fetch(`${href}late.txt`)).text())],
      'srcdoc frame': await frame(),
      worker: await worker('job.js'),
      'blob worker': await worker(blob),
    };
  });
}

test('frames and workers live on the snapshot of the page that made them', { timeout: 180_000 }, async (t) => {
  const site = await makeSite(t, { pictureSide: 48, large: false });
  await release(site, 1);
  const host = await origin(t, await staticHost(t, site.dir));
  const who = await visitor(t, browser);
  await explained([who], async () => {
    const of = (number: number) => ({
      page: [number],
      'srcdoc frame': [number, number],
      worker: [number, number, number],
      'blob worker': [number, number],
    });
    await open(who.page, host.url);
    await open(who.page, `${host.url}second.html`);
    assert.deepEqual(await found(who.page), of(1));
    const second = await release(site, 2);
    const tab = await who.tab();
    await openNewest(tab, `${host.url}gallery.html`, second);
    assert.deepEqual(await found(tab), of(2));
    await who.page.bringToFront();
    await openNewest(who.page, host.url, second);
    await openNewest(tab, `${host.url}gallery.html`, await release(site, 3));
    await who.page.bringToFront();
    // Nothing tells whose a blob's worker is: where two snapshots are in use it speaks to the origin, as a whole.
    const { 'blob worker': network, ...inherited } = await found(who.page);
    const { 'blob worker': _, ...own } = of(2);
    assert.deepEqual(inherited, own);
    assert.deepEqual(network, [3, 3]);
  });
});

// It lists no clients while a worker waits for a script, which is when the service worker asks whose that is.
test('in Firefox the worker of a blob has what it imports', { timeout: 180_000 }, async (t) => {
  const site = await makeSite(t, { pictureSide: 48, large: false });
  await release(site, 1);
  const host = await origin(t, await staticHost(t, site.dir));
  const who = await visitor(t, firefox);
  await explained([who], async () => {
    await open(who.page, host.url);
    await open(who.page, `${host.url}second.html`);
    const all = await found(who.page);
    assert.deepEqual([all['worker'], all['blob worker']], [[1, 1, 1], [1, 1]]);
  });
});

for (const [kind, launched] of [['chrome', browser], ['firefox', firefox]] as const) {
  test(`in ${kind} a page older than its worker hears of the release between`, { timeout: 180_000 }, async (t) => {
    const site = await makeSite(t, { pictureSide: 48, large: false });
    await pack(site.dir, '--inject');
    const host = await origin(t, await staticHost(t, site.dir));
    const who = await visitor(t, launched);
    await explained([who], async () => {
      host.rules = [(path) => (path === 'planktos.sw.min.js' ? { status: 404 } : undefined)];
      await who.page.goto(host.url, { waitUntil: 'load' });
      const isRefused = (): boolean => host.count((path) => path === 'planktos.sw.min.js') > 0;
      await until('the worker to be refused', isRefused);
      await site.write('index.html', pageOf('Front, anew', []));
      const { snapshot } = await pack(site.dir, '--inject');
      host.rules = [];
      await who.page.evaluate(async () => {
        window.planktos.addEventListener('update', ({ detail }) => Reflect.set(window, 'newer', detail.snapshot));
        await navigator.serviceWorker.register('planktos.sw.min.js');
      });
      const told = (): Promise<unknown> => who.page.evaluate(() => Reflect.get(window, 'newer'));
      assert.equal(await until('the page to be told', told, { timeoutMs: 45_000 }), snapshot);
      await who.page.reload({ waitUntil: 'load' });
      assert.equal(await who.page.title(), 'Front, anew');
    });
  });
}
