/** The project's targets for crowds, as named crowds and what is to be true of them. */
import { defaults } from './options.ts';
import type { Crowd } from './options.ts';
import type { Figures } from './report.ts';

export interface Target {
  what: string;
  /** the figure, and the most that it may be */
  figure(figures: Figures): number;
  most: number;
}

export interface Row {
  name: string;
  crowd: Crowd;
  targets: Target[];
}

const bytes = (most: number): Target => ({ what: 'origin bytes, share of plain', figure: ({ share }) => share, most });
const visit = (most: number): Target => ({ what: 'median visit, share of plain', figure: ({ visit }) => visit, most });
const later = (most: number): Target => ({ what: 'median visit, s after plain', figure: ({ later }) => later, most });
const copies = (most: number): Target => ({ what: 'requests a content', figure: ({ requests }) => requests, most });

const peers: Crowd = { ...defaults, firstVisit: 'peers' };
const offload: Crowd = { ...peers, prefer: 'offload' };
const alone: Crowd = { ...defaults, visitors: 1 };
const fast = 12.5e6;

export const rows: readonly Row[] = [
  { name: 'crowd-offload', crowd: offload, targets: [bytes(0.2), visit(0.6), copies(2)] },
  { name: 'crowd-speed', crowd: peers, targets: [bytes(0.35), visit(0.5)] },
  { name: 'crowd-text', crowd: { ...offload, site: 'text' }, targets: [bytes(0.3)] },
  { name: 'crowd-16', crowd: { ...offload, visitors: 16 }, targets: [bytes(0.13)] },
  { name: 'crowd-leaving', crowd: { ...offload, stayMs: 3_000 }, targets: [bytes(0.35)] },
  { name: 'fast-defaults', crowd: { ...defaults, rate: fast }, targets: [visit(1.1)] },
  { name: 'fast-offload', crowd: { ...offload, rate: fast }, targets: [bytes(0.3), later(1.5)] },
  { name: 'alone', crowd: alone, targets: [visit(1.05)] },
  { name: 'alone-fast', crowd: { ...alone, rate: fast }, targets: [later(0.05)] },
  { name: 'alone-peers', crowd: { ...alone, firstVisit: 'peers' }, targets: [visit(1.3)] },
  { name: 'alone-peers-fast', crowd: { ...alone, firstVisit: 'peers', rate: fast }, targets: [later(0.25)] },
  { name: 'video', crowd: { ...peers, site: 'video', rate: 6.25e6 }, targets: [] },
];

/** The rows that the names mean; `all` is every row that has a target. */
export function named(names: readonly string[]): Row[] {
  return names.flatMap((name) => {
    const found = rows.filter((row) => (name === 'all' ? row.targets.length > 0 : row.name === name));
    if (found.length === 0) throw new Error(`--row ${name}: one of ${rows.map((row) => row.name).join(', ')}, all`);
    return found;
  });
}
