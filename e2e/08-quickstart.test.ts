/**
 * A newcomer follows the README, command by command. `planktos` on the PATH is the program built from this tree, which
 * stands for `go install`.
 */
import assert from 'node:assert/strict';
import { cp, mkdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { SpawnOptions } from 'node:child_process';
import { launch, visitor } from './harness/browsers.ts';
import { temporaryFolder } from './harness/cleanup.ts';
import type { Scope } from './harness/cleanup.ts';
import { brokenPictures, controlled, explained, holds, open, stats } from './harness/page.ts';
import { binary, root } from './harness/planktos.ts';
import { check, start } from './harness/process.ts';
import { readmeCommands } from './harness/readme.ts';
import { pythonHost } from './harness/static.ts';
import { until } from './harness/wait.ts';

const browser = await launch({ after }, 'chrome');
const { blocks, quickStart } = await readmeCommands();

/** A folder with a site in `site/`, and an environment in which `planktos` is on the PATH. */
async function newcomer(t: Scope): Promise<{ home: string; options: SpawnOptions }> {
  const home = await temporaryFolder(t, 'newcomer');
  await cp(join(root, 'examples/site'), join(home, 'site'), { recursive: true });
  await mkdir(join(home, 'bin'));
  await symlink(await binary(), join(home, 'bin/planktos'));
  return { home, options: { cwd: home, env: { ...process.env, PATH: `${join(home, 'bin')}:${process.env['PATH']}` } } };
}

test('every shell block of the README is tested here', () => {
  const tested = ['go run ./cmd/planktos demo', 'planktos serve ./site', quickStart];
  // The one installs from the network what this tree is; the other is this very run.
  const known = [...tested, 'go install github.com/planktos/planktos/cmd/planktos@latest', 'make test'];
  assert.deepEqual(
    blocks.filter((block) => !known.includes(block)),
    [],
  );
  for (const block of tested) assert.ok(blocks.includes(block), `the README no longer says: ${block}`);
});

test('go run ./cmd/planktos demo', { timeout: 480_000 }, async (t) => {
  const { DISPLAY: _, WAYLAND_DISPLAY: __, ...env } = process.env; // no screen: the demo prints its URL
  const demo = start(t, 'bash', ['-c', 'exec go run ./cmd/planktos demo'], { cwd: root, env });
  const line = await demo.line((each) => each.includes('http://'), 240_000);
  const url = /http:\/\/[^\s]+/.exec(line)![0];
  const who = await visitor(t, browser);
  await explained([who], async () => {
    await who.page.setViewport({ width: 1440, height: 1000 });
    await who.page.goto(url, { waitUntil: 'load' });
    const pictures = 1_000_000; // at least so much does each visitor need, most of it pictures
    const visits = await until(
      'eight visitors to have the pictures',
      async () => {
        const frames = who.page.frames().slice(1);
        const totals = await Promise.all(frames.map((frame) => frame.evaluate(() => window.planktos.stats())));
        return totals.length === 8 && totals.every(({ origin, peers }) => origin + peers > pictures) && totals;
      },
      { timeoutMs: 120_000, everyMs: 200 },
    );
    const needed = visits.reduce((total, { origin, peers }) => total + origin + peers, 0);
    const { originBytes } = (await (await fetch(new URL('api/state', url))).json()) as { originBytes: number };
    t.diagnostic(`the origin sent ${originBytes} bytes where plain HTTP would have sent ${needed}`);
    assert.ok(originBytes < 0.8 * needed, `the origin sent ${originBytes} of ${needed} bytes`);
    await mkdir(join(root, 'e2e/out'), { recursive: true });
    for (const scheme of ['light', 'dark'] as const) {
      await who.page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
      await who.page.screenshot({ path: join(root, `e2e/out/demo-${scheme}.png`) });
    }
    // The buttons: another visitor, one that leaves, and one that forgets all it had.
    const { page } = who;
    const frames = (): number => page.frames().length - 1;
    await page.click('#add');
    await until('a ninth visitor', () => frames() === 9, { timeoutMs: 45_000 });
    await page.click('.visitor:first-child .remove');
    await until('one visitor less', () => frames() === 8, { timeoutMs: 45_000 });
    const second = page.frames()[1]!;
    const port = new URL(second.url()).port;
    await page.click('.visitor:first-child .clear');
    const anew = async (): Promise<boolean> => {
      const frame = page.frames().find((each) => new URL(each.url()).port === port);
      const totals = await frame?.evaluate(() => window.planktos.stats()).catch(() => undefined);
      return totals !== undefined && totals.store < 100_000 && totals.origin + totals.peers > pictures;
    };
    await until('the first visitor to load everything anew', anew, { timeoutMs: 60_000 });
    assert.deepEqual(who.errors, []);
  });
});

test('planktos serve ./site', { timeout: 120_000 }, async (t) => {
  const { options } = await newcomer(t);
  const server = start(t, 'bash', ['-c', 'exec planktos serve ./site'], options);
  const line = await server.line((each) => each.includes('http://'));
  const who = await visitor(t, browser);
  await explained([who], async () => {
    assert.equal(await open(who.page, /http:\/\/[^\s]+/.exec(line)![0]), 'peers');
    assert.deepEqual(await brokenPictures(who.page), []);
    assert.deepEqual(who.errors, []);
  });
  assert.equal(await server.stop(), 0, server.output());
});

test('the quick start: pack a folder, upload it anywhere', { timeout: 180_000 }, async (t) => {
  const { home, options } = await newcomer(t);
  const said = await check('bash', ['-euc', quickStart], options);
  assert.match(
    said,
    /third parties:[^]*tracker +\S+\.\S+/,
    'the summary does not name the trackers that visitors will contact',
  );
  const url = await pythonHost(t, join(home, 'site'));
  const who = await visitor(t, browser);
  await explained([who], async () => {
    assert.notEqual(await open(who.page, url), 'http');
    assert.deepEqual(await brokenPictures(who.page), []);
    await holds(who.page, 100_000);
    await open(who.page, url);
    assert.deepEqual(await brokenPictures(who.page), []);
    assert.equal(await controlled(who.page), true);
    assert.ok((await stats(who.page)).page.store > 0);
    assert.match(await readFile(join(home, 'site/index.html'), 'utf8'), /planktos\/install\.js/);
  });
});
