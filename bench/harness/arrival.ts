/**
 * When a page has arrived, seen from inside it: `load` has fired, and every resource that it needs is there with the
 * size that it has on disk. The same question is put to a page over plain HTTP and over Planktos.
 */
import type { Page } from 'puppeteer-core';

export interface Arrival {
  /** ms since the Unix epoch */
  endMs: number;
  /** what is not as it should be: resources with another size */
  wrong: string[];
}

/** For each page, by its path, what it needs: path → size in bytes. */
export type Pages = ReadonlyMap<string, ReadonlyMap<string, number>>;

/**
 * Readies a tab, before its first navigation. The function resolves at the next arrival of the page at `path`, in
 * whichever document that happens first: a page may load itself anew on the way. To be called before the navigation.
 */
export async function arrivals(page: Page, pages: Pages): Promise<(path: string) => Promise<Arrival>> {
  const waiting = new Map<string, (arrival: Arrival) => void>();
  await page.exposeFunction('benchArrived', (path: string, arrival: string) => {
    waiting.get(path)?.(JSON.parse(arrival) as Arrival);
    waiting.delete(path);
  });
  const lists = [...pages].map(([path, resources]): Listed => [path, [...resources]]);
  await page.evaluateOnNewDocument(watch, lists);
  return (path) => new Promise((resolve) => waiting.set(path, resolve));
}

type Listed = [path: string, resources: Array<[string, number]>];

/** Runs in the page. */
function watch(pages: Listed[]): void {
  const [path, resources] = pages.find(([name]) => location.pathname === `/${name}`) ?? [];
  if (path === undefined || resources === undefined) return;
  const missing = new Map(resources);
  const wrong: string[] = [];
  let endMs = 0;
  let done = false;
  const finish = (): void => {
    const [navigation] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
    if (done || missing.size > 0 || !navigation || navigation.loadEventEnd === 0) return;
    const media = document.querySelector('video');
    if (media?.error) wrong.push(media.error.message);
    else if (media && !media.ended) return;
    if (media) endMs = performance.now();
    done = true;
    const end = performance.timeOrigin + Math.max(endMs, navigation.loadEventEnd);
    const { benchArrived } = window as unknown as { benchArrived(path: string, arrival: string): void };
    benchArrived(path, JSON.stringify({ endMs: end, wrong } satisfies Arrival));
  };
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as PerformanceResourceTiming[]) {
      const url = new URL(entry.name);
      if (url.origin !== location.origin) continue;
      const name = decodeURIComponent(url.pathname.slice(1));
      const size = missing.get(name);
      if (size === undefined) continue;
      // What the cache had, and the origin confirmed, is counted as nothing. A failed request has no status.
      const confirmed = entry.decodedBodySize === 0 && entry.responseStatus >= 200 && entry.responseStatus < 400;
      const got = entry.decodedBodySize;
      if (got !== size && !confirmed) wrong.push(`${name}: ${got} of ${size} bytes`);
      missing.delete(name);
      endMs = Math.max(endMs, entry.responseEnd);
    }
    finish();
  }).observe({ type: 'resource', buffered: true });
  addEventListener('load', () => setTimeout(finish));
  for (const event of ['ended', 'error']) addEventListener(event, finish, { capture: true });
}
