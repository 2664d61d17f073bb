/** What the runs of a crowd say: shares of plain HTTP, targets, and why the origin sent what it sent. */
import { groups, median, megabytes, seconds, share, sum, table } from '../harness/figures.ts';
import { carries } from '../harness/origin.ts';
import type { Entry } from '../harness/origin.ts';
import type { Site } from '../harness/sites.ts';
import type { Run } from './crowd.ts';
import type { System } from './options.ts';
import type { Target } from './rows.ts';

/** One system in one round, next to plain HTTP in the same round. */
export interface Figures {
  system: System;
  /** bytes on the origin's sockets, headers included, the tracker's WebSockets left out */
  wire: number;
  trackerWire: number;
  /** wire as a share of plain's */
  share: number;
  medianMs: number;
  worstMs: number;
  /** the median visit as a share of plain's, and seconds after it; the worst likewise */
  visit: number;
  later: number;
  worst: number;
  /** all requests, and those for content as a multiple of the page's contents */
  count: number;
  requests: number;
}

export function figures(run: Run, plain: Run | undefined, site: Site): Figures {
  const own = raw(run);
  const base = plain === undefined ? undefined : raw(plain);
  const content = run.entries.filter((entry) => !entry.tracker && carriesContent(entry)).length;
  return {
    ...own,
    share: own.wire / (base?.wire ?? Number.NaN),
    visit: own.medianMs / (base?.medianMs ?? Number.NaN),
    later: (own.medianMs - (base?.medianMs ?? Number.NaN)) / 1_000,
    worst: own.worstMs / (base?.worstMs ?? Number.NaN),
    requests: content / (site.resources.size + 1),
  };
}

function raw(run: Run): Pick<Figures, 'system' | 'wire' | 'trackerWire' | 'medianMs' | 'worstMs' | 'count'> {
  const requests = run.entries.filter((entry) => !entry.tracker);
  const times = run.visits.map((visit) => visit.ms);
  return {
    system: run.system,
    wire: sum(requests.map((entry) => entry.wire)),
    trackerWire: sum(run.entries.filter((entry) => entry.tracker).map((entry) => entry.wire)),
    medianMs: median(times),
    worstMs: Math.max(...times),
    count: requests.length,
  };
}

function carriesContent(entry: Entry): boolean {
  return carries(entry.path) === 'content' || carries(entry.path) === 'copy';
}

/** Medians over the rounds. */
export function summary(all: readonly Figures[]): Figures {
  const middle = (pick: (figures: Figures) => number): number => median(all.map(pick));
  return {
    system: all[0]!.system,
    wire: middle((each) => each.wire),
    trackerWire: middle((each) => each.trackerWire),
    share: middle((each) => each.share),
    medianMs: middle((each) => each.medianMs),
    worstMs: middle((each) => each.worstMs),
    visit: middle((each) => each.visit),
    later: middle((each) => each.later),
    worst: middle((each) => each.worst),
    count: middle((each) => each.count),
    requests: middle((each) => each.requests),
  };
}

/** A line for each system: medians over the rounds, with the rounds' range of the origin's share. */
export function systemsTable(rounds: ReadonlyArray<readonly Figures[]>): string {
  const lines = rounds.map((all) => {
    const { system, wire, share: part, medianMs, worstMs, visit, worst, count, requests } = summary(all);
    const shares = all.map((each) => each.share);
    return [
      system,
      megabytes(wire),
      share(part),
      all.length > 1 ? `${share(Math.min(...shares))}-${share(Math.max(...shares))}` : '',
      seconds(medianMs),
      share(visit),
      seconds(worstMs),
      share(worst),
      `${count}`,
      requests.toFixed(2),
    ];
  });
  const bytes = ['origin MB', 'of plain', 'range'];
  const times = ['median s', 'of plain', 'worst s', 'of plain'];
  return table([['system', ...bytes, ...times, 'requests', 'a content'], ...lines]);
}

/** Target beside figure. */
export function targetsTable(name: string, targets: readonly Target[], figures: Figures): string[][] {
  return targets.map((target) => {
    const figure = target.figure(figures);
    return [name, target.what, share(figure), `<= ${target.most}`, figure <= target.most ? 'pass' : 'MISS'];
  });
}

/** What the origin sent by what it was for, and each content that went out more than once: when, to whom, how much. */
export function why(run: Run, site: Site): string {
  const start = Math.min(...run.visits.map((visit) => visit.startMs));
  const requests = run.entries.filter((entry) => !entry.tracker);
  const kinds = groups(requests, (entry) => carries(entry.path));
  const byKind = [...kinds].map(([kind, list]) => [
    kind,
    `${list.length}`,
    megabytes(sum(list.map((entry) => entry.wire))),
    `${list.filter((entry) => entry.status === 304).length}`,
    `${list.filter((entry) => entry.range !== undefined).length}`,
  ]);
  const byVisitor = run.visits.map((visit, i) => {
    const mine = requests.filter((entry) => entry.visitor === i);
    const bytes = (kind: string): string =>
      megabytes(sum(mine.filter((entry) => carries(entry.path) === kind).map((entry) => entry.wire)));
    const runtime = visit.stats;
    return [
      `visitor ${i}`,
      seconds(visit.startMs - start),
      seconds(visit.ms),
      bytes('content'),
      bytes('copy'),
      runtime === undefined ? '-' : megabytes(runtime.origin),
      runtime === undefined ? '-' : megabytes(runtime.peers),
    ];
  });
  const again = [...groups(requests.filter(carriesContent), (entry) => entry.path.split('?')[0]!)]
    .filter(([, list]) => sum(list.map((entry) => entry.body)) > 0 && list.length > 1)
    .sort(([, a], [, b]) => sum(b.map((entry) => entry.wire)) - sum(a.map((entry) => entry.wire)))
    .slice(0, 3)
    .map(([path, list]) => {
      const size = site.resources.get(decodeURIComponent(path.slice(1)));
      return [`${path} (${size ?? '?'})`, ...list.slice(0, 12).map((entry) => `  ${told(entry, start)}`)].join('\n');
    });
  return [
    table([['carries', 'requests', 'MB', '304', 'ranges'], ...byKind]),
    table([['', 'at s', 'took s', 'content MB', 'copies MB', 'counted origin', 'peers'], ...byVisitor]),
    ...again,
  ].join('\n');
}

/** A request as one line: who, when (seconds after the crowd's start), which part, status and bytes of body. */
function told(entry: Entry, start: number): string {
  const end = entry.endMs > 0 ? seconds(entry.endMs - start) : 'open';
  const part = entry.range ?? 'whole';
  const when = `${seconds(entry.startMs - start)}-${end}`;
  return `visitor ${entry.visitor} ${when} ${part} ${entry.status} ${entry.body} by ${entry.by || '-'}`;
}
