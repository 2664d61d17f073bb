/**
 * `make bench-outage`: a returning visitor opens a page that it never saw. The origin refuses connections, or accepts
 * them and says nothing, while eight others are there and the tracker is elsewhere; or it takes seconds to begin each
 * answer and nobody else is there, by plain HTTP and by Planktos in turn. And, with origin and tracker dead, a page is
 * loaded anew, and introduced by the one peer that it finds its way back to.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Page } from 'puppeteer-core';
import { leaveOneRope, trio } from '../../e2e/harness/alone.ts';
import { launch, visitor } from '../../e2e/harness/browsers.ts';
import type { Scope } from '../../e2e/harness/cleanup.ts';
import { origin } from '../../e2e/harness/origin.ts';
import type { Origin, Rule } from '../../e2e/harness/origin.ts';
import { brokenPictures, connected, fetchIn, holds, open } from '../../e2e/harness/page.ts';
import { pack, root, tracker } from '../../e2e/harness/planktos.ts';
import { galleryBytes, galleryPictures, makeSite } from '../../e2e/harness/site.ts';
import type { Site } from '../../e2e/harness/site.ts';
import { staticHost } from '../../e2e/harness/static.ts';
import { median, percentile, seconds, table } from '../harness/figures.ts';
import { main, scoped } from '../harness/scope.ts';

const { values } = parseArgs({
  options: {
    tries: { type: 'string', default: '5' },
    visitors: { type: 'string', default: '8' },
    /** what a slow origin takes to its first byte, ms */
    delay: { type: 'string', default: '4000' },
    only: { type: 'string', multiple: true, default: ['refusing', 'hanging', 'slow', 'introduced'] },
  },
});
const tries = Number(values.tries);

const outages: Array<{ name: string; rule: Rule; targetMs: number }> = [
  { name: 'refusing', rule: () => ({ refuse: true }), targetMs: 3000 },
  { name: 'hanging', rule: () => ({ stall: true }), targetMs: 5000 },
];
const slow: Rule = () => ({ delayMs: Number(values.delay) });
/** The page that nobody has seen who comes back, and when it is taken not to arrive. */
const page = 'gallery.html';
const hopelessMs = 60_000;

interface Line {
  name: string;
  ms: number[];
  /** tries that were over after `hopelessMs`, or lacked something */
  failures: string[];
  target: string;
}

await main(async () => {
  const lines: Line[] = [];
  for (const outage of outages.filter(({ name }) => values.only.includes(name))) {
    lines.push(await scoped((inner) => inOutage(inner, outage)));
  }
  if (values.only.includes('slow')) lines.push(...(await scoped(slowly)));
  if (values.only.includes('introduced')) lines.push(await scoped(introduced));
  const head = ['origin', 'arrived', 'median s', 'p95 s', 'worst s', 'target'];
  const rows = lines.map(({ name, ms, failures, target }) => [
    name,
    `${ms.length} of ${ms.length + failures.length}`,
    ...[median(ms), percentile(ms, 95), Math.max(...ms)].map(seconds),
    target,
  ]);
  console.log(table([head, ...rows]));
  for (const { name, failures } of lines) for (const failure of failures) console.log(`${name}: ${failure}`);
  await mkdir(join(root, 'bench/out'), { recursive: true });
  await writeFile(join(root, 'bench/out/outage.json'), JSON.stringify({ values, lines }, undefined, 1));
});

/** @param plain the same pages without Planktos */
async function hosted(scope: Scope, plain = false): Promise<{ site: Site; host: Origin }> {
  const site = await makeSite(scope, { large: false });
  if (!plain) await pack(site.dir, '--inject', '--tracker', (await tracker(scope)).url);
  return { site, host: await origin(scope, await staticHost(scope, site.dir)) };
}

async function inOutage(scope: Scope, { name, rule, targetMs }: (typeof outages)[number]): Promise<Line> {
  const { site, host } = await hosted(scope);
  const browser = await launch(scope, 'chrome');
  const bytes = galleryBytes(site);
  for (let i = 0; i < Number(values.visitors); i++) {
    const giver = await visitor(scope, browser);
    await open(giver.page, host.url);
    await open(giver.page, host.url + page);
    await holds(giver.page, bytes);
  }
  const line: Line = { name, ms: [], failures: [], target: `<= ${seconds(targetMs)}` };
  for (let i = 0; i < tries; i++) {
    await scoped(async (inner) => {
      const who = await visitor(inner, browser);
      await open(who.page, host.url);
      await connected(who.page);
      host.rules = [rule];
      await note(line, who.page, host);
      host.rules = [];
    });
  }
  return line;
}

/** Three visitors whose origin and tracker are dead; each try has its own. */
async function introduced(scope: Scope): Promise<Line> {
  const browser = await launch(scope, 'chrome');
  const line: Line = { name: 'dead, tracker too: a peer, introduced', ms: [], failures: [], target: '<= 5.00' };
  for (let i = 0; i < tries; i++) {
    await scoped(async (inner) => {
      const { site, visitors } = await trio(inner, [browser, browser, browser]);
      const [{ page: tab }] = visitors;
      await leaveOneRope(tab);
      const begin = performance.now();
      try {
        await tab.reload({ waitUntil: 'domcontentloaded', timeout: hopelessMs });
        await connected(tab, visitors.length - 1);
        const ms = performance.now() - begin;
        const ropes = await tab.evaluate(() => window.ropes);
        const [path] = galleryPictures as [string];
        const { sha256 } = await fetchIn(tab, path);
        if (ropes !== 2) line.failures.push(`${ropes} ways back, not 2`);
        else if (sha256 !== site.hash(path)) line.failures.push('another picture');
        else line.ms.push(ms);
      } catch (error) {
        line.failures.push(String(error));
      }
    });
  }
  return line;
}

/** Alternately, so that both meet the same machine. */
async function slowly(scope: Scope): Promise<Line[]> {
  const browser = await launch(scope, 'chrome');
  const ours = await hosted(scope);
  const theirs = await hosted(scope, true);
  const plain: Line = { name: 'slow, plain HTTP', ms: [], failures: [], target: '' };
  const planktos: Line = { name: 'slow, Planktos', ms: [], failures: [], target: 'plain + 0.10' };
  for (let i = 0; i < tries; i++) {
    for (const [line, { host }] of [[plain, theirs], [planktos, ours]] as const) {
      await scoped(async (inner) => {
        const who = await visitor(inner, browser);
        await returning(who.page, host, line === planktos);
        host.rules = [slow];
        await note(line, who.page, host);
        host.rules = [];
      });
    }
  }
  return [plain, planktos];
}

/** Has been at the front page. */
async function returning(tab: Page, host: Origin, ours: boolean): Promise<void> {
  if (ours) await open(tab, host.url);
  else await tab.goto(host.url, { waitUntil: 'load' });
}

/** Opens the page and notes when it had arrived with all of its pictures, whatever stood in for it meanwhile. */
async function note(line: Line, tab: Page, host: Origin): Promise<void> {
  const begin = performance.now();
  try {
    await tab.goto(host.url + page, { waitUntil: 'domcontentloaded', timeout: hopelessMs });
    const arrived = (): boolean => document.title === 'Gallery' && document.readyState === 'complete';
    await tab.waitForFunction(arrived, { polling: 20, timeout: hopelessMs });
    const ms = performance.now() - begin;
    const broken = await brokenPictures(tab);
    if (broken.length > 0) line.failures.push(`broken: ${broken.join(', ')}`);
    else line.ms.push(ms);
  } catch (error) {
    line.failures.push(String(error));
  }
}
