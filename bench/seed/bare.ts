/** A data channel from a peer without a browser to a page, with messages of 64 KiB, as fast as it takes them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Page } from 'puppeteer-core';
import { onEnd } from '../../e2e/harness/cleanup.ts';
import type { Scope } from '../../e2e/harness/cleanup.ts';
import { startOrigin } from '../harness/origin.ts';
import { program } from '../harness/program.ts';
import { accept, longTasks, tab, watchTasks } from '../peer/transfers.ts';
import type { Method } from '../peer/transfers.ts';

export const bare: Method = async (scope, dir, sizeBytes) => {
  const ask = await giver(scope);
  const origin = await startOrigin(scope, { site: dir }, 1, { rate: 0, delayMs: 0 });
  const page = await tab(scope);
  await page.goto(origin.urls[0]!);
  const offer = await offerTo(page, sizeBytes);
  await accept(page, JSON.parse(await ask(JSON.stringify(offer))) as string);
  await watchTasks(page);
  const begin = performance.timeOrigin + performance.now();
  await ask(`send ${sizeBytes}`);
  const end = await page.evaluate(() => Reflect.get(window, 'received') as Promise<number>);
  return { ms: end - begin, peers: sizeBytes, longTasks: await longTasks(page) };
};

/** Has the page offer a channel on which it counts what comes, and gives the offer. */
function offerTo(page: Page, sizeBytes: number): Promise<string> {
  return page.evaluate(async (total) => {
    const connection = new RTCPeerConnection();
    const channel = connection.createDataChannel('bare');
    channel.binaryType = 'arraybuffer';
    let bytes = 0;
    const received = new Promise<number>((resolve) => {
      channel.onmessage = ({ data }) => {
        bytes += (data as ArrayBuffer).byteLength;
        if (bytes === total) resolve(performance.timeOrigin + performance.now());
      };
    });
    Object.assign(window, { connection, channel, received });
    await connection.setLocalDescription();
    while (connection.iceGatheringState !== 'complete') {
      await new Promise((next) => connection.addEventListener('icegatheringstatechange', next, { once: true }));
    }
    return connection.localDescription!.sdp;
  }, sizeBytes);
}

/**
 * Starts the giving process of internal/swarm's benchmarks: it answers each line that it is sent with one. They are
 * tests' code, so that the channel is made by the very transport that seeders have.
 */
async function giver(scope: Scope): Promise<(command: string) => Promise<string>> {
  const env = { ...process.env, PLANKTOS_BENCH_ROLE: 'bare' };
  const child = spawn(await program('./internal/swarm', 'test', '-c'), [], { stdio: ['pipe', 'pipe', 'inherit'], env });
  onEnd(scope, async () => {
    const exit = once(child, 'exit');
    child.stdin.end();
    await exit;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return async (command) => {
    child.stdin.write(`${command}\n`);
    const line = await lines.next();
    if (line.done) throw new Error('the giving process ended');
    return line.value;
  };
}
