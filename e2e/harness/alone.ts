/**
 * Visitors who are left with each other: each has the site from a host of its own, which is its tracker, too, so that
 * all that it could ask is gone once that host is.
 */
import type { Page } from 'puppeteer-core';
import { visitor } from './browsers.ts';
import type { Launched, Visitor } from './browsers.ts';
import type { Scope } from './cleanup.ts';
import { origin } from './origin.ts';
import type { Origin } from './origin.ts';
import { connected, explained, fetchIn, open } from './page.ts';
import { serve } from './planktos.ts';
import { galleryPictures, makeSite } from './site.ts';
import type { Site } from './site.ts';
import { until } from './wait.ts';

declare global {
  interface Window {
    /** ways back that the page before had left it */
    ropes?: number;
  }
}

/** A site of which visitors have only what they ask for, and as many hosts of it. */
export async function hosted(scope: Scope, count: number): Promise<{ site: Site; hosts: Origin[] }> {
  const site = await makeSite(scope, { large: false });
  const served = await serve(scope, site.dir, '--ice', 'none', '--prefetch', '0');
  return { site, hosts: await Promise.all(Array.from({ length: count }, () => origin(scope, served.url))) };
}

/** Waits until the page has left so many ways back to the next one. */
export async function roped(page: Page, count: number): Promise<void> {
  const left = (): number =>
    Object.values(sessionStorage).flatMap((text) => (JSON.parse(text) as { ropes?: unknown[] }).ropes ?? []).length;
  await until(`${count} ways back to be left`, async () => (await page.evaluate(left)) >= count, { timeoutMs: 45_000 });
}

/** Has the page's next ones find one way back, of those that they were left, which are counted in `ropes`. */
export async function leaveOneRope(page: Page): Promise<void> {
  await page.evaluateOnNewDocument(() => {
    for (const [key, text] of Object.entries(sessionStorage)) {
      const left = JSON.parse(text) as { ropes?: unknown[] };
      if (!left.ropes) continue;
      window.ropes = left.ropes.length;
      sessionStorage.setItem(key, JSON.stringify({ ...left, ropes: left.ropes.slice(0, 1) }));
    }
  });
}

/**
 * Three visitors, in these browsers: the first met the second, its host died, and the third met the second, so that
 * nobody but that can introduce the two to each other. All hosts are dead, the two have been introduced, and the first
 * has ways back to both others. Those hold the gallery's first picture.
 */
export async function trio(
  scope: Scope,
  browsers: readonly [Launched, Launched, Launched],
): Promise<{ site: Site; visitors: [Visitor, Visitor, Visitor] }> {
  const { site, hosts } = await hosted(scope, 3);
  const [hostA, hostB, hostC] = hosts as [Origin, Origin, Origin];
  const a = await visitor(scope, browsers[0]);
  const b = await visitor(scope, browsers[1]);
  const c = await visitor(scope, browsers[2]);
  await explained([a, b, c], async () => {
    await open(b.page, hostB.url);
    await open(a.page, hostA.url);
    await Promise.all([connected(a.page), connected(b.page)]);
    await hostA.stop();
    await open(c.page, hostC.url);
    await connected(b.page, 2);
    for (const { page } of [b, c]) await fetchIn(page, galleryPictures[0]!);
    await Promise.all([hostB.stop(), hostC.stop()]);
    await Promise.all([connected(a.page, 2), connected(c.page, 2)]);
    await roped(a.page, 2);
  });
  return { site, visitors: [a, b, c] };
}
