/**
 * Two Chromiums behind separate NATs exchange a page of pictures; what introduces them is `planktos serve` with its
 * own tracker and STUN server on the network between. Neither could reach the other at its own address.
 */
import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { Browser } from 'puppeteer-core';
import { launch, visitor } from './harness/browsers.ts';
import { temporaryFolder } from './harness/cleanup.ts';
import { natNetwork, natUnavailable } from './harness/nat.ts';
import { oneOfNewcomers } from './harness/newcomers.ts';
import { brokenPictures, connected, explained, fetchIn, holds, open, stats } from './harness/page.ts';
import { binary } from './harness/planktos.ts';
import { start } from './harness/process.ts';
import { galleryBytes, galleryPictures, makeSite } from './harness/site.ts';

const unavailable = await natUnavailable();

test('two visitors behind two NATs', { timeout: 240_000, skip: unavailable ?? false }, async (t) => {
  const site = await makeSite(t, { large: false });
  const net = await natNetwork(t);
  const url = `http://${net.address}:8080/`;
  const server = start(t, 'ip', [
    ...['netns', 'exec', net.host, await binary(), 'serve', site.dir],
    ...['--addr', `${net.address}:8080`, '--stun', `${net.address}:3478`, '--prefer', 'offload'],
  ]);
  await server.line((line) => line.includes('http://'));
  const first = await visitor(t, browserAt(t, net.homes[0], url));
  const needed = galleryBytes(site);
  await explained([first], async () => {
    await open(first.page, url);
    await open(first.page, `${url}gallery.html`);
    assert.deepEqual(await brokenPictures(first.page), []);
    await holds(first.page, needed);
  });
  await oneOfNewcomers(t, browserAt(t, net.homes[1], url), [first], async (second) => {
    await open(second.page, url);
    await connected(second.page);
    for (const path of galleryPictures) assert.equal((await fetchIn(second.page, path)).sha256, site.hash(path), path);
    const had = await stats(second.page);
    await open(second.page, `${url}gallery.html`);
    assert.deepEqual(await brokenPictures(second.page), []);
    return had.peers >= needed * 0.9 ? undefined : `of ${needed} bytes had ${JSON.stringify(had)}`;
  });
});

/** A browser that is in a namespace as a whole. Service workers want HTTPS; this one origin is excepted. */
async function browserAt(t: TestContext, namespace: string, url: string): Promise<Browser> {
  const wrapper = join(await temporaryFolder(t, 'wrapper'), 'chromium');
  await writeFile(
    wrapper,
    `#!/bin/sh\nexec ip netns exec ${namespace} ${process.env['CHROMIUM'] ?? '/usr/bin/chromium'} "$@"\n`,
  );
  await chmod(wrapper, 0o755);
  return launch(t, 'chrome', {
    executablePath: wrapper,
    pipe: true,
    flags: [
      `--unsafely-treat-insecure-origin-as-secure=${new URL(url).origin}`,
      `--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE ${new URL(url).hostname}`,
    ],
  });
}
