/**
 * `make bench-weather`: a returning visitor opens a page of twelve pictures while a peer, the trackers, the web seed, the
 * browser's store, its worker or its other tab fails. By plain HTTP and by Planktos in turn, from the same kind of origin;
 * what fails is Planktos's alone, so that plain HTTP is what the page would take in fair weather.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Browser, Page } from 'puppeteer-core';
import { launch, visitor } from '../../e2e/harness/browsers.ts';
import type { Visitor } from '../../e2e/harness/browsers.ts';
import { noise } from '../../e2e/harness/bytes.ts';
import type { Scope } from '../../e2e/harness/cleanup.ts';
import { crash } from '../../e2e/harness/crash.ts';
import { isByEngine, origin } from '../../e2e/harness/origin.ts';
import type { Behaviour, Origin } from '../../e2e/harness/origin.ts';
import { brokenPictures, connected, fetchIn, open } from '../../e2e/harness/page.ts';
import { script } from '../../e2e/harness/peer.ts';
import type { Temper } from '../../e2e/harness/peer.ts';
import { pack, root, serve } from '../../e2e/harness/planktos.ts';
import { galleryPictures, makeSite } from '../../e2e/harness/site.ts';
import type { Site } from '../../e2e/harness/site.ts';
import { freePort, staticHost } from '../../e2e/harness/static.ts';
import { swarmOf } from '../../e2e/harness/swarm.ts';
import { badTracker } from '../../e2e/harness/trackers.ts';
import type { Fault } from '../../e2e/harness/trackers.ts';
import { until } from '../../e2e/harness/wait.ts';
import { stopWorker } from '../../e2e/harness/worker.ts';
import { median, seconds, table } from '../harness/figures.ts';
import { main, scoped } from '../harness/scope.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    prefer: { type: 'string', multiple: true, default: ['speed', 'offload'] },
    /** those whose names contain one of these */
    only: { type: 'string', multiple: true, default: [''] },
    /** what the origin takes to its first byte, ms */
    delay: { type: 'string', default: '50' },
  },
});
const page = 'gallery.html';
const hopelessMs = 60_000;

/** The site by Planktos, and whoever else is there. */
interface Place {
  scope: Scope;
  browser: Browser;
  site: Site;
  host: Origin;
}

/** What brings the weather on for a visitor who is at the front page, and says in which tab the next page is opened. */
type Begin = (who: Visitor) => Promise<Page>;

interface Weather {
  name: string;
  /** trackers of the site; without, the origin is one */
  trackers?: (scope: Scope) => Promise<string[]>;
  /** once for all visitors */
  prepare(place: Place): Promise<Begin>;
}

const fair: Weather = { name: 'fair', prepare: async () => async ({ page }) => page };

const peer = (temper: Temper): Weather => ({
  name: `peer ${temper}`,
  prepare: async ({ scope, browser, site, host }) => {
    const bad = await visitor(scope, browser);
    await bad.page.goto(`${await staticHost(scope, site.dir)}css/empty.css`);
    const scripted = await script(bad.page, await swarmOf(host.url), temper);
    let met = 0;
    return async ({ page }) => {
      await until('the two to meet', async () => (await scripted.met()) > met, { timeoutMs: 30_000 });
      met = await scripted.met();
      return page;
    };
  },
});

const trackers = (fault: Fault): Weather => ({
  ...fair,
  name: `tracker ${fault}`,
  trackers: async (scope) => [fault === 'down' ? `ws://127.0.0.1:${await freePort()}/` : (await badTracker(scope, fault)).url],
});

/** Somebody is there who has nothing of the page; what the engine asks of the web seed fails, and nothing else does. */
const seed = (name: string, behaviour: Behaviour): Weather => ({
  name: `web seed ${name}`,
  prepare: async ({ scope, browser, host }) => {
    const other = await visitor(scope, browser);
    await open(other.page, host.url);
    return async ({ page }) => {
      await connected(page);
      host.rules = [(_, request) => (isByEngine(request) ? behaviour : undefined), ...host.rules];
      return page;
    };
  },
});

