/** What the tests ask a page: everything by conditions on `window.planktos` and the document, nothing by delays. */
import type { Page } from 'puppeteer-core';
import type { Mode, Stats } from '../../browser/src/shared/messages.ts';
import { sha256 } from './bytes.ts';
import type { Visitor } from './browsers.ts';
import { within } from './wait.ts';

/** The part of `window.planktos` that the tests use. */
export interface Planktos extends EventTarget {
  ready: Promise<Mode>;
  stats(): Promise<Stats>;
  connections: number;
  snapshot: string;
  update(): Promise<string>;
  pause(): Promise<unknown>;
  resume(): Promise<unknown>;
  consent: { state: string; grant(): Promise<unknown>; deny(): Promise<unknown> };
  getFile(path: string): Promise<{ length: number; getBlob(): Promise<Blob> } | undefined>;
}
declare global {
  interface Window {
    planktos: Planktos;
    runs?: Record<string, number>;
  }
}

/** Loads a page, waits until it is loaded and `planktos.ready` has settled, and gives the mode. */
export async function open(page: Page, url: string): Promise<Mode> {
  await page.goto(url, { waitUntil: 'load' });
  return ready(page);
}

/** How the page is served. It must settle: that is the runtime's promise. */
export function ready(page: Page): Promise<Mode> {
  const settled = page.evaluate(() => (window.planktos === undefined ? ('http' as Mode) : window.planktos.ready));
  return within(20_000, 'planktos.ready to settle', settled);
}

export function stats(page: Page): Promise<Stats> {
  return within(
    10_000,
    'planktos.stats() to settle',
    page.evaluate(() => window.planktos.stats()),
  );
}

export function connections(page: Page): Promise<number> {
  return page.evaluate(() => window.planktos.connections);
}

/** Waits until the page is connected to at least so many peers. */
export async function connected(page: Page, peers = 1): Promise<void> {
  await page.waitForFunction((least) => window.planktos.connections >= least, { polling: 50, timeout: 20_000 }, peers);
}

/** Waits until this visitor has had so many bytes, verified, from anywhere. */
export async function holds(page: Page, bytes: number): Promise<void> {
  const enough = async (least: number): Promise<boolean> => {
    const { origin, peers } = await window.planktos.stats();
    return origin + peers >= least;
  };
  await page.waitForFunction(enough, { polling: 100, timeout: 20_000 }, bytes);
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

export interface Fetched {
  status: number;
  headers: Record<string, string>;
  /** length and SHA-256 of the body as the page sees it */
  length: number;
  sha256: string;
  /** the body, where it is short */
  text: string;
}

/** Fetches from within the page, as its own scripts would. */
export async function fetchIn(page: Page, url: string, init: RequestInit = {}): Promise<Fetched> {
  const { bytes, ...rest } = await page.evaluate(
    async (target, options) => {
      const response = await fetch(target, options);
      const body = new Uint8Array(await response.arrayBuffer());
      let binary = '';
      for (let at = 0; at < body.length; at += 0x8000) binary += String.fromCharCode(...body.subarray(at, at + 0x8000));
      return { status: response.status, headers: Object.fromEntries(response.headers), bytes: btoa(binary) };
    },
    url,
    init,
  );
  const body = Buffer.from(bytes, 'base64');
  return { ...rest, length: body.length, sha256: sha256(body), text: body.length < 100_000 ? body.toString() : '' };
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
    const now = await page.evaluate(async () => ({
      url: location.href,
      controlled: Boolean(navigator.serviceWorker?.controller),
      connections: window.planktos?.connections,
      snapshot: window.planktos?.snapshot,
      stats: await Promise.race([
        window.planktos?.stats().catch(String),
        new Promise((late) => setTimeout(() => late('no answer'), 2_000)),
      ]),
    }));
    return JSON.stringify(now);
  };
  const now = await within(5_000, 'the page to answer', state()).catch(String);
  return [`visitor ${index}: ${now}`, ...log.slice(-40).map((line) => `  ${line}`)].join('\n');
}
