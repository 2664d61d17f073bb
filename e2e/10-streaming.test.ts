/** Ranges through the worker: true 206 and 416 from the store and from the origin, and sound that seeks. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { Page } from 'puppeteer-core';
import { launchAll, visitor } from './harness/browsers.ts';
import { sha256 } from './harness/bytes.ts';
import { isHashed, origin } from './harness/origin.ts';
import { connected, explained, fetchIn, holds, open, stats } from './harness/page.ts';
import { serve } from './harness/planktos.ts';
import { makeSite, sound, wav } from './harness/site.ts';
import { until } from './harness/wait.ts';

const browsers = launchAll({ after });

/** Has the page open a sound and seek to each position (s) in turn, as soon as the one before is reached. */
function seek(page: Page, source: string, to: number[]) {
  return page.evaluate(
    async (source, to) => {
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
      for (const position of to) {
        const sought = happens('seeked');
        media.currentTime = position;
        await sought;
        positions.push(Math.round(media.currentTime));
      }
      return { positions, duration: Math.round(media.duration), seekable: media.seekable.length };
    },
    source,
    to,
  );
}

for (const [kind, browser] of browsers) {
  describe(kind, () => {
    test('ranges: from the origin, then from the store', { timeout: 240_000 }, async (t) => {
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

    test('a host that ignores Range', { timeout: 180_000 }, async (t) => {
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

    test('media seek', { timeout: 180_000 }, async (t) => {
      const site = await makeSite(t);
      const host = await origin(t, (await serve(t, site.dir)).url);
      const who = await visitor(t, browser);
      await explained([who], async () => {
        await open(who.page, host.url);
        for (let visit = 0; visit < 2; visit++) {
          await open(who.page, `${host.url}second.html`);
          const reached = await seek(who.page, sound, [50, 10, 58]);
          assert.deepEqual(reached, { positions: [50, 10, 58], duration: 60, seekable: 1 });
        }
      });
    });

    test('media seek: another visitor gives what is sought, and the rest is left', { timeout: 240_000 }, async (t) => {
      const site = await makeSite(t, { pictureSide: 48 });
      await site.write(sound, wav('long', 340));
      const size = site.size(sound);
      const host = await origin(t, (await serve(t, site.dir, '--prefer', 'offload')).url);
      const [giver, taker] = [await visitor(t, browser), await visitor(t, browser)];
      await explained([giver, taker], async () => {
        await open(giver.page, host.url);
        await open(giver.page, `${host.url}second.html`);
        assert.equal((await fetchIn(giver.page, sound)).sha256, site.hash(sound));
        await holds(giver.page, size);
        await open(taker.page, host.url);
        await connected(taker.page);
        await open(taker.page, `${host.url}second.html`);
        await connected(taker.page);
        host.reset();
        // What peers do not bring in time the origin does, which is in no hurry: however busy the machine is.
        host.rules = [(path) => (path === sound || isHashed(path) ? { delayMs: 5_000 } : undefined)];
        const reached = await seek(taker.page, sound, [300, 100, 330]);
        assert.deepEqual(reached, { positions: [300, 100, 330], duration: 340, seekable: 1 });
        await taker.page.evaluate(() => {
          const media = document.querySelector('video')!;
          media.removeAttribute('src');
          media.load();
        });
        let [last, same] = [-1, 0];
        await until('the taker to fetch no more', async () => {
          const { page } = await stats(taker.page);
          const had = page.origin + page.peers;
          [last, same] = [had, had === last ? same + 1 : 0];
          return same >= 40;
        });
        const { page } = await stats(taker.page);
        const sent = host.bytes((path) => path === sound || isHashed(path));
        t.diagnostic(`peers gave ${page.peers}, the origin ${sent} of ${size} bytes`);
        assert.ok(page.peers > 0);
        assert.ok(last < size / 2, `${last} of ${size} bytes were fetched: ${JSON.stringify(page)}`);
      });
    });

    test('a transfer that the page cancels ends at the origin too', { timeout: 180_000 }, async (t) => {
      const site = await makeSite(t);
      const host = await origin(t, (await serve(t, site.dir)).url);
      const who = await visitor(t, browser);
      host.rules = [(path) => (path === sound ? { slowMs: 120_000 } : undefined)];
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
        // All of it would take two minutes.
        await until('the transfer to end at the origin', () => {
          const asked = host.requests.filter(({ path }) => path === sound);
          return asked.length > 0 && asked.every(({ left }) => left);
        });
        assert.equal((await fetchIn(who.page, 'js/classic.js')).sha256, site.hash('js/classic.js'));
      });
    });
  });
}
