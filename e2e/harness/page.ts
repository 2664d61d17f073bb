/**
 * What the tests ask a page: everything by conditions on `window.planktos` and the document, nothing by delays. It is
 * asked again from here: in a tab that is not looked at, timers of the page itself fire once a second.
 */
import type { Page } from 'puppeteer-core';
import type { Mode, Stats } from '../../browser/src/page/planktos.d.ts';
import type { Visitor } from './browsers.ts';
import { until, within } from './wait.ts';

declare global {
  interface Window {
    runs?: Record<string, number>;
  }
}

/** Loads a page, waits until it is loaded and `planktos.ready` has settled, and gives the mode. */
export async function open(page: Page, url: string): Promise<Mode> {
  await page.goto(url, { waitUntil: 'load' });
  await loaded(page);
  return ready(page);
}

/** Waits until the page itself is there: it comes by way of the loader when this machine stalls, as a host does. */
export async function loaded(page: Page): Promise<void> {
  const isLoaded = (): boolean =>
    document.readyState === 'complete' && !document.querySelector('body > p[role=status]:first-child');
  await until('the page to be more than the loader', () => page.evaluate(isLoaded), { timeoutMs: 90_000 });
}

/** How the page is served. It must settle: that is the runtime's promise. */
export function ready(page: Page): Promise<Mode> {
  const settled = page.evaluate(() => (window.planktos === undefined ? ('http' as Mode) : window.planktos.ready));
  return within(40_000, 'planktos.ready to settle', settled);
}

export function stats(page: Page): Promise<Stats> {
  return within(
    40_000,
    'planktos.stats() to settle',
    page.evaluate(() => window.planktos.stats()),
  );
}

export function connections(page: Page): Promise<number> {
  return page.evaluate(() => window.planktos.connections);
}

/** Waits until the page is connected to at least so many peers. */
export async function connected(page: Page, peers = 1): Promise<void> {
  await until(`${peers} connections`, async () => (await connections(page)) >= peers, { timeoutMs: 45_000 });
}

/** Waits until the page is connected to nobody. */
export async function disconnected(page: Page): Promise<void> {
  await until('the connections to end', async () => (await connections(page)) === 0, { timeoutMs: 45_000 });
}

/** Waits until this visitor has had so many bytes, verified, from anywhere. */
export async function holds(page: Page, bytes: number): Promise<void> {
  const enough = async (): Promise<boolean> => {
    const { origin, peers } = await stats(page);
    return origin + peers >= bytes;
  };
  await until(`${bytes} bytes to be had`, enough, { timeoutMs: 45_000 });
}

/** Waits until a document of this title is loaded, by whatever navigations. */
export async function titled(page: Page, title: string, timeoutMs = 90_000): Promise<void> {
  const shown = (): Promise<string | undefined> =>
    page.evaluate(() => (document.readyState === 'complete' ? document.title : undefined));
  await until(`the page called ${title}`, async () => (await shown()) === title, { timeoutMs });
}

/** How long a navigation waits for the manifest. */
const patienceMs = 1_200;

/** Opens a page of a release that is out: anew, if that took longer than the worker waits for word of it. */
export async function openNewest(page: Page, url: string, snapshot: string): Promise<void> {
  for (let tries = 5; tries > 0; tries--) {
    const beganMs = performance.now();
    await open(page, url);
    const isNewest = (await page.evaluate(() => window.planktos.snapshot)) === snapshot;
    if (isNewest || performance.now() - beganMs < patienceMs) return;
  }
}

/** Whether a service worker controls the page. */
export function controlled(page: Page): Promise<boolean> {
  return page.evaluate(() => navigator.serviceWorker.controller !== null);
}

/** How often each script of the page has run, once the page is loaded. */
export function runs(page: Page): Promise<Record<string, number> | undefined> {
  return page.evaluate(() => window.runs);
}

/** Waits for every picture of the page and gives those that are broken. */
export function brokenPictures(page: Page): Promise<string[]> {
  return page.evaluate(async () => {
    const pictures = [...document.images];
    await Promise.all(
      pictures.map((image) =>
        image.complete
          ? undefined
          : new Promise((done) => (image.addEventListener('load', done), image.addEventListener('error', done))),
      ),
    );
    return pictures.filter((image) => image.naturalWidth === 0).map((image) => image.getAttribute('src') ?? '');
  });
}

/** Every file that the browser keeps for the site, wherever it keeps it. */
export function kept(page: Page): Promise<{ files: string[]; caches: string[]; workers: number }> {
  return page.evaluate(async () => {
    const files: string[] = [];
    const walk = async (dir: FileSystemDirectoryHandle, path: string): Promise<void> => {
      for await (const [name, handle] of dir.entries()) {
        if (handle.kind === 'directory') await walk(handle as FileSystemDirectoryHandle, `${path}${name}/`);
        else files.push(path + name);
      }
    };
    await walk(await navigator.storage.getDirectory(), '');
    const registrations = await navigator.serviceWorker.getRegistrations();
    return { files, caches: await caches.keys(), workers: registrations.length };
  });
}

export interface Fetched {
  status: number;
  headers: Record<string, string>;
  /** length and SHA-256 of the body as the page sees it */
  length: number;
  sha256: string;
  /** the body, where it is short */
  text: string;
}

/** Fetches from within the page, as its own scripts would. The body is hashed there: not all of it need come here. */
export function fetchIn(page: Page, url: string, init: RequestInit = {}): Promise<Fetched> {
  return page.evaluate(
    async (target, options) => {
      const response = await fetch(target, options);
      const body = await response.arrayBuffer();
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', body));
      return {
        status: response.status,
        headers: Object.fromEntries(response.headers),
        length: body.byteLength,
        sha256: [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join(''),
        text: body.byteLength < 10_000 ? new TextDecoder('utf-8', { ignoreBOM: true }).decode(body) : '',
      };
    },
    url,
    init,
  );
}

/** Adds to an error what the visitors' browsers said, so that a failure can be understood from its message. */
export async function explained<T>(visitors: readonly Visitor[], test: () => Promise<T>): Promise<T> {
  try {
    return await test();
  } catch (error) {
    const reports = await Promise.all(visitors.map((each, index) => report(each, index)));
    throw new Error(`${error instanceof Error ? error.message : String(error)}\n${reports.join('\n')}`, {
      cause: error,
    });
  }
}

async function report({ page, log }: Visitor, index: number): Promise<string> {
  const state = async (): Promise<string> => {
    const now = await page.evaluate(async () => {
      const { planktos } = window;
      const soon = <T>(answer?: Promise<T>) =>
        Promise.race([answer?.catch(String), new Promise((late) => setTimeout(() => late('no answer'), 1_500))]);
      // A worker that was stopped is woken by `stats`, and told the connections by the engine.
      const told = new Promise((tell) => planktos?.addEventListener('status', () => tell(planktos.connections)));
      return {
        url: location.href,
        controlled: Boolean(navigator.serviceWorker?.controller),
        connections: planktos?.connections,
        snapshot: planktos?.snapshot,
        engines: await soon(navigator.locks?.query().then(({ held }) => held?.map(({ clientId }) => clientId))),
        stats: await soon(planktos?.stats()),
        woken: await soon(planktos && told),
      };
    });
    return JSON.stringify(now);
  };
  const now = await within(5_000, 'the page to answer', state()).catch(String);
  return [`visitor ${index}: ${now}`, ...log.slice(-40).map((line) => `  ${line}`)].join('\n');
}
