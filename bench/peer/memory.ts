/** The engine's memory while it downloads a file that is far larger than memory should ever hold. */
import { open as openFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { CDPSession, Page } from 'puppeteer-core';
import { temporaryFolder } from '../../e2e/harness/cleanup.ts';
import type { Scope } from '../../e2e/harness/cleanup.ts';
import { connected, open, stats } from '../../e2e/harness/page.ts';
import { serve } from '../../e2e/harness/planktos.ts';
import { startOrigin } from '../harness/origin.ts';
import { tab } from './transfers.ts';

const file = 'huge.bin';
const sizeBytes = 2e9;

/**
 * The most that the receiving engine's threads (page and dedicated worker) had in JavaScript heap and buffers, asked
 * every half second for so many seconds, or until the file is there.
 */
export async function engineMemory(scope: Scope, seconds: number): Promise<{ bytes: number; detail: string }> {
  const dir = await temporaryFolder(scope, 'bench-memory');
  const sparse = await openFile(join(dir, file), 'w');
  await sparse.truncate(sizeBytes);
  await sparse.close();
  await writeFile(join(dir, 'index.html'), '<!doctype html><head><link rel="icon" href="data:,"></head><body></body>');
  const { url } = await serve(scope, dir, '--prefer', 'offload');
  const quick = await startOrigin(scope, { target: url }, 1, { rate: 0, delayMs: 0 });
  const slow = await startOrigin(scope, { target: url }, 1, { rate: 1e6, delayMs: 50 });
  const from = await tab(scope);
  await open(from, quick.urls[0]!);
  await from.evaluate(read, file);
  const whole = (least: number): boolean => Reflect.get(window, 'bytesRead') >= least;
  await from.waitForFunction(whole, { polling: 200, timeout: 180_000 }, sizeBytes);
  const to = await tab(scope);
  await open(to, slow.urls[0]!);
  await connected(to);
  const before = await usage(to);
  await to.evaluate(read, file);
  let most = before;
  for (const endMs = performance.now() + seconds * 1_000; performance.now() < endMs; ) {
    if (await to.evaluate(whole, sizeBytes)) break;
    await delay(500);
    const now = await usage(to);
    if (sum(now) > sum(most)) most = now;
  }
  const { origin, peers } = await stats(to);
  const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
  const detail = `${mebibytes(sum(before))} before; by thread ${most.map(mebibytes).join(' + ')}; had ${(
    (origin + peers) / 1e6
  ).toFixed(0)} MB, ${(peers / 1e6).toFixed(0)} of them from the peer`;
  return { bytes: sum(most), detail };
}

/** Runs in the page: reads a content and counts. */
function read(path: string): void {
  void (async () => {
    let bytes = 0;
    const reader = (await fetch(path)).body!.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      Object.assign(window, { bytesRead: (bytes += part.value.length) });
    }
  })();
}

/** JavaScript heap and array buffers of the page and of each of its dedicated workers, after a garbage collection. */
async function usage(page: Page): Promise<number[]> {
  const session = await page.createCDPSession();
  try {
    return await Promise.all([session, ...page.workers().map((worker) => worker.client)].map(heap));
  } finally {
    await session.detach();
  }
}

async function heap(session: CDPSession): Promise<number> {
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize, backingStorageSize } = (await session.send('Runtime.getHeapUsage')) as {
    usedSize: number;
    backingStorageSize?: number;
  };
  return usedSize + (backingStorageSize ?? 0);
}

const sum = (numbers: number[]): number => numbers.reduce((total, each) => total + each, 0);
