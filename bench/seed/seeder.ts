/** A page's fetch of a content that `planktos seed` holds, at an origin that is too slow to be of use. */
import { join } from 'node:path';
import { temporaryFolder } from '../../e2e/harness/cleanup.ts';
import { connected, open, stats } from '../../e2e/harness/page.ts';
import { binary, serve } from '../../e2e/harness/planktos.ts';
import { start } from '../../e2e/harness/process.ts';
import { startOrigin } from '../harness/origin.ts';
import { longTasks, receive, tab, watchTasks } from '../peer/transfers.ts';
import type { Method } from '../peer/transfers.ts';

export const seeder: Method = async (scope, dir) => {
  const { url } = await serve(scope, dir, '--prefer', 'offload');
  const slow = await startOrigin(scope, { target: url }, 1, { rate: 100_000, delayMs: 50 });
  const store = join(await temporaryFolder(scope, 'bench-seed'), 'store');
  const seed = start(scope, await binary(), ['seed', url, '--dir', store]);
  await seed.line((line) => line.startsWith('seeding '));
  const page = await tab(scope);
  await open(page, slow.urls[0]!);
  await connected(page);
  await watchTasks(page);
  const ms = await receive(page);
  return { ms, peers: (await stats(page)).peers, longTasks: await longTasks(page) };
};
