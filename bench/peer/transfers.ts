/** One content from one visitor to another: over a bare data channel, by Planktos and by WebTorrent. */
import { createCipheriv } from 'node:crypto';
import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'puppeteer-core';
import { launch, visitor } from '../../e2e/harness/browsers.ts';
import { temporaryFolder } from '../../e2e/harness/cleanup.ts';
import type { Scope } from '../../e2e/harness/cleanup.ts';
import { connected, holds, open, stats } from '../../e2e/harness/page.ts';
import { root, serve } from '../../e2e/harness/planktos.ts';
import { startOrigin } from '../harness/origin.ts';

export const file = 'large.bin';

export interface Transfer {
  ms: number;
  /** of the content's bytes, those that a peer brought */
  peers: number;
  /** the receiving page's main thread: tasks over 50 ms, the longest in ms, and what they ran */
  longTasks: { count: number; maxMs: number; scripts: string[] };
}

export type Method = (scope: Scope, dir: string, sizeBytes: number) => Promise<Transfer>;

/** A folder with an empty page and one content that nothing compresses. */
export async function makeFolder(scope: Scope, sizeBytes: number): Promise<string> {
  const dir = await temporaryFolder(scope, 'bench-peer');
  const key = Buffer.alloc(16, 1);
  await writeFile(join(dir, file), createCipheriv('aes-128-ctr', key, key).update(Buffer.alloc(sizeBytes)));
  await writeFile(join(dir, 'index.html'), '<!doctype html><head><link rel="icon" href="data:,"></head><body></body>');
  for (const script of ['webtorrent.min.js', 'sw.min.js']) {
    await copyFile(join(root, 'node_modules/webtorrent/dist', script), join(dir, script));
  }
  return dir;
}

/** RTCDataChannel with messages of 64 KiB, as fast as it takes them. */
export const bare: Method = async (scope, dir, sizeBytes) => {
  const [from, to] = await plainPages(scope, dir);
  const offer = await from.evaluate(async () => {
    const connection = new RTCPeerConnection();
    const channel = connection.createDataChannel('bare');
    channel.binaryType = 'arraybuffer';
    Object.assign(window, { connection, channel });
    await connection.setLocalDescription();
    while (connection.iceGatheringState !== 'complete') {
      await new Promise((next) => connection.addEventListener('icegatheringstatechange', next, { once: true }));
    }
    return connection.localDescription!.sdp;
  });
  const answer = await to.evaluate(
    async (sdp, total) => {
      const connection = new RTCPeerConnection();
      const received = new Promise<number>((resolve) => {
        connection.ondatachannel = ({ channel }) => {
          channel.binaryType = 'arraybuffer';
          let bytes = 0;
          channel.onmessage = ({ data }) => {
            bytes += (data as ArrayBuffer).byteLength;
            if (bytes === total) resolve(performance.timeOrigin + performance.now());
          };
        };
      });
      Object.assign(window, { connection, received });
      await connection.setRemoteDescription({ type: 'offer', sdp });
      await connection.setLocalDescription();
      while (connection.iceGatheringState !== 'complete') {
        await new Promise((next) => connection.addEventListener('icegatheringstatechange', next, { once: true }));
      }
      return connection.localDescription!.sdp;
    },
    offer,
    sizeBytes,
  );
  await accept(from, answer);
  await watchTasks(to);
  const start = await from.evaluate(async (total) => {
    const { channel } = window as unknown as { channel: RTCDataChannel };
    const message = new Uint8Array(64 * 1024);
    channel.bufferedAmountLowThreshold = 512 * 1024;
    const begin = performance.timeOrigin + performance.now();
    for (let sent = 0; sent < total; ) {
      if (channel.bufferedAmount > 1024 * 1024) {
        await new Promise((low) => channel.addEventListener('bufferedamountlow', low, { once: true }));
      }
      const part = message.subarray(0, Math.min(message.length, total - sent));
      channel.send(part);
      sent += part.length;
    }
    return begin;
  }, sizeBytes);
  const end = await to.evaluate(() => Reflect.get(window, 'received') as Promise<number>);
  return { ms: end - start, peers: sizeBytes, longTasks: await longTasks(to) };
};

/** Gives the page the answer, and waits until the channel is open. */
export function accept(page: Page, answer: string): Promise<void> {
  return page.evaluate(async (sdp) => {
    const { connection, channel } = window as unknown as { connection: RTCPeerConnection; channel: RTCDataChannel };
    const opened = new Promise((next) => channel.addEventListener('open', next, { once: true }));
    await connection.setRemoteDescription({ type: 'answer', sdp });
    if (channel.readyState !== 'open') await opened;
  }, answer);
}

