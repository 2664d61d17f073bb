/** The service worker as the browser's tools reach it, which only Chromium lets a test do. */
import type { WebWorker } from 'puppeteer-core';
import type { Visitor } from './browsers.ts';

/** The visitor's service worker. While it is held like this, the browser does not stop it for being idle. */
export async function serviceWorker({ context }: Visitor): Promise<WebWorker> {
  const target = await context.waitForTarget((each) => each.type() === 'service_worker', { timeout: 45_000 });
  const worker = await target.worker();
  if (!worker) throw new Error(`no worker at ${target.url()}`);
  return worker;
}

/** Moves the running worker's clock. */
export async function advanceClock(who: Visitor, ms: number): Promise<void> {
  const worker = await serviceWorker(who);
  await worker.evaluate((by) => {
    const now = Date.now.bind(Date);
    Date.now = () => now() + by;
  }, ms);
}

/** Stops the visitor's worker, whatever it is doing, as the browser does with one that it takes to hang. */
export async function stopWorker(who: Visitor): Promise<void> {
  const session = await who.page.createCDPSession();
  await session.send('ServiceWorker.enable');
  await session.send('ServiceWorker.stopAllWorkers');
  await session.detach();
}
