/** What a crowd is, on the command line: `make bench-crowd ARGS="--visitors 16 --prefer offload"`. */
import { parseArgs } from 'node:util';
import { siteNames } from '../harness/sites.ts';
import type { SiteName } from '../harness/sites.ts';

export const systems = ['plain', 'planktos', 'webtorrent'] as const;
export type System = (typeof systems)[number];

export interface Crowd {
  visitors: number;
  /** from one visitor's navigation to the next one's */
  spacingMs: number;
  /** bytes a second of the origin's uplink */
  rate: number;
  delayMs: number;
  h2: boolean;
  site: SiteName;
  prefer: 'speed' | 'offload';
  firstVisit: 'plain' | 'peers';
  /** which page view is measured: `second` comes after one of a page that loads nothing, and is under the worker */
  view: 'first' | 'second';
  /** a visitor leaves so long after it is done; undefined: when all are done */
  stayMs: number | undefined;
}

export interface Options {
  /** named rows of the table of targets; without any, the default crowd */
  rows: string[];
  /** what is to be different from the row or the default */
  change: Partial<Crowd>;
  rounds: number;
  only: readonly System[];
  /** print who fetched what twice */
  why: boolean;
}

export const defaults: Crowd = {
  visitors: 8,
  spacingMs: 1_000,
  rate: 2e6,
  delayMs: 50,
  h2: false,
  site: 'pictures',
  prefer: 'speed',
  firstVisit: 'plain',
  view: 'first',
  stayMs: undefined,
};

export const usage = `usage: make bench-crowd ARGS="..."
  --row NAME         a line of the table of targets, or "all"; repeatable. What follows changes it, or the default crowd
  --visitors 8       --spacing 1      seconds from one arrival to the next
  --rate 2           MB/s of the origin's uplink
  --delay 50         ms of a round trip to the origin
  --h2               HTTP/2 over TLS, rather than HTTP/1.1 in the clear
  --site pictures    ${siteNames.join(', ')}
  --prefer speed     speed, offload
  --first-visit plain plain, peers
  --view first       first; second: a page view under the worker, after a page that loads nothing
  --stay SECONDS     leave so long after one is done
  --rounds 3         --only ${systems.join(',')}
  --why              print what the origin sent more than once, and to whom`;

export function options(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      row: { type: 'string', multiple: true, default: [] },
      visitors: { type: 'string' },
      spacing: { type: 'string' },
      rate: { type: 'string' },
      delay: { type: 'string' },
      h2: { type: 'boolean' },
      site: { type: 'string' },
      prefer: { type: 'string' },
      'first-visit': { type: 'string' },
      view: { type: 'string' },
      stay: { type: 'string' },
      rounds: { type: 'string', default: '3' },
      only: { type: 'string', default: systems.join(',') },
      why: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    process.exit();
  }
  const { visitors, spacing, rate, delay, h2, site, prefer, 'first-visit': firstVisit, view, stay } = values;
  const change: Partial<Crowd> = {
    ...(visitors === undefined ? {} : { visitors: number('visitors', visitors) }),
    ...(spacing === undefined ? {} : { spacingMs: number('spacing', spacing) * 1_000 }),
    ...(rate === undefined ? {} : { rate: number('rate', rate) * 1e6 }),
    ...(delay === undefined ? {} : { delayMs: number('delay', delay) }),
    ...(h2 === undefined ? {} : { h2 }),
    ...(site === undefined ? {} : { site: one('site', site, siteNames) }),
    ...(prefer === undefined ? {} : { prefer: one('prefer', prefer, ['speed', 'offload']) }),
    ...(firstVisit === undefined ? {} : { firstVisit: one('first-visit', firstVisit, ['plain', 'peers']) }),
    ...(view === undefined ? {} : { view: one('view', view, ['first', 'second']) }),
    ...(stay === undefined ? {} : { stayMs: number('stay', stay) * 1_000 }),
  };
  return {
    rows: values.row,
    change,
    rounds: number('rounds', values.rounds),
    only: values.only.split(',').map((name) => one('only', name, systems)),
    why: values.why,
  };
}

function number(name: string, text: string): number {
  const value = Number(text);
  if (!(value >= 0)) throw new Error(`--${name} ${text}: not a number\n${usage}`);
  return value;
}

function one<T extends string>(name: string, text: string, known: readonly T[]): T {
  const found = known.find((each) => each === text);
  if (found === undefined) throw new Error(`--${name} ${text}: one of ${known.join(', ')}\n${usage}`);
  return found;
}