/** A page's fetch of a content that another visitor holds, at an origin that is too slow to be of use. */
export const planktos: Method = async (scope, dir, sizeBytes) => {
  const { url } = await serve(scope, dir, '--prefer', 'offload');
  const quick = await startOrigin(scope, { target: url }, 1, { rate: 0, delayMs: 0 });
  const slow = await startOrigin(scope, { target: url }, 1, { rate: 100_000, delayMs: 50 });
  const from = await tab(scope);
  await open(from, quick.urls[0]!);
  await receive(from);
  await holds(from, sizeBytes);
  const to = await tab(scope);
  await open(to, slow.urls[0]!);
  await connected(to);
  await watchTasks(to);
  const ms = await receive(to);
  return { ms, peers: (await stats(to)).peers, longTasks: await longTasks(to) };
};

/** The library with its defaults and no web seed; timed from the connection. */
export const webtorrent: Method = async (scope, dir, sizeBytes) => {
  const [from, to] = await plainPages(scope, dir);
  const torrent = await from.evaluate(async (path) => {
    const { default: WebTorrent } = await import('/webtorrent.min.js' as string);
    const client = new WebTorrent({ tracker: { rtcConfig: { iceServers: [] } } });
    const content = new File([await (await fetch(path)).arrayBuffer()], path);
    const announce = [new URL('planktos/tracker', location.href.replace(/^http/, 'ws')).href];
    return new Promise<number[]>((resolve) =>
      client.seed(content, { announce }, (seeded: { torrentFile: Uint8Array }) => resolve([...seeded.torrentFile])),
    );
  }, file);
  await watchTasks(to);
  const ms = await to.evaluate(async (bytes) => {
    const { default: WebTorrent } = await import('/webtorrent.min.js' as string);
    const client = new WebTorrent({ tracker: { rtcConfig: { iceServers: [] } } });
    return new Promise<number>((resolve, reject) => {
      client.on('error', reject);
      const added = client.add(new Uint8Array(bytes));
      let begin = 0;
      added.on('wire', () => (begin ||= performance.now()));
      added.on('done', () => resolve(performance.now() - begin));
    });
  }, torrent);
  return { ms, peers: sizeBytes, longTasks: await longTasks(to) };
};

/** A visitor with a browser and a profile of its own, since Chromium keeps a private context's store in memory. */
export async function tab(scope: Scope): Promise<Page> {
  const { page } = await visitor(scope, await launch(scope, 'chrome'), { profile: true });
  page.setDefaultTimeout(60_000);
  return page;
}

/** Two visitors of the folder by plain HTTP. */
async function plainPages(scope: Scope, dir: string): Promise<[Page, Page]> {
  const origin = await startOrigin(scope, { site: dir }, 2, { rate: 0, delayMs: 0 });
  const pages: [Page, Page] = [await tab(scope), await tab(scope)];
  for (const [i, page] of pages.entries()) await page.goto(origin.urls[i]!);
  return pages;
}

/** Fetches the content in a page and gives the time until its last byte. */
export function receive(page: Page): Promise<number> {
  return page.evaluate(async (path) => {
    const begin = performance.now();
    const response = await fetch(path);
    for (const reader = response.body!.getReader(); !(await reader.read()).done; );
    return performance.now() - begin;
  }, file);
}

interface Task {
  ms: number;
  scripts: string[];
}

/** Notes the page's tasks over 50 ms from now on; long animation frames tell which scripts ran in some of them. */
export function watchTasks(page: Page): Promise<void> {
  return page.evaluate(() => {
    const tasks: Task[] = [];
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) tasks.push({ ms: entry.duration, scripts: [] });
    }).observe({ type: 'longtask' });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as Array<PerformanceEntry & { scripts: Array<{ sourceURL: string }> }>) {
        tasks.push({ ms: 0, scripts: entry.scripts.map(({ sourceURL }) => sourceURL) });
      }
    }).observe({ type: 'long-animation-frame' });
    Object.assign(window, { tasks });
  });
}

export async function longTasks(page: Page): Promise<Transfer['longTasks']> {
  const tasks = await page.evaluate(() => Reflect.get(window, 'tasks') as Task[]);
  const long = tasks.filter(({ ms }) => ms > 50);
  const scripts = new Set(tasks.flatMap((task) => task.scripts).map((url) => new URL(url, 'http://page/').pathname));
  return { count: long.length, maxMs: Math.max(0, ...long.map(({ ms }) => ms)), scripts: [...scripts] };
}
