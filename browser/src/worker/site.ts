/** What the worker knows of its site: opened once a start, and passed to everything that handles a request. */
import type { Consent, OriginState, Totals } from '../shared/messages.ts';
import { Health } from '../shared/health.ts';
import { isDisabled, parseRoot } from '../shared/manifest.ts';
import { protocol } from '../shared/messages.ts';
import { crashLoop, mayShare, unmeasured } from '../shared/policy.ts';
import type { OriginSpeed } from '../shared/policy.ts';
import type { Store } from '../store/store.ts';
import { openStore } from '../store/store.ts';
import { Engines } from './engines.ts';
import { Keeper } from './keeper.ts';
import { Prefetch } from './prefetch.ts';
import type { HeaderList } from '../shared/headers.ts';
import { Records } from './records.ts';
import type { Table } from './records.ts';
import { Releases } from './releases.ts';
import { fetchManifest, Snapshots } from './snapshots.ts';
import { gathered } from './streams.ts';
import { Turns } from './turns.ts';

/** A page (or frame, or worker) that this worker serves. */
export interface Client {
  /** id of the snapshot it was loaded from; empty: leave it to the network */
  snapshot: string;
  /** when it began, ms since the epoch */
  atMs: number;
  /** when it was last known to be there, if later */
  seenMs?: number;
  /** the totals then */
  base: Totals;
  /** whether it began under this worker */
  navigated?: boolean;
  /** whether it was shown before the origin was heard */
  early?: boolean;
  /** what its `hello` said */
  canShare?: boolean;
  gpc?: boolean;
  /** bytes that were prefetched for it */
  prefetched?: number;
}

/** What the origin sent with a path, and the content that it sent. */
export interface Learnt {
  hash: string;
  size: number;
  headers: HeaderList;
}

/** An answer that takes long; without one, the manifest just had will do for the URL next. */
export interface Late {
  /** undefined: it failed */
  coming?: Promise<Response | undefined>;
  /** once it has come */
  response?: Response | undefined;
}

/** Of more paths nothing is known: the origin is asked for them again. */
const knownPaths = 2000;
const saveMs = 100;
/** A page asks for many paths at once: what is learnt and counted of them is written afterwards. */
const burstMs = 1000;

/** A path whose bytes differed this often goes straight to the network, until the next snapshot. */
export const rewritten = 2;
export const isAltered = (site: Site, path: string): boolean => (site.altered.get(path) ?? 0) >= rewritten;

/** What of a site is kept across restarts of the worker as it is. */
const lasting = ['originState', 'shownMs', 'consent', 'paused', 'totals', 'speed', 'goneMs', 'swept'] as const;
type Lasting = Pick<Site, (typeof lasting)[number]>;
const lastingOf = (from: Lasting): Lasting =>
  Object.fromEntries(lasting.map((key) => [key, from[key]])) as unknown as Lasting;

export class Site {
  /** the site's root URL, ending in `/` */
  readonly scope: string;
  /** whether the worker's script is Planktos' own, rather than a site's that imports it */
  readonly own: boolean;
  readonly records: Records;
  /** by path */
  readonly known: Table<Learnt>;
  readonly snapshots: Snapshots;
  readonly releases: Releases;
  readonly engines: Engines;
  readonly turns: Turns;
  readonly prefetch: Prefetch;
  /** of the hosts that carry the site, by their root URLs */
  readonly health = new Health();
  store!: Store;
  keeper!: Keeper;
  /** the worker is on its way out */
  left = false;
  /** what the visitor's last request said of saving data */
  saveData = false;

  // Kept across restarts of the worker:
  originState: OriginState = 'up';
  /** when the origin last showed the manifest, ms since the epoch */
  shownMs = 0;
  consent: Consent = 'unset';
  paused = false;
  totals: Totals = { origin: 0, peers: 0, store: 0, uploaded: 0 };
  speed: OriginSpeed = unmeasured;
  clients = new Map<string, Client>();
  /** paths whose bytes the host altered, and how often it did under the current snapshot */
  altered = new Map<string, number>();
  /** by a document's URL, what the origin may yet answer that was not waited for; see loader.ts */
  late = new Map<string, Late>();
  /** paths that the origin is to answer alone, the next time a page is opened there */
  theirs = new Set<string>();
  /** when worker and manifest were first seen to be gone, ms since the epoch; 0 while they are there */
  goneMs = 0;
  /** the last sweep of the store, and the sum of `totals` then */
  swept = { atMs: Date.now(), bytes: 0 };

