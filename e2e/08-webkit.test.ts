/** WebKit, which in Debian has service workers and no WebRTC: the page behaves as over plain HTTP. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isContent, origin } from './harness/origin.ts';
import { serve } from './harness/planktos.ts';
import { makeSite, scripts } from './harness/site.ts';
import { freePort } from './harness/static.ts';
import { until } from './harness/wait.ts';
import { webKit, webKitUnavailable } from './harness/webkit.ts';

const once = Object.fromEntries(scripts.map((name) => [name, 1]));

/** What a page looks like, asked from within. */
const look = `
  const mode = await window.planktos.ready;
  const broken = [...document.images].filter((image) => image.complete && image.naturalWidth === 0);
  return { mode, runs: window.runs, broken: broken.map((image) => image.src), title: document.title };
`;

test(
  'WebKit loads every page as over plain HTTP',
  { timeout: 300_000, skip: webKitUnavailable() ?? false },
  async (t) => {
    const site = await makeSite(t, { pictureSide: 64, large: false });
    const host = await origin(t, (await serve(t, site.dir)).url);
    const browser = await webKit(t, await freePort());
    for (const path of ['', 'gallery.html', 'odd.html', 'sub/', 'gallery.html']) {
      await browser.goto(host.url + path);
      // The driver may say that a page is loaded while its modules are still to run.
      const whole = async (): Promise<unknown> => {
        const now = await browser.evaluate(look);
        return Object.keys((now as { runs?: object }).runs ?? {}).length === scripts.length && now;
      };
      const seen = await until(`the scripts of /${path} to have run`, whole, { timeoutMs: 45_000 });
      const { mode, runs, broken } = seen as { mode: string; runs: object; broken: string[] };
      assert.ok(mode === 'http' || mode === 'worker', JSON.stringify(seen));
      assert.deepEqual(runs, once, path);
      assert.deepEqual(broken, [], path);
    }
    assert.equal(host.sockets, 0, 'a browser without WebRTC has nothing to ask a tracker');
    assert.deepEqual(
      host.requests.filter(({ path, status }) => isContent(path) && status >= 400).map(({ url }) => url),
      [],
    );
  },
);
