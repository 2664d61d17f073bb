/** Ways to move one content, side by side: in turn, and each as a share of a bare channel in the same round. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from '../../e2e/harness/planktos.ts';
import { within } from '../../e2e/harness/wait.ts';
import type { Scope } from '../../e2e/harness/cleanup.ts';
import { median, share, table } from '../harness/figures.ts';
import { scoped } from '../harness/scope.ts';
import { makeFolder } from './transfers.ts';
import type { Method, Transfer } from './transfers.ts';

export interface Comparison {
  /** heads the table */
  title: string;
  /** of the JSON in bench/out */
  name: string;
  sizeBytes: number;
  rounds: number;
  /** by name; the first is what the others are a share of */
  methods: Record<string, Method>;
  /** shares that are aimed at, by name */
  targets: Record<string, string>;
}

export async function compare(scope: Scope, comparison: Comparison): Promise<void> {
  const { title, name, sizeBytes, rounds, methods, targets } = comparison;
  const dir = await makeFolder(scope, sizeBytes);
  const results = new Map<string, Transfer[]>(Object.keys(methods).map((way) => [way, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [way, method] of Object.entries(methods)) {
      const transfer = (inner: Scope): Promise<Transfer> =>
        within(150_000, `the transfer by ${way}`, method(inner, dir, sizeBytes));
      results.get(way)!.push(await scoped(transfer));
    }
  }
  const speed = ({ ms }: Transfer): number => sizeBytes / 1e6 / (ms / 1_000);
  const base = [...results.values()][0]!.map(speed);
  const lines = [...results].map(([way, transfers]) => [
    way,
    median(transfers.map(speed)).toFixed(1),
    share(median(transfers.map((transfer, i) => speed(transfer) / base[i]!))),
    targets[way] ?? '',
    share(median(transfers.map(({ peers }) => peers / sizeBytes))),
    median(transfers.map(({ longTasks }) => longTasks.count)).toFixed(0),
    Math.max(...transfers.map(({ longTasks }) => longTasks.maxMs)).toFixed(0),
    [...new Set(transfers.flatMap(({ longTasks }) => longTasks.scripts))].join(' '),
  ]);
  const rates = [title, 'MB/s', 'of bare', 'target', 'from peers'];
  console.log(table([[...rates, 'tasks > 50 ms', 'longest ms', 'scripts in long frames'], ...lines]));
  const out = join(root, 'bench/out');
  await mkdir(out, { recursive: true });
  const figures = { sizeBytes, rounds, results: Object.fromEntries(results) };
  await writeFile(join(out, `${name}.json`), JSON.stringify(figures, undefined, 1));
}
