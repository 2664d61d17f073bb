/** One visit of a page, and what may be wrong with it. */
import type { Page } from 'puppeteer-core';
import { brokenPictures } from '../../e2e/harness/page.ts';
import { sha256 } from '../../e2e/harness/bytes.ts';
import { within } from '../../e2e/harness/wait.ts';
import type { World } from './world.ts';

/** The site's pages by their titles. */
export const pages: ReadonlyArray<readonly [path: string, title: string]> = [
  ['', 'Front'],
  ['gallery.html', 'Gallery'],
  ['second.html', 'Second'],
  ['sub/', 'Sub'],
  ['odd.html', 'Odd names'],
];

const visitMs = 45_000;

/** Opens a page. Gives what is wrong with it; empty if it is as it should be. */
export async function visit({ host }: World, page: Page, [path, title]: (typeof pages)[number]): Promise<string> {
  try {
    await page.goto(host.url + path, { waitUntil: 'domcontentloaded', timeout: visitMs });
    const over = (wanted: string): boolean =>
      document.readyState === 'complete' && (document.title === wanted || document.title.startsWith('Neither '));
    await page.waitForFunction(over, { polling: 50, timeout: visitMs }, title);
    const got = await page.title();
    if (got !== title) return got;
    const broken = await within(visitMs, 'the pictures', brokenPictures(page));
    return broken.length > 0 ? `broken pictures: ${broken.join(', ')}` : '';
  } catch (error) {
    return error instanceof Error ? error.message.split('\n')[0]! : String(error);
  }
}

/** What the visitor's browser keeps that is not what its name says; and the names of what is. */
export async function stored(page: Page): Promise<{ whole: string[]; wrong: string[] }> {
  return page.evaluate(async () => {
    const found = { whole: [] as string[], wrong: [] as string[] };
    const all = await (await navigator.storage.getDirectory()).getDirectoryHandle('planktos');
    const own = await all.getDirectoryHandle(encodeURIComponent('/'));
    for await (const name of own.keys()) {
      const size = Number(/^[0-9a-f]{64}-(\d+)$/.exec(name)?.[1] ?? -1);
      if (size < 0) continue;
      const file = await (await own.getFileHandle(name)).getFile();
      (file.size === size ? found.whole : found.wrong).push(name);
    }
    return found;
  });
}

/** What the page's own `fetch` gives of the pictures that it shows, where it gives anything: wrong bytes by their path. */
export async function wrongBytes({ site, host }: World, page: Page): Promise<string[]> {
  const got = await page.evaluate(async () => {
    const bodies: Array<[url: string, base64: string]> = [];
    for (const { src } of document.images) {
      const response = await fetch(src).catch(() => undefined);
      if (response?.status !== 200) continue;
      const body = new Uint8Array(await response.arrayBuffer().catch(() => new ArrayBuffer(0)));
      let binary = '';
      for (let at = 0; at < body.length; at += 0x8000) binary += String.fromCharCode(...body.subarray(at, at + 0x8000));
      bodies.push([src, btoa(binary)]);
    }
    return bodies;
  });
  return got
    .map(([url, base64]): [string, string] => [decodeURIComponent(url.slice(host.url.length)), base64])
    .filter(([path, base64]) => sha256(Buffer.from(base64, 'base64')) !== site.hash(path))
    .map(([path]) => path);
}
