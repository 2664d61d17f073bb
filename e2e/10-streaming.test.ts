/**
 * Ranges and long streams through the worker: true 206 and 416 from the store and from the origin, sound that seeks,
 * and, in Firefox, a stream of more than forty seconds that arrives whole (Firefox ends an idle worker's stream after
 * about thirty, cleanly, with bytes missing: this one test has to take its time).
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { kinds, launch, visitor } from './harness/browsers.ts';
import type { Kind } from './harness/browsers.ts';
import { sha256 } from './harness/bytes.ts';
import { origin } from './harness/origin.ts';
import { explained, fetchIn, open } from './harness/page.ts';
import { serve } from './harness/planktos.ts';
import { makeSite, sound } from './harness/site.ts';
import type { Browser } from 'puppeteer-core';

const browsers: Array<[Kind, Browser]> = [];
for (const kind of kinds) browsers.push([kind, await launch({ after }, kind)]);

for (const [kind, browser] of browsers) {
  describe(kind, () => {
    test('ranges: from the origin, then from the store', { timeout: 90_000 }, async (t) => {
      const site = await makeSite(t);
      const host = await origin(t, (await serve(t, site.dir)).url);
      const who = await visitor(t, browser);
      const whole = site.files.get(sound)!;
      const { length } = whole;
      await explained([who], async () => {
        await open(who.page, host.url);
        await open(who.page, `${host.url}second.html`);
        for (const stored of [false, true]) {
          if (stored) assert.equal((await fetchIn(who.page, sound)).sha256, site.hash(sound));
          for (const [range, start, end] of [
            ['bytes=0-0', 0, 1],
            ['bytes=100-199', 100, 200],
            ['bytes=16383-16385', 16_383, 16_386],
            ['bytes=1000000-2000000', 1_000_000, 2_000_001],
            [`bytes=${length - 10}-`, length - 10, length],
            ['bytes=-7', length - 7, length],
            [`bytes=5000000-99999999`, 5_000_000, length],
          ] as const) {
            const got = await fetchIn(who.page, sound, { headers: { range } });
            const name = `${range}${stored ? ', stored' : ''}`;
            assert.deepEqual([got.status, got.length], [206, end - start], name);
            assert.equal(got.headers['content-range'], `bytes ${start}-${end - 1}/${length}`, name);
            assert.equal(got.sha256, sha256(whole.subarray(start, end)), name);
          }
          const beyond = await fetchIn(who.page, sound, { headers: { range: `bytes=${length}-` } });
          assert.deepEqual([beyond.status, beyond.headers['content-range']], [416, `bytes */${length}`]);
          const nonsense = await fetchIn(who.page, sound, { headers: { range: 'bytes=9-1' } });
          // RFC 9110, 14.2: an invalid Range is ignored; Go's file server says 416 instead, and may.
          assert.ok(nonsense.status === 416 || nonsense.sha256 === site.hash(sound), `status ${nonsense.status}`);
          const empty = await fetchIn(who.page, 'css/empty.css', { headers: { range: 'bytes=0-' } });
          assert.ok(empty.status === 416 || (empty.status === 200 && empty.length === 0), `status ${empty.status}`);
        }
      });
    });

    test('a host that ignores Range', { timeout: 60_000 }, async (t) => {
      const site = await makeSite(t);
      const host = await origin(t, (await serve(t, site.dir)).url);
      const who = await visitor(t, browser);
      host.rules = [() => ({ ignoreRange: true })];
      await explained([who], async () => {
        await open(who.page, host.url);
        await open(who.page, `${host.url}second.html`);
        const got = await fetchIn(who.page, sound, { headers: { range: 'bytes=3000000-3000099' } });
        const part = sha256(site.files.get(sound)!.subarray(3_000_000, 3_000_100));
        assert.deepEqual([got.status, got.length, got.sha256], [206, 100, part]);
      });
    });

    test('media seek', { timeout: 60_000 }, async (t) => {
      const site = await makeSite(t);
      const host = await origin(t, (await serve(t, site.dir)).url);
      const who = await visitor(t, browser);
      await explained([who], async () => {
        await open(who.page, host.url);
        for (let visit = 0; visit < 2; visit++) {
          await open(who.page, `${host.url}second.html`);
          const reached = await who.page.evaluate(async (source) => {
            const media = document.createElement('video');
            const happens = (event: string): Promise<unknown> =>
              new Promise((done, failed) => {
                media.addEventListener(event, done, { once: true });
                media.addEventListener('error', () => failed(new Error(media.error?.message)), { once: true });
              });
            media.muted = true;
            const known = happens('loadedmetadata');
            media.src = source;
            document.body.append(media);
            await known;
            const positions: number[] = [];
            for (const to of [50, 10, 58]) {
              const sought = happens('seeked');
              media.currentTime = to;
              await sought;
              positions.push(Math.round(media.currentTime));
            }
            return { positions, duration: Math.round(media.duration), seekable: media.seekable.length };
          }, sound);
          assert.deepEqual(reached, { positions: [50, 10, 58], duration: 60, seekable: 1 });
        }
      });
    });

    test('a transfer that the page cancels ends at the origin too', { timeout: 60_000 }, async (t) => {
      const site = await makeSite(t);
      const host = await origin(t, (await serve(t, site.dir)).url);
      const who = await visitor(t, browser);
      host.rules = [(path) => (path === sound ? { slowMs: 20_000 } : undefined)];
      await explained([who], async () => {
        await open(who.page, host.url);
        await open(who.page, `${host.url}second.html`);
        const name = await who.page.evaluate(async (url) => {
          const controller = new AbortController();
          const response = await fetch(url, { signal: controller.signal });
          const reader = response.body!.getReader();
          await reader.read();
          controller.abort();
          return reader.read().then(
            () => 'went on',
            (error: Error) => error.name,
          );
        }, sound);
        assert.equal(name, 'AbortError');
        assert.equal((await fetchIn(who.page, 'js/classic.js')).sha256, site.hash('js/classic.js'));
      });
    });
  });
}

test('a stream of more than forty seconds arrives whole in Firefox', { timeout: 120_000 }, async (t) => {
  const [, firefox] = browsers.find(([kind]) => kind === 'firefox')!;
  const site = await makeSite(t);
  const host = await origin(t, (await serve(t, site.dir)).url);
  const who = await visitor(t, firefox);
  who.page.setDefaultTimeout(90_000);
  host.rules = [
    (path, request) => (path === sound && request.headers['range'] === undefined ? { slowMs: 42_000 } : undefined),
  ];
  await explained([who], async () => {
    await open(who.page, host.url);
    await open(who.page, `${host.url}second.html`);
    const began = performance.now();
    await who.page.evaluate((url) => {
      const digest = async (): Promise<string> => {
        const bytes = await (await fetch(url)).arrayBuffer();
        const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
        return [...hash].map((byte) => byte.toString(16).padStart(2, '0')).join('');
      };
      digest().then(
        (hash) => Reflect.set(window, 'streamed', hash),
        (error) => Reflect.set(window, 'streamed', String(error)),
      );
    }, sound);
    const streamed = await who.page.waitForFunction(() => Reflect.get(window, 'streamed') as string, { polling: 500 });
    assert.equal(await streamed.jsonValue(), site.hash(sound));
    assert.ok(performance.now() - began > 40_000, 'the stream was too quick to show anything');
  });
});
