/** The scenarios: a crowd that comes at once, and an ordinary day. */
import { Clock, exponential, logNormal, randomFrom } from './clock.ts';
import { Link } from './link.ts';
import { Visitor } from './visitor.ts';
import type { Content, PageView, Settings, View, World } from './world.ts';

export interface Outcome {
  visitors: number;
  originBytes: number;
  /** bytes that visitors gave each other */
  shared: number;
  views: View[];
}

/** Headers of a request's response, bytes. */
const headers = 350;

/** Times as measured on real browsers; uplinks as households have them. */
const defaults: Settings = {
  system: 'planktos',
  prefer: 'speed',
  firstVisit: 'peers',
  latencyMs: 50,
  engineMs: 300,
  takeoverMs: 400,
  connectMs: [400, 900],
  connections: [8, 30],
  unreachable: 0.2,
  without: 0.05,
  runtime: 48_000,
  revalidation: 400,
  prefetch: 2_000_000,
  idleMs: 2000,
  links: 10,
  uplinks: [
    [0.35, 600],
    [0.35, 1250],
    [0.2, 2500],
    [0.1, 6000],
  ],
};

/** Lets visitors arrive at a site. */
function simulate(
  contents: Content[],
  originRate: number,
  settings: Settings,
  seed: number,
  /** arrivals, ms from the start: each visit's pages and how long it looks at each */
  arrivals: (random: () => number) => { atMs: number; views: PageView[]; thinkMs: number[] }[],
  link?: (random: () => number) => PageView,
): Outcome {
  const clock = new Clock();
  const random = randomFrom(seed);
  // Arrivals are drawn from a generator of their own: the same for every system.
  const coming = arrivals(randomFrom(seed + 1));
  const origin = new Link(clock, originRate);
  const outcome = { swarm: [], views: [], shared: 0 };
  const world: World = { clock, random, settings, contents, origin, link: () => link!(random), ...outcome };
  for (const { atMs, views, thinkMs } of coming) clock.at(atMs, () => new Visitor(world, views, thinkMs));
  clock.run();
  return { visitors: coming.length, originBytes: origin.sent, shared: world.shared, views: world.views };
}

/**
 * A link is posted somewhere: the rate of arrivals is highest at once, and falls by a factor of e in two minutes. One
 * page with 40 pictures, 4 MB; an origin of 100 Mbit/s; visitors stay for 40 s (median) after the page is there.
 */
export function crowd(visitors: number, settings: Partial<Settings>, seed: number): Outcome {
  const contents: Content[] = [{ bytes: 20_000, wire: 5_000, urgent: false }];
  for (let i = 0; i < 40; i++) contents.push({ bytes: 100_000, wire: 100_000 + headers, urgent: i < 2 });
  const view: PageView = { document: 0, loads: contents.map((_, i) => i).slice(1) };
  return simulate(contents, 12_500, { ...defaults, ...settings }, seed, (random) =>
    Array.from({ length: visitors }, () => ({
      atMs: 120_000 * exponential(random),
      views: [view],
      thinkMs: [logNormal(random, 40_000, 1)],
    })),
  );
}

/** The crowd of `make bench-crowd`: visitors at a set spacing at 40 files, 4 MB, who stay; uplinks of 5 MB/s. */
export function spaced(
  visitors: number,
  spacingMs: number,
  originRate: number,
  settings: Partial<Settings>,
  seed: number,
): Outcome {
  const contents: Content[] = [{ bytes: 4_000, wire: 1_500, urgent: false }];
  for (let i = 0; i < 40; i++) contents.push({ bytes: 100_000, wire: 100_000 + headers, urgent: false });
  const view: PageView = { document: 0, loads: contents.map((_, i) => i).slice(1) };
  const world = { ...defaults, unreachable: 0, without: 0, uplinks: [[1, 5000]] as [number, number][], ...settings };
  return simulate(contents, originRate, world, seed, () =>
    Array.from({ length: visitors }, (_, i) => ({ atMs: i * spacingMs, views: [view], thinkMs: [3_600_000] })),
  );
}

const pages = 3000;
const shared = 8;
const ownImages = 4;

/**
 * Four hours of an ordinary day of a site of 3,000 pages, which are as popular as Zipf has it: a visitor every 10 s, who
 * stays a minute and sees three pages. Text is compressed on the way from the origin; all pages share style sheets and
 * scripts that the browser's own cache keeps. A fifth of pairs cannot connect, three visitors of ten have no WebRTC.
 */
export function day(settings: Partial<Settings>, seed: number): Outcome {
  const contents: Content[] = [];
  const add = (bytes: number, ratio: number, urgent = false): number =>
    contents.push({ bytes, wire: bytes * ratio + headers, urgent }) - 1;
  const sizes = randomFrom(seed + 2);
  const common = Array.from({ length: shared }, (_, i) => add(40_000, 0.27, i < 4));
  const views: PageView[] = Array.from({ length: pages }, () => ({
    document: add(30_000, 0.25),
    loads: [...common, ...Array.from({ length: ownImages }, () => add(logNormal(sizes, 40_000, 0.8), 1))],
  }));
  const popularity: number[] = [];
  let total = 0;
  for (let rank = 1; rank <= pages; rank++) popularity.push((total += 1 / rank));
  const pick = (random: () => number): PageView => {
    const at = random() * total;
    let low = 0;
    for (let high = pages - 1; low < high; ) {
      const middle = (low + high) >> 1;
      if (popularity[middle]! < at) low = middle + 1;
      else high = middle;
    }
    return views[low]!;
  };
  const world = { ...defaults, without: 0.3, ...settings };
  return simulate(contents, 12_500, world, seed, (random) => {
    const visits = [];
    for (let atMs = 0; atMs < 4 * 3_600_000; atMs += 10_000 * exponential(random)) {
      const seen = Array.from({ length: 3 }, () => pick(random));
      visits.push({ atMs, views: seen, thinkMs: seen.map(() => 20_000 * exponential(random)) });
    }
    return visits;
  }, pick);
}
