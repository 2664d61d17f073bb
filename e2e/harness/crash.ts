/** Pages that crash, without a word to anybody. */
import { readdir, readFile } from 'node:fs/promises';
import type { Page } from 'puppeteer-core';
import { until } from './wait.ts';

/** Crashes the page, and in Firefox whatever else its process does. */
export async function crash(page: Page): Promise<void> {
  if (/^firefox/i.test(await page.browser().version())) return endProcess(page);
  const crashed = new Promise((resolve) => page.once('error', resolve));
  const session = await page.createCDPSession();
  session.send('Page.crash').catch(() => undefined); // there is nobody left to answer
  await crashed;
}

/** A process shows that it is the page's by working for it: for a second, in hundredths of one. */
const proof = 100;

async function endProcess(page: Page): Promise<void> {
  const browser = page.browser().process()!.pid!;
  const before = await contentProcesses(browser);
  // Firefox repeats a command that its page did not live to answer, for ever: this one is answered first.
  await page.evaluate(() => void setTimeout(() => { for (;;); }));
  const pid = await until("the page's process to be busy", async () => {
    for (const [id, used] of await contentProcesses(browser)) if (used - (before.get(id) ?? 0) >= proof) return id;
    return undefined;
  });
  process.kill(pid, 'SIGKILL');
}

/** The processor time that each of a Firefox's processes for pages has used so far, in hundredths of a second. */
async function contentProcesses(browser: number): Promise<Map<number, number>> {
  const all = new Map<number, number>();
  for (const id of await readdir('/proc')) {
    const read = (name: string): Promise<string> => readFile(`/proc/${id}/${name}`, 'utf8').catch(() => '');
    if (!/^\d+$/.test(id) || !/\btab\W*$/.test(await read('cmdline'))) continue;
    // Behind the program's name: state, parent, process group; user and system time are the 12th and 13th.
    const fields = (await read('stat')).replace(/^.*\) /s, '').split(' ');
    if (Number(fields[2]) === browser) all.set(Number(id), Number(fields[11]) + Number(fields[12]));
  }
  return all;
}
