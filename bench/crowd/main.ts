/** `make bench-crowd`: a crowd at a site, by plain HTTP, by Planktos and by WebTorrent. See docs/benchmarks.md. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Scope } from '../../e2e/harness/cleanup.ts';
import { root } from '../../e2e/harness/planktos.ts';
import { table } from '../harness/figures.ts';
import { main } from '../harness/scope.ts';
import { makeSite } from '../harness/sites.ts';
import { run } from './crowd.ts';
import type { Run } from './crowd.ts';
import { defaults, options } from './options.ts';
import type { Crowd, Options, System } from './options.ts';
import { figures, summary, systemsTable, targetsTable, why } from './report.ts';
import type { Figures } from './report.ts';
import { named } from './rows.ts';
import type { Row } from './rows.ts';

await main(async (scope) => {
  const given = options(process.argv.slice(2));
  const rows = given.rows.length > 0 ? named(given.rows) : [{ name: 'crowd', crowd: defaults, targets: [] }];
  const verdicts: string[][] = [];
  for (const { crowd, ...row } of rows) {
    const measured = await measure(scope, { ...row, crowd: { ...crowd, ...given.change } }, given);
    const ours = measured.get('planktos');
    if (ours) verdicts.push(...targetsTable(row.name, row.targets, summary(ours)));
  }
  if (verdicts.length > 0) console.log(`\n${table([['row', 'figure', 'is', 'target', ''], ...verdicts])}`);
});

/** Runs a row's rounds, each with every system in turn, and prints and writes what came of it. */
async function measure(scope: Scope, row: Row, given: Options): Promise<Map<System, Figures[]>> {
  const site = await makeSite(scope, row.crowd.site);
  const measured = new Map<System, Figures[]>();
  const rounds: Run[][] = [];
  console.log(`\n${row.name}: ${describe(row.crowd)}`);
  for (let round = 0; round < given.rounds; round++) {
    const runs: Run[] = [];
    for (const system of given.only) runs.push(await run(system, site, row.crowd));
    const plain = runs.find(({ system }) => system === 'plain');
    for (const each of runs) {
      measured.set(each.system, [...(measured.get(each.system) ?? []), figures(each, plain, site)]);
      if (given.why && each.system === 'planktos') console.log(`\nround ${round}\n${why(each, site)}`);
    }
    rounds.push(runs);
  }
  console.log(systemsTable([...measured.values()]));
  const out = join(root, 'bench/out');
  await mkdir(out, { recursive: true });
  const document = { row: row.name, crowd: row.crowd, figures: Object.fromEntries(measured), rounds };
  await writeFile(join(out, `${row.name}.json`), `${JSON.stringify(document, undefined, 1)}\n`);
  return measured;
}

function describe(crowd: Crowd): string {
  return [
    crowd.visitors === 1 ? 'one visitor' : `${crowd.visitors} visitors ${crowd.spacingMs / 1_000} s apart`,
    crowd.site,
    `origin ${crowd.rate / 1e6} MB/s ${crowd.delayMs} ms`,
    ...(crowd.h2 ? ['HTTP/2'] : []),
    `prefer=${crowd.prefer}`,
    `first-visit=${crowd.firstVisit}`,
    ...(crowd.view === 'second' ? ['second page view'] : []),
    ...(crowd.stayMs === undefined ? [] : [`leaving after ${crowd.stayMs / 1_000} s`]),
  ].join(', ');
}