const weathers: Weather[] = [
  fair,
  ...(['lies', 'stalls', 'vanishes', 'lacks', 'floods', 'oversize', 'garbage'] as const).map(peer),
  ...(['down', 'hangs', 'refuses'] as const).map(trackers),
  seed('is slow', { slowMs: 5000 }),
  seed('says nothing', { stall: true }),
  seed('ignores Range', { ignoreRange: true }),
  seed('answers 404', { status: 404, body: 'gone' }),
  seed('answers 500', { status: 500, body: 'failing' }),
  seed('has another version', { alter: (body) => noise('another version', body.length) }),
  {
    name: 'worker killed',
    prepare: async ({ host }) => async (who) => {
      let asked = 0;
      const third = (path: string): undefined => {
        if (galleryPictures.includes(path) && ++asked === 3) void stopWorker(who);
      };
      host.rules = [third, ...host.rules];
      return who.page;
    },
  },
  {
    name: 'store full',
    prepare: async ({ host }) => async ({ page }) => {
      const session = await page.createCDPSession();
      const quota = { origin: new URL(host.url).origin, quotaSize: 1 };
      await session.send('Storage.overrideQuotaForOrigin', quota);
      return page;
    },
  },
  {
    name: 'leader tab crashes',
    prepare: async ({ host }) => async (who) => {
      const second = await who.tab();
      await open(second, host.url);
      await crash(who.page);
      return second;
    },
  },
];

interface Line {
  name: string;
  prefer: string;
  plainMs: number[];
  planktosMs: number[];
  failures: string[];
}

await main(async (scope) => {
  const browser = await launch(scope, 'chrome');
  const site = await makeSite(scope, { large: false });
  const plain = slowed(await origin(scope, await staticHost(scope, site.dir)));
  const lines: Line[] = [];
  for (const weather of weathers.filter(({ name }) => values.only.some((part) => name.includes(part)))) {
    for (const prefer of values.prefer) lines.push(await scoped((inner) => under(inner, browser, plain, weather, prefer)));
  }
  const rows = lines.map(({ name, prefer, plainMs, planktosMs, failures }) => [
    name,
    prefer,
    `${planktosMs.length} of ${planktosMs.length + failures.length}`,
    seconds(median(plainMs)),
    seconds(median(planktosMs)),
    seconds(Math.max(...planktosMs)),
    seconds(median(planktosMs) - median(plainMs)),
  ]);
  console.log(table([['weather', 'prefer', 'arrived', 'plain s', 'median s', 'worst s', 'more s'], ...rows]));
  for (const { name, failures } of lines) for (const failure of failures) console.log(`${name}: ${failure}`);
  await mkdir(join(root, 'bench/out'), { recursive: true });
  await writeFile(join(root, 'bench/out/weather.json'), JSON.stringify({ values, lines }, undefined, 1));
});

/** Every answer takes a while to begin. */
function slowed(host: Origin): Origin {
  host.rules = [() => ({ delayMs: Number(values.delay) })];
  return host;
}

async function under(
  scope: Scope,
  browser: Browser,
  plain: Origin,
  { name, trackers, prepare }: Weather,
  prefer: string,
): Promise<Line> {
  const line: Line = { name, prefer, plainMs: [], planktosMs: [], failures: [] };
  const site = await makeSite(scope, { large: false });
  let upstream;
  if (trackers) {
    await pack(site.dir, '--inject', '--prefer', prefer, ...(await trackers(scope)).flatMap((url) => ['--tracker', url]));
    upstream = await staticHost(scope, site.dir);
  } else {
    upstream = (await serve(scope, site.dir, '--prefer', prefer)).url;
  }
  const host = slowed(await origin(scope, upstream));
  const begin = await prepare({ scope, browser, site, host });
  for (let round = 0; round < Number(values.rounds); round++) {
    await scoped(async (inner) => {
      const who = await visitor(inner, browser);
      await who.page.goto(plain.url, { waitUntil: 'load' });
      line.plainMs.push(await arrival(who.page, plain));
    });
    await scoped(async (inner) => {
      const who = await visitor(inner, browser);
      await open(who.page, host.url);
      const calm = host.rules;
      try {
        const tab = await begin(who);
        const ms = await arrival(tab, host);
        for (const path of galleryPictures) {
          if ((await fetchIn(tab, path)).sha256 !== site.hash(path)) throw new Error(`wrong bytes: ${path}`);
        }
        line.planktosMs.push(ms);
      } catch (error) {
        line.failures.push(String(error));
      }
      host.rules = calm;
    });
  }
  return line;
}

/** Opens the page; how long it took until all of it was there. */
async function arrival(tab: Page, host: Origin): Promise<number> {
  const beganMs = Date.now();
  await tab.goto(host.url + page, { waitUntil: 'load', timeout: hopelessMs });
  const broken = await brokenPictures(tab);
  if (broken.length > 0) throw new Error(`broken: ${broken.join(', ')}`);
  const loadedMs = await tab.evaluate(() => {
    const [navigation] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
    return performance.timeOrigin + navigation!.loadEventEnd;
  });
  return loadedMs - beganMs;
}
