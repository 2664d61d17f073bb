/**
 * `make bench-release`: how long after a release all open pages know of it, told by the tracker or by each other alone,
 * and what a visitor who has the site fetches for a release that changes one file of a hundred.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Browser } from 'puppeteer-core';
import { launch, visitor } from '../../e2e/harness/browsers.ts';
import type { Visitor } from '../../e2e/harness/browsers.ts';
import { temporaryFolder } from '../../e2e/harness/cleanup.ts';
import type { Scope } from '../../e2e/harness/cleanup.ts';
import { origin } from '../../e2e/harness/origin.ts';
import { holds, open } from '../../e2e/harness/page.ts';
import { binary, pack, root, tracker } from '../../e2e/harness/planktos.ts';
import { check } from '../../e2e/harness/process.ts';
import { staticHost } from '../../e2e/harness/static.ts';
import { until, within } from '../../e2e/harness/wait.ts';
import { median, seconds, share, sum, table } from '../harness/figures.ts';
import { main, scoped } from '../harness/scope.ts';
import { makeSite } from '../harness/sites.ts';
import type { Site } from '../harness/sites.ts';

const { values } = parseArgs({
  options: { visitors: { type: 'string', default: '12' }, rounds: { type: 'string', default: '3' } },
});
const visitors = Number(values.visitors);
const rounds = Number(values.rounds);

/** Who tells a page: the tracker, or other pages, of which one has asked the origin. */
type Way = 'tracker' | 'peers';
const targetMs: Record<Way, number> = { tracker: 2_000, peers: 10_000 };

interface Round {
  way: Way;
  signed: boolean;
  /** of each page, from the release's first announcement */
  knownMs: number[];
}

await main(async (scope) => {
  const key = join(await temporaryFolder(scope), 'site.key');
  await check(await binary(), ['keygen', key]);
  const all: Round[] = [];
  const lines: string[][] = [];
  for (const way of ['tracker', 'peers'] as const) {
    for (const signed of [true, false]) {
      // Each in a browser of its own: what a worker was told of late makes it wait.
      const done: Round[] = [];
      for (let i = 0; i < rounds; i++) {
        done.push(await scoped((inner) => spread(inner, way, signed ? ['--sign', key] : [])));
      }
      all.push(...done);
      const last = done.map(({ knownMs }) => Math.max(...knownMs));
      const typical = median(done.flatMap(({ knownMs }) => knownMs));
      const cells = [typical, median(last), Math.max(...last), targetMs[way]].map(seconds);
      lines.push([`${visitors} pages, by ${way}, ${signed ? 'signed' : 'unsigned'}`, ...cells]);
      console.log(lines.at(-1)!.join('  '));
    }
  }
  const bytes = await scoped(fetched);
  console.log(table([['a release is known', 'median s', 'all, median', 'all, worst', 'target'], ...lines]));
  console.log(`fetched of a release that changes ${share(bytes.changed / bytes.site)} of a site: ` +
    `${share(bytes.fetched / bytes.site)} of it, target <= 0.030`);
  await mkdir(join(root, 'bench/out'), { recursive: true });
  await writeFile(join(root, 'bench/out/release.json'), JSON.stringify({ values, rounds: all, bytes }, undefined, 1));
});

/** The next release: one file is another. */
async function release(site: Site, number: number, args: string[]): Promise<string> {
  await writeFile(join(site.dir, 'release.txt'), `release ${number}`);
  return (await pack(site.dir, '--inject', ...args))['snapshot'] as string;
}

/** A packed site on a static host, its tracker elsewhere, and pages of it that are all open. */
async function spread(scope: Scope, way: Way, args: string[]): Promise<Round> {
  const site = await makeSite(scope, 'pictures');
  const meeting = await tracker(scope);
  const packing = [...args, '--tracker', meeting.url];
  await release(site, 1, packing);
  const host = await staticHost(scope, site.dir);
  const browser = await launch(scope, 'chrome');
  const crowd: Visitor[] = [];
  for (let i = 0; i < visitors; i++) {
    const who = await visitor(scope, browser);
    crowd.push(who);
    await open(who.page, host + site.tiny);
  }
  for (const { page } of crowd) {
    await page.waitForFunction(() => window.planktos.connections > 0, { polling: 50, timeout: 30_000 });
  }
  const snapshot = await release(site, 2, packing);
  const told = crowd.map(({ page }) => knows(page, snapshot));
  if (way === 'peers') {
    await meeting.process.stop('SIGKILL');
  }
  const startMs = Date.now();
  if (way === 'tracker') await check(await binary(), ['publish', site.dir]);
  else await crowd[0]!.page.evaluate(() => window.planktos.update());
  const known = await within(120_000, 'every page to know', Promise.all(told));
  return { way, signed: args.length > 0, knownMs: known.map((atMs) => atMs - startMs) };
}

/** When the page is told of a snapshot, in ms since the Unix epoch. */
function knows(page: Visitor['page'], snapshot: string): Promise<number> {
  return page.evaluate(
    (id) =>
      new Promise<number>((resolve) => {
        window.planktos.addEventListener('update', (event) => {
          if (event.detail.snapshot === id) resolve(Date.now());
        });
      }),
    snapshot,
  );
}

/** What a visitor who has all of a site fetches for a release, everything counted: bytes of body that the host sends. */
async function fetched(scope: Scope): Promise<{ site: number; changed: number; fetched: number }> {
  const site = await makeSite(scope, 'hundred');
  await release(site, 1, []);
  const host = await origin(scope, await staticHost(scope, site.dir));
  const browser: Browser = await launch(scope, 'chrome');
  const { page } = await visitor(scope, browser);
  await open(page, host.url + site.page);
  const bytes = sum(site.resources.values());
  await holds(page, bytes);
  const [[path, changed] = ['', 0]] = site.resources;
  await writeFile(join(site.dir, path), Buffer.alloc(changed, 'changed '));
  await release(site, 2, []);
  host.reset();
  const before = await page.evaluate(() => window.planktos.snapshot);
  await open(page, host.url + site.page);
  await until('the page to be of the release', async () => {
    const now = await page.evaluate(() => window.planktos.snapshot);
    return now !== '' && now !== before;
  });
  await page.waitForNetworkIdle({ idleTime: 1_000 });
  return { site: bytes, changed, fetched: host.bytes() };
}
