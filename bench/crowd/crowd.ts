/** One crowd: visitors who arrive one after the other at a fresh origin, in a fresh browser, by one system. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Page } from 'puppeteer-core';
import { sha256 } from '../../e2e/harness/bytes.ts';
import { launch, visitor } from '../../e2e/harness/browsers.ts';
import type { Scope } from '../../e2e/harness/cleanup.ts';
import type {} from '../../e2e/harness/page.ts'; // window.planktos
import { serve } from '../../e2e/harness/planktos.ts';
import { within } from '../../e2e/harness/wait.ts';
import { arrivals } from '../harness/arrival.ts';
import { startOrigin, trusting } from '../harness/origin.ts';
import type { Entry, Origin } from '../harness/origin.ts';
import { scoped } from '../harness/scope.ts';
import type { Site } from '../harness/sites.ts';
import type { Crowd, System } from './options.ts';
import { torrentSite, torrentUrls } from './webtorrent.ts';

export interface Visit {
  /** from the first navigation's start until all is there */
  ms: number;
  /** since the Unix epoch */
  startMs: number;
  /** all bytes of this visitor by where they came from, as the runtime counts; Planktos only */
  stats?: { origin: number; peers: number };
}

export interface Run {
  system: System;
  visits: Visit[];
  /** every request at the origin */
  entries: Entry[];
}

/** How long a visit may take before the run is given up. */
const patienceMs = 180_000;

/** Lets a crowd arrive. */
export function run(system: System, site: Site, crowd: Crowd): Promise<Run> {
  return scoped(async (scope) => {
    const origin = await originOf(scope, system, site, crowd);
    const browser = await launch(scope, 'chrome', { flags: trusting(origin) });
    // Contexts and tabs are made before the first arrives, so that making them takes no part in anybody's time.
    const pages: Page[] = [];
    for (let i = 0; i < crowd.visitors; i++) pages.push((await visitor(scope, browser)).page);
    const begin = performance.now();
    const visits = pages.map(async (page, i) => {
      const arrive = await visitOf(page, system, site, crowd, origin.urls[i]!);
      await delay(begin + i * crowd.spacingMs - performance.now());
      const visit = await within(patienceMs, `visitor ${i} to have the page by ${system}`, arrive());
      if (crowd.stayMs === undefined) return visit;
      await delay(crowd.stayMs);
      await page.close();
      return visit;
    });
    const done = await Promise.all(visits);
    const entries = await origin.settled();
    if (system === 'planktos' && crowd.stayMs === undefined) {
      await Promise.all(done.map(async (visit, i) => (visit.stats = await statsOf(pages[i]!))));
    }
    if (crowd.stayMs === undefined) await verify(pages.at(-1)!, system, site);
    return { system, visits: done, entries };
  });
}

async function originOf(scope: Scope, system: System, site: Site, crowd: Crowd): Promise<Origin> {
  switch (system) {
    case 'plain':
      return startOrigin(scope, { site: site.dir }, crowd.visitors, crowd);
    case 'webtorrent':
      return startOrigin(scope, { site: await torrentSite(scope, site) }, crowd.visitors, crowd);
    case 'planktos': {
      const args = ['--prefer', crowd.prefer, '--first-visit', crowd.firstVisit];
      const { url } = await serve(scope, site.dir, ...args);
      return startOrigin(scope, { target: url }, crowd.visitors, crowd);
    }
  }
}

/** Readies a tab for its visit, and gives the visit. */
async function visitOf(
  page: Page,
  system: System,
  site: Site,
  crowd: Crowd,
  url: string,
): Promise<() => Promise<Visit>> {
  // WebTorrent's page stands at the root, and says itself when it has arrived.
  const path = system === 'webtorrent' ? '' : site.page;
  const next = await arrivals(page, new Map(path === '' ? [] : [[path, site.resources]]));
  return async () => {
    if (crowd.view === 'second' && system !== 'webtorrent') await firstView(page, url + site.tiny);
    const arrived = next(path);
    const startMs = Date.now();
    // The page may load itself anew meanwhile, which is no failure.
    void page.goto(url + path, { timeout: patienceMs }).catch(() => undefined);
    const { endMs, wrong } = await arrived;
    if (wrong.length > 0) throw new Error(`${system}: not what the site holds: ${wrong.join(', ')}`);
    return { ms: endMs - startMs, startMs };
  };
}

/** Loads a page that needs nothing, until the worker controls it (or, by plain HTTP, until it is loaded). */
async function firstView(page: Page, url: string): Promise<void> {
  await page.goto(url, { waitUntil: 'load', timeout: patienceMs });
  await page.evaluate(async () => void (await window.planktos?.ready));
}

function statsOf(page: Page): Promise<{ origin: number; peers: number }> {
  const ask = page.evaluate(async () => {
    const { origin, peers } = await window.planktos.stats();
    return { origin, peers };
  });
  return within(10_000, 'planktos.stats() to settle', ask);
}

/** Has the page fetch all its resources once more, from wherever it has them now, and compares them with the files. */
async function verify(page: Page, system: System, site: Site): Promise<void> {
  const paths = [...site.resources.keys()];
  const urls = system === 'webtorrent' ? await torrentUrls(page, paths) : paths.map((path) => `/${path}`);
  const got = await page.evaluate(
    (list) =>
      Promise.all(
        list.map(async (url) => {
          const body = await (await fetch(url, { cache: 'force-cache' })).arrayBuffer();
          const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', body));
          return [...hash].map((byte) => byte.toString(16).padStart(2, '0')).join('');
        }),
      ),
    urls,
  );
  for (const [i, path] of paths.entries()) {
    if (got[i] !== sha256(await readFile(join(site.dir, path)))) throw new Error(`${system}: ${path} is not the file`);
  }
}
