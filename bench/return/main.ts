/**
 * `make bench-return`: a returning visitor whose worker was stopped meanwhile, with store and cache warm, by plain HTTP
 * and by Planktos in turn, in one browser. `--max-age 0` lets the cache ask again for everything, as `planktos serve`
 * does; with a max-age the plain page needs no request but its own.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Browser, Page } from 'puppeteer-core';
import { launch, visitor } from '../../e2e/harness/browsers.ts';
import type { Scope } from '../../e2e/harness/cleanup.ts';
import { stats } from '../../e2e/harness/page.ts';
import { root, serve } from '../../e2e/harness/planktos.ts';
import { until, within } from '../../e2e/harness/wait.ts';
import { arrivals } from '../harness/arrival.ts';
import type { Arrival } from '../harness/arrival.ts';
import { median, percentile, share, sum, table } from '../harness/figures.ts';
import { startOrigin, trusting } from '../harness/origin.ts';
import type { Backend, Origin } from '../harness/origin.ts';
import { main, scoped } from '../harness/scope.ts';
import { makeSite, siteNames } from '../harness/sites.ts';
import type { Site } from '../harness/sites.ts';

const { values } = parseArgs({
  options: {
    visits: { type: 'string', default: '40' },
    site: { type: 'string', multiple: true, default: ['pictures', 'text'] },
    'max-age': { type: 'string', multiple: true, default: ['0', '3600'] },
    rate: { type: 'string', default: '12.5' },
    delay: { type: 'string', default: '50' },
    h2: { type: 'boolean', default: false },
  },
});
const shape = { rate: Number(values.rate) * 1e6, delayMs: Number(values.delay), h2: values.h2 };

await main(async (scope) => {
  const lines: string[][] = [];
  const raw: object[] = [];
  for (const name of siteNames.filter((each) => values.site.includes(each))) {
    const site = await makeSite(scope, name);
    for (const maxAge of values['max-age'].map(Number)) {
      const { plain, planktos } = await scoped((inner) => measure(inner, site, maxAge));
      raw.push({ site: name, maxAge, plain, planktos });
      const ms = (times: number[], percent: number): string => percentile(times, percent).toFixed(0);
      lines.push([
        `${name}, max-age ${maxAge}`,
        ...[ms(plain, 50), ms(planktos, 50), share(median(planktos) / median(plain)), '<= 1.05'],
        ...[ms(plain, 95), ms(planktos, 95), share(percentile(planktos, 95) / percentile(plain, 95)), '<= 1.15'],
      ]);
    }
  }
  const head = ['a return', 'plain ms', 'planktos', 'share', 'target', 'p95 plain', 'planktos', 'share', 'target'];
  console.log(table([head, ...lines]));
  await mkdir(join(root, 'bench/out'), { recursive: true });
  await writeFile(join(root, 'bench/out/return.json'), JSON.stringify({ values, raw }, undefined, 1));
});

interface Returning {
  page: Page;
  next: (path: string) => Promise<Arrival>;
  url: string;
}

async function measure(scope: Scope, site: Site, maxAge: number): Promise<{ plain: number[]; planktos: number[] }> {
  const { url } = await serve(scope, site.dir);
  const backends: Backend[] = [{ site: site.dir }, { target: url }];
  const origins = await Promise.all(backends.map((backend) => startOrigin(scope, backend, 1, { ...shape, maxAge })));
  const browser = await launch(scope, 'chrome', { flags: trusting(...origins) });
  const plain = await ready(scope, browser, site, origins[0]!);
  const planktos = await ready(scope, browser, site, origins[1]!);
  // All that the page loads is in the store before it is left.
  const bytes = sum(site.resources.values());
  await until('the store to hold the page', async () => {
    const { origin, peers } = await stats(planktos.page);
    return origin + peers >= bytes;
  });
  const times = { plain: [] as number[], planktos: [] as number[] };
  for (let i = 0; i <= Number(values.visits); i++) {
    for (const [system, visit] of [['plain', plain], ['planktos', planktos]] as const) {
      const ms = await again(visit, site);
      if (i > 0) times[system].push(ms); // the first return finds caches of the browser's own cold
    }
  }
  return times;
}

/** A visitor who has been there once. */
async function ready(scope: Scope, browser: Browser, site: Site, origin: Origin): Promise<Returning> {
  const { page } = await visitor(scope, browser);
  const next = await arrivals(page, new Map([[site.page, site.resources]]));
  const visit = { page, next, url: origin.urls[0]! };
  await arrive(visit, site);
  await origin.settled();
  return visit;
}

/** Leaves, has the browser stop every worker, and comes back. */
async function again(visit: Returning, site: Site): Promise<number> {
  await visit.page.goto('about:blank');
  await stopWorkers(visit.page);
  return arrive(visit, site);
}

async function arrive({ page, next, url }: Returning, site: Site): Promise<number> {
  const arrived = next(site.page);
  const startMs = Date.now();
  void page.goto(url + site.page).catch(() => undefined);
  const { endMs, wrong } = await within(60_000, 'the page to arrive', arrived);
  if (wrong.length > 0) throw new Error(`not what the site holds: ${wrong.join(', ')}`);
  return endMs - startMs;
}

/** Chrome DevTools Protocol: ServiceWorker.stopAllWorkers, of the page's context. */
async function stopWorkers(page: Page): Promise<void> {
  const session = await page.createCDPSession();
  await session.send('ServiceWorker.enable');
  await session.send('ServiceWorker.stopAllWorkers');
  await session.detach();
}