  constructor(scope: string, own: boolean) {
    this.scope = scope;
    this.own = own;
    this.records = new Records(scope);
    this.known = this.records.table('known', burstMs, knownPaths);
    this.snapshots = new Snapshots(this);
    this.releases = new Releases(this);
    this.engines = new Engines(this);
    this.turns = new Turns(this);
    this.prefetch = new Prefetch(this);
  }

  /** Opens what is stored. Undefined if this script keeps failing at it: then all is plain HTTP. */
  static async open(scope: string, own: boolean): Promise<Site | undefined> {
    const site = new Site(scope, own);
    const { records, snapshots } = site;
    const [starts = [], kept] = await Promise.all([
      records.get<number[]>('starts'),
      records.get<ReturnType<Site['persistent']>>('state'),
    ]);
    if (crashLoop(starts)) return undefined;
    let noted: Promise<void> | undefined;
    let loading: Promise<void> | undefined;
    try {
      if (kept?.protocol === protocol) {
        Object.assign(site, lastingOf(kept));
        site.releases.load(kept.releases);
        site.clients = new Map(kept.clients);
        site.altered = new Map(kept.altered);
        loading = snapshots.load(kept.current, kept.proven);
        void site.known.rows();
      }
    } finally {
      // After what is read was asked for: a cache's writes hold its reads up.
      noted = records.set('starts', [...starts.slice(-2), Date.now()]);
    }
    [site.store] = await Promise.all([openStore(scope), loading]);
    site.keeper = new Keeper(site);
    if (kept && kept.protocol !== protocol) {
      // Of another version, whose records nobody here can read. A refusal stays one; contents are known by their hash.
      await records.clear();
      if (kept.consent === 'denied') site.consent = 'denied';
      site.swept.atMs = 0;
      await records.set('state', site.persistent());
    }
    void noted.then(() => records.set('starts', []));
    return site;
  }

  /** Gives a new version of the script its own chance. */
  static forgetStarts(scope: string): Promise<void> {
    return new Records(scope).set('starts', []);
  }

  /**
   * Of a script that has switched itself off: whether the site has another release since, or has disabled Planktos. Then
   * it gets its chance, and is not to go on with the release that it knew.
   */
  static async released(scope: string): Promise<boolean> {
    const records = new Records(scope);
    const kept = await records.get<ReturnType<Site['persistent']>>('state');
    const text = await (await fetchManifest(scope)).text();
    const current = isDisabled(text) ? 'disabled' : parseRoot(text).snapshot;
    if (current === kept?.current) return false;
    await records.set('state', { ...kept, current });
    await Site.forgetStarts(scope);
    return true;
  }

  persistent() {
    const { current: { id: current } = {}, proven } = this.snapshots;
    const { state: releases } = this.releases;
    const [clients, altered] = [[...this.clients], [...this.altered]];
    return { protocol, current, proven, ...lastingOf(this), releases, clients, altered };
  }

  /** Writes the state soon; what changes meanwhile goes along. */
  save: () => Promise<void> = gathered(saveMs, () => this.records.set('state', this.persistent()));

  /** Whether this visitor may share, as far as policy and will go. */
  mayShare(): boolean {
    const policy = this.snapshots.current?.root.policy;
    const { connection, globalPrivacyControl: gpc } = navigator as {
      connection?: { saveData?: boolean };
      globalPrivacyControl?: boolean;
    };
    const saveData = this.saveData || !!connection?.saveData;
    return !!policy && mayShare(policy.mode, this.consent, { saveData, gpc: !!gpc, paused: this.paused });
  }

  /** Counts payload that was given to a page, or taken into the store. */
  count(source: 'origin' | 'peers' | 'store', bytes: number): void {
    this.totals[source] += bytes;
    void this.counted();
  }

  /** The totals have changed: they are written after a burst. */
  counted: () => Promise<void> = gathered(burstMs, () => this.save());
}
