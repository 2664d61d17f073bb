/**
 * A stream of a minute and a half arrives whole: Firefox ends an idle worker's stream after about thirty seconds, or
 * sixty, cleanly, with bytes missing. It has to take its time, of which it uses little: `make e2e` runs it beside the
 * others.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { launch, visitor } from './harness/browsers.ts';
import { isHashed, origin } from './harness/origin.ts';
import { explained, open } from './harness/page.ts';
import { serve } from './harness/planktos.ts';
import { makeSite, sound } from './harness/site.ts';
import { until } from './harness/wait.ts';

test('a stream of a minute and a half arrives whole in Firefox', { timeout: 300_000 }, async (t) => {
  const site = await makeSite(t);
  const host = await origin(t, (await serve(t, site.dir)).url);
  const who = await visitor(t, await launch(t, 'firefox'));
  // Nor is it any quicker by another way.
  host.rules = [
    (path) => (path === sound ? { slowMs: 92_000, ignoreRange: true } : isHashed(path) ? { status: 404 } : undefined),
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
    const ended = (): Promise<string | undefined> =>
      who.page.evaluate(() => Reflect.get(window, 'streamed') as string | undefined);
    assert.equal(await until('the stream to end', ended, { timeoutMs: 240_000, everyMs: 500 }), site.hash(sound));
    assert.ok(performance.now() - began > 90_000, 'the stream was too quick to show anything');
  });
});
