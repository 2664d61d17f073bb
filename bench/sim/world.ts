/** What a simulated visit meets: a site, an origin, and the other visitors. */
import type { Clock } from './clock.ts';
import type { Link } from './link.ts';
import type { Visitor } from './visitor.ts';

export interface Content {
  bytes: number;
  /** what the origin sends of it: compressed, with headers */
  wire: number;
  /** rendering waits for it */
  urgent: boolean;
}

/** A page: its document, and the contents that it loads in order, as indices into the site's. */
export interface PageView {
  document: number;
  loads: number[];
}

export type System = 'plain' | 'planktos';

export interface Settings {
  system: System;
  prefer: 'speed' | 'offload';
  firstVisit: 'plain' | 'peers';
  /** of the origin, to a request's first byte, ms */
  latencyMs: number;
  /** from a page's start until its engine runs, ms */
  engineMs: number;
  /** what a first visit costs more with `firstVisit: 'peers'`, until the page is loaded anew under the worker, ms */
  takeoverMs: number;
  /** from an engine's start to its first connection and to its last, ms */
  connectMs: [number, number];
  /** connections that a visitor makes, and has at most */
  connections: [number, number];
  /** of pairs that cannot connect, and of visitors without WebRTC, from 0 to 1 */
  unreachable: number;
  without: number;
  /** bytes of runtime and manifest, compressed, that a new visitor is sent */
  runtime: number;
  /** bytes of a revalidation that finds nothing new, headers both ways */
  revalidation: number;
  /** bytes that a page prefetches at most, how long after it is complete it begins (ms), and the links that it shows */
  prefetch: number;
  idleMs: number;
  links: number;
  /** uplinks as [share of visitors, bytes per ms] */
  uplinks: [number, number][];
}

/** A page view that is complete, and the content that came last: where its time went, ms. */
export interface View {
  /** since the page began */
  ms: number;
  /** until the page asked for what it loads */
  documentMs: number;
  /** from then until the last content was begun to be had from somebody */
  stoodMs: number;
  /** and until it was there */
  cameMs: number;
  /** `race`: from the origin after all, having been left to peers */
  from: 'held' | 'origin' | 'peer' | 'race';
}

export interface World {
  clock: Clock;
  random: () => number;
  settings: Settings;
  contents: Content[];
  origin: Link;
  /** where a link leads, besides the one that the visitor takes next */
  link: () => PageView;
  /** those who can be connected to */
  swarm: Visitor[];
  views: View[];
  /** bytes that visitors gave each other */
  shared: number;
}
