/**
 * `make bench-sim`: crowds of 10 to 100,000 visitors and an ordinary day, simulated by discrete events around the
 * scheduler that ships (browser/src/shared). Prints a table and writes bench/out/sim.json; `--docs` draws
 * docs/simulation.svg anew, `--why` prints what views waited for.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from '../../e2e/harness/planktos.ts';
import { groups, median, percentile, share, seconds, sum, table } from '../harness/figures.ts';
import { plot } from './plot.ts';
import { crowd, day, type Outcome } from './scenarios.ts';

const { values } = parseArgs({
  options: {
    sizes: { type: 'string', default: '10,30,100,300,1000,3000,10000,100000' },
    seed: { type: 'string', default: '1' },
    docs: { type: 'boolean', default: false },
    why: { type: 'boolean', default: false },
  },
});
const seed = Number(values.seed);

interface Line {
  scenario: string;
  visitors: number;
  prefer: string;
  firstVisit: string;
  /** share of plain HTTP's: the origin's bytes, the median and the 95th percentile of page views */
  bytes: number;
  medianMs: number;
  p95Ms: number;
  /** of plain HTTP, ms */
  plainMedianMs: number;
}

const lines: Line[] = [];
const times = ({ views }: Outcome): number[] => views.map(({ ms }) => ms);

/** Of the quicker half of views, the slower one and the slowest twentieth, by where what came last was had from. */
const why = ({ views }: Outcome): void => {
  const sorted = views.toSorted((a, b) => a.ms - b.ms);
  const rows = [];
  for (const [name, from, to] of [['quicker half', 0, 0.5], ['slower half', 0.5, 0.95], ['slowest', 0.95, 1]] as const) {
    const part = sorted.slice(from * sorted.length, to * sorted.length);
    for (const [source, some] of groups(part, (view) => view.from)) {
      const means = (['documentMs', 'stoodMs', 'cameMs', 'ms'] as const).map((key) => {
        return seconds(sum(some.map((view) => view[key])) / some.length);
      });
      rows.push([name, source, String(some.length), ...means]);
    }
  }
  console.log(table([['views', 'last from', '', 'document', 'stood', 'came', 'mean s'], ...rows]));
};

type Choice = Pick<Line, 'scenario' | 'prefer' | 'firstVisit'>;
const against = (choice: Choice, plain: Outcome, ours: Outcome): void => {
  const line = {
    ...choice,
    visitors: plain.visitors,
    bytes: ours.originBytes / plain.originBytes,
    medianMs: median(times(ours)) / median(times(plain)),
    p95Ms: percentile(times(ours), 95) / percentile(times(plain), 95),
    plainMedianMs: median(times(plain)),
  };
  lines.push(line);
  const { scenario, visitors, prefer } = line;
  const [bytes, time] = [share(line.bytes), share(line.medianMs)];
  console.error(`${scenario} ${visitors} ${prefer}: ${bytes} of the bytes, ${time} of the time`);
  if (values.why) why(ours);
};

const sizes = values.sizes.split(',').map(Number);
for (const visitors of sizes) {
  const plain = crowd(visitors, { system: 'plain' }, seed);
  for (const prefer of ['speed', 'offload'] as const) {
    const choice = { prefer, firstVisit: 'peers' } as const;
    against({ scenario: 'crowd', ...choice }, plain, crowd(visitors, { system: 'planktos', ...choice }, seed));
  }
}
const plainDay = day({ system: 'plain' }, seed);
for (const firstVisit of ['plain', 'peers'] as const) {
  const choice = { prefer: 'speed', firstVisit } as const;
  against({ scenario: 'day', ...choice }, plainDay, day({ system: 'planktos', ...choice }, seed));
}

const rows = lines.map((line) => [
  line.scenario,
  String(line.visitors),
  line.prefer,
  line.firstVisit,
  share(line.bytes),
  share(line.medianMs),
  share(line.p95Ms),
  seconds(line.plainMedianMs),
]);
const head = ['scenario', 'visitors', 'prefer', 'first visit', 'origin bytes', 'median', 'p95', 'plain median s'];
console.log(table([head, ...rows]));
await mkdir(join(root, 'bench/out'), { recursive: true });
await writeFile(join(root, 'bench/out/sim.json'), JSON.stringify({ seed, lines }, undefined, 2));
if (values.docs) {
  const series = (prefer: string, key: 'bytes' | 'medianMs'): [number, number][] =>
    lines
      .filter((line) => line.scenario === 'crowd' && line.prefer === prefer)
      .map((line) => [line.visitors, line[key]]);
  const picture = plot([
    { name: 'origin bytes, offload', points: series('offload', 'bytes') },
    { name: 'origin bytes, speed', points: series('speed', 'bytes') },
    { name: 'median visit, offload', points: series('offload', 'medianMs'), dashed: true },
    { name: 'median visit, speed', points: series('speed', 'medianMs'), dashed: true },
  ]);
  await writeFile(join(root, 'docs/simulation.svg'), picture);
}
