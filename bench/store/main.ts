/**
 * `make bench-store`: what the store gives, in Chromium and Firefox with a profile on disk. The first byte of a file
 * out of few and out of many, by a worker that runs and by one that the browser has to start; and 50 MB through the
 * worker next to plain HTTP from loopback, in turn. All of it without an engine, and with one that is connected to a
 * second visitor, who wants nothing.
 *
 * Options: --files N (1000), --samples N (15).
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Page } from 'puppeteer-core';
import { noise } from '../../e2e/harness/bytes.ts';
import { kinds, launch, visitor } from '../../e2e/harness/browsers.ts';
import type { Kind } from '../../e2e/harness/browsers.ts';
import { temporaryFolder } from '../../e2e/harness/cleanup.ts';
import type { Scope } from '../../e2e/harness/cleanup.ts';
import { connected, controlled, open } from '../../e2e/harness/page.ts';
import { root, serve } from '../../e2e/harness/planktos.ts';
import { until } from '../../e2e/harness/wait.ts';
import { median, percentile, table } from '../harness/figures.ts';
import { main, scoped } from '../harness/scope.ts';

const fileBytes = 20_000;
const largeBytes = 50_000_000;
/** Firefox ends a worker that has been idle for so long; the measurement then waits for a multiple of it. */
const idleMs = 500;

const { values } = parseArgs({ options: { files: { type: 'string' }, samples: { type: 'string' } } });
const many = Number(values.files ?? 1000);
const samples = Number(values.samples ?? 15);

interface Result {
  kind: Kind;
  files: number;
  engine: boolean;
  /** ms until the first byte */
  warm: number[];
  cold: number[];
  /** MB/s */
  store?: number[];
  http?: number[];
}

await main(async () => {
  const results: Result[] = [];
  for (const kind of kinds) {
    for (const engine of [false, true]) {
      for (const files of [10, many]) results.push(await scoped((each) => run(each, kind, files, engine)));
    }
  }
  const cells = results.flatMap(({ kind, files, engine, warm, cold, store, http }) => {
    const where = engine ? `${kind}, engine` : kind;
    const ratio = store && http ? median(store) / median(http) : undefined;
    return [
      [`${where}, ${files} files: first byte, worker running`, ...figures(warm), 'ms', ''],
      [`${where}, ${files} files: first byte, worker stopped`, ...figures(cold), 'ms', ''],
      ...(store && http
        ? [
            [`${where}: 50 MB from the store`, ...figures(store), 'MB/s', ratio!.toFixed(2)],
            [`${where}: 50 MB by HTTP from loopback`, ...figures(http), 'MB/s', '1'],
          ]
        : []),
    ];
  });
  console.log(table([['', 'median', 'p95', '', 'of HTTP'], ...cells]));
  const out = join(root, 'bench/out');
  await mkdir(out, { recursive: true });
  await writeFile(join(out, 'store.json'), `${JSON.stringify(results, undefined, 1)}\n`);
});

function figures(numbers: number[]): string[] {
  return [median(numbers).toFixed(1), percentile(numbers, 95).toFixed(1)];
}

async function run(scope: Scope, kind: Kind, files: number, engine: boolean): Promise<Result> {
  const names = Array.from({ length: files }, (_, i) => `f${i}.bin`);
  const large = files === many ? 'large.bin' : undefined;
  const dir = await temporaryFolder(scope);
  const page = '<!doctype html><title>store</title><script src="/planktos/install.js"></script>';
  await writeFile(join(dir, 'index.html'), page);
  for (const name of names) await writeFile(join(dir, name), noise(name, fileBytes));
  if (large) await writeFile(join(dir, large), noise(large, largeBytes));
  const { url } = await serve(scope, dir, '--mode', engine ? 'auto' : 'off');
  const timeouts = { 'dom.serviceWorkers.idle_timeout': idleMs, 'dom.serviceWorkers.idle_extended_timeout': idleMs };
  const browser = await launch(scope, kind, { prefs: timeouts });
  if (engine) await open((await visitor(scope, browser)).page, url);
  const { page: tab } = await visitor(scope, browser, { profile: true });

  await open(tab, url);
  if (!(await controlled(tab))) await open(tab, url);
  const all = [...names, ...(large ? [large] : [])];
  await tab.evaluate(async (list) => {
    const rest = [...list];
    const fill = async (): Promise<void> => {
      for (let name; (name = rest.pop()); ) await (await fetch(name)).arrayBuffer();
    };
    await Promise.all(Array.from({ length: 8 }, fill));
  }, all);
  await until('the store to be filled', async () => (await stored(tab)) > all.length, { timeoutMs: 60_000 });

  if (engine) await connected(tab);
  const stop = await stopper(tab, kind);
  const result: Result = { kind, files, engine, warm: [], cold: [] };
  for (let i = 0; i < samples; i++) {
    const [cold, warm] = [names[i % files]!, names[(i + 5) % files]!];
    await stop();
    result.cold.push(await firstByteMs(tab, cold));
    result.warm.push(await firstByteMs(tab, warm));
  }
  if (!large) return result;
  result.store = [];
  result.http = [];
  for (let i = 0; i < samples; i++) {
    result.store.push(await megabytesPerSecond(tab, large, 'default'));
    // What asks for no-store is none of the worker's.
    result.http.push(await megabytesPerSecond(tab, large, 'no-store'));
  }
  return result;
}

/** Complete contents in the store. */
function stored(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const all = await (await navigator.storage.getDirectory()).getDirectoryHandle('planktos');
    let count = 0;
    for await (const name of (await all.getDirectoryHandle(encodeURIComponent('/'))).keys()) {
      if (/^[0-9a-f]{64}-\d+$/.test(name)) count++;
    }
    return count;
  });
}

/** What makes the browser stop the service worker. */
async function stopper(page: Page, kind: Kind): Promise<() => Promise<void>> {
  if (kind === 'firefox') return () => delay(6 * idleMs);
  const session = await page.createCDPSession();
  const running = new Map<string, string>();
  session.on('ServiceWorker.workerVersionUpdated', ({ versions }) => {
    for (const { versionId, runningStatus } of versions) running.set(versionId, runningStatus);
  });
  await session.send('ServiceWorker.enable');
  return async () => {
    await session.send('ServiceWorker.stopAllWorkers');
    await until('the worker to stop', () => [...running.values()].every((status) => status === 'stopped'));
  };
}

function firstByteMs(page: Page, name: string): Promise<number> {
  return page.evaluate(async (path) => {
    const began = performance.now();
    const reader = (await fetch(path)).body!.getReader();
    await reader.read();
    const ms = performance.now() - began;
    await reader.cancel();
    return ms;
  }, name);
}

function megabytesPerSecond(page: Page, name: string, cache: RequestCache): Promise<number> {
  return page.evaluate(
    async (path, mode) => {
      const began = performance.now();
      const { byteLength } = await (await fetch(path, { cache: mode })).arrayBuffer();
      return byteLength / 1000 / (performance.now() - began);
    },
    name,
    cache,
  );
}
