/** `make bench-pages`: pages 2 to 5 of a visit, with other visitors present, by plain HTTP and by Planktos in turn. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { launch, visitor } from '../../e2e/harness/browsers.ts';
import { root, serve } from '../../e2e/harness/planktos.ts';
import type {} from '../../e2e/harness/page.ts'; // window.planktos
import { manifest } from '../../e2e/harness/swarm.ts';
import { within } from '../../e2e/harness/wait.ts';
import { arrivals } from '../harness/arrival.ts';
import { median, megabytes, seconds, share, sum, table } from '../harness/figures.ts';
import { carries, startOrigin } from '../harness/origin.ts';
import type { Entry } from '../harness/origin.ts';
import { main, scoped } from '../harness/scope.ts';
import { makeWalk } from '../harness/sites.ts';
import type { Walk } from '../harness/sites.ts';

const { values } = parseArgs({
  options: {
    visitors: { type: 'string', default: '8' },
    spacing: { type: 'string', default: '1' },
    dwell: { type: 'string', default: '2' },
    rate: { type: 'string', default: '2' },
    delay: { type: 'string', default: '50' },
    prefer: { type: 'string', default: 'speed' },
    rounds: { type: 'string', default: '3' },
  },
});
const visitors = Number(values.visitors);
const shape = { rate: Number(values.rate) * 1e6, delayMs: Number(values.delay) };

declare global {
  interface Window {
    peerMs?: number;
  }
}

interface View {
  visitor: number;
  path: string;
  startMs: number;
  endMs: number;
  /** from the navigation's start until the page's own engine had its first peer; if it had one before it was left */
  peerMs: number | undefined;
}
interface Run {
  system: string;
  views: View[];
  /** requests at the origin from page 2 on */
  entries: Entry[];
  /** bytes of body of contents of pages 2 to 5, their documents apart; and what of it another visitor held by then */
  resources: number;
  held: number;
  documents: number;
  /** resources, as a multiple of one copy of each */
  copies: number;
}

const secondsToPeer = (ms: number): string => (Number.isFinite(ms) ? seconds(ms) : '-');

await main(async (scope) => {
  const walk = await makeWalk(scope, 5);
  const rounds: Run[][] = [];
  for (let i = 0; i < Number(values.rounds); i++) {
    rounds.push([await run('plain', walk), await run('planktos', walk)]);
  }
  const line = (pick: (runs: Run[]) => Run): string[] => {
    const runs = rounds.map(pick);
    const middle = (figure: (run: Run) => number): number => median(runs.map(figure));
    const times = (run: Run): number[] => run.views.map(({ startMs, endMs }) => endMs - startMs);
    return [
      runs[0]!.system,
      seconds(middle((run) => median(times(run)))),
      share(median(rounds.map((all) => median(times(pick(all))) / median(times(all[0]!))))),
      seconds(middle((run) => Math.max(...times(run)))),
      secondsToPeer(middle((run) => median(run.views.map(({ peerMs = Infinity }) => peerMs)))),
      megabytes(middle((run) => run.resources)),
      middle((run) => run.copies).toFixed(2),
      megabytes(middle((run) => run.held)),
      megabytes(middle((run) => run.documents)),
    ];
  };
  const head = ['pages 2 to 5', 'median s', 'of plain', 'worst s', 'peer s', 'origin MB', 'copies', 'held MB', 'documents MB'];
  console.log(table([head, line((all) => all[0]!), line((all) => all[1]!)]));
  await mkdir(join(root, 'bench/out'), { recursive: true });
  await writeFile(join(root, 'bench/out/pages.json'), JSON.stringify({ values, rounds }, undefined, 1));
});

/** Everybody loads page 1; when all have it, they walk on through the others, one after the other. */
function run(system: 'plain' | 'planktos', walk: Walk): Promise<Run> {
  return scoped(async (scope) => {
    const target = system === 'planktos' ? (await serve(scope, walk.dir, '--prefer', values.prefer)).url : undefined;
    const origin = await startOrigin(scope, target ? { target } : { site: walk.dir }, visitors, shape);
    const browser = await launch(scope, 'chrome');
    const [first, ...others] = [...walk.pages.keys()] as [string, ...string[]];
    const tabs = [];
    for (let i = 0; i < visitors; i++) {
      const { page } = await visitor(scope, browser);
      await page.evaluateOnNewDocument(notePeer);
      tabs.push({ page, next: await arrivals(page, walk.pages), url: origin.urls[i]! });
    }
    await Promise.all(
      tabs.map(async ({ page, url }) => {
        await page.goto(url + first, { waitUntil: 'load', timeout: 60_000 });
        await page.evaluate(async () => void (await window.planktos?.ready));
      }),
    );
    const before = (await origin.settled()).length;
    const views: View[] = [];
    await Promise.all(
      tabs.map(async ({ page, next, url }, i) => {
        await delay(i * Number(values.spacing) * 1_000);
        for (const path of others) {
          const arrived = next(path);
          const startMs = Date.now();
          void page.goto(url + path, { timeout: 60_000 }).catch(() => undefined);
          const { endMs, wrong } = await within(60_000, `visitor ${i} to have ${path} by ${system}`, arrived);
          if (wrong.length > 0) throw new Error(`${system}: not what the site holds: ${wrong.join(', ')}`);
          await delay(Number(values.dwell) * 1_000);
          const peerMs = await page.evaluate(() => window.peerMs);
          views.push({ visitor: i, path, startMs, endMs, peerMs });
        }
      }),
    );
    const entries = (await origin.settled()).slice(before).filter((entry) => !entry.tracker && entry.body > 0);
    return { system, views, entries, ...(await cost(walk, entries, views, target)) };
  });
}

/** Runs in the page. */
function notePeer(): void {
  navigator.serviceWorker?.addEventListener('message', ({ data }) => {
    if (data?.planktos === 'peer' && data.detail.connected) window.peerMs ??= performance.now();
  });
}

/** What the origin sent for the contents of these views. */
async function cost(
  walk: Walk,
  entries: Entry[],
  views: View[],
  target: string | undefined,
): Promise<Omit<Run, 'system' | 'views' | 'entries'>> {
  const paths = new Map<string, string>(); // of hashed copies
  if (target) for (const [path, hash] of await rows(target)) paths.set(`/planktos/${hash}`, `/${path}`);
  const sizes = new Map<string, number>();
  for (const { path } of views) {
    for (const [name, size] of walk.pages.get(path)!) if (name.startsWith('img/')) sizes.set(`/${name}`, size);
  }
  let [resources, held, documents] = [0, 0, 0];
  for (const entry of entries) {
    const path = carries(entry.path) === 'copy' ? paths.get(entry.path) : entry.path;
    if (path?.endsWith('.html')) documents += entry.body;
    if (path === undefined || !sizes.has(path)) continue;
    resources += entry.body;
    const elsewhere = views.some(
      (view) =>
        view.visitor !== entry.visitor && view.endMs < entry.startMs && walk.pages.get(view.path)!.has(path.slice(1)),
    );
    if (elsewhere) held += entry.body;
  }
  return { resources, held, documents, copies: resources / sum(sizes.values()) };
}

async function rows(target: string): Promise<Array<[string, string]>> {
  const { files } = (await manifest(target)) as unknown as { files: Array<[string, string]> };
  return files;
}
