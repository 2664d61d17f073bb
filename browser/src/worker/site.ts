/** What the worker knows of its site: opened once a start, and passed to everything that handles a request. */
import type { Consent, Totals } from '../shared/messages.ts';
import { protocol } from '../shared/messages.ts';
import { crashLoop, mayShare, unmeasured } from '../shared/policy.ts';
import type { OriginSpeed } from '../shared/policy.ts';
import type { Store } from '../store/store.ts';
import { openStore } from '../store/store.ts';
import { Engines } from './engines.ts';
import { Records } from './records.ts';
import { Snapshots } from './snapshots.ts';

/** A page (or frame, or worker) that this worker serves. */
export interface Client {
  /** id of the snapshot it was loaded from; empty: leave it to the network */
  snapshot: string;
  /** when it began, ms since the epoch */
  atMs: number;
  /** the totals then */
  base: Totals;
  /** whether it can run an engine, as its `hello` said */
  canShare?: boolean;
}

/** A path whose bytes differed this often goes straight to the network, until the next snapshot. */
export const rewritten = 2;
export const isAltered = (site: Site, path: string): boolean => (site.altered.get(path) ?? 0) >= rewritten;

export class Site {
  /** the site's root URL, ending in `/` */
  readonly scope: string;
  /** whether the worker's script is Planktos' own, rather than a site's that imports it */
  readonly own: boolean;
  readonly records: Records;
  readonly snapshots: Snapshots;
  readonly engines: Engines;
  store!: Store;
  /** what the visitor's last request said of saving data */
  saveData = false;

  // Kept across restarts of the worker:
  consent: Consent = 'unset';
  paused = false;
  totals: Totals = { origin: 0, peers: 0, store: 0, uploaded: 0 };
  speed: OriginSpeed = unmeasured;
  clients = new Map<string, Client>();
  /** paths whose bytes the host altered, and how often it did under the current snapshot */
  altered = new Map<string, number>();
  /** paths that the origin is to answer alone, the next time a page is opened there */
  theirs = new Set<string>();
  /** when worker and manifest were first seen to be gone, ms since the epoch; 0 while they are there */
  goneMs = 0;
  #saving: Promise<void> | undefined;

  constructor(scope: string, own: boolean) {
    this.scope = scope;
    this.own = own;
    this.records = new Records(scope);
    this.snapshots = new Snapshots(this);
    this.engines = new Engines(this);
  }

  /** Opens what is stored. Undefined if this script keeps failing at it: then all is plain HTTP. */
  static async open(scope: string, own: boolean): Promise<Site | undefined> {
    const site = new Site(scope, own);
    const starts = (await site.records.get<number[]>('starts')) ?? [];
    if (crashLoop(starts)) return undefined;
    const noted = site.records.set('starts', [...starts.slice(-2), Date.now()]);
    site.store = await openStore(scope);
    const kept = await site.records.get<ReturnType<Site['persistent']>>('state');
    if (kept?.protocol === protocol) {
      const { consent, paused, totals, speed, goneMs } = kept;
      Object.assign(site, { consent, paused, totals, speed, goneMs });
      site.clients = new Map(kept.clients);
      site.altered = new Map(kept.altered);
      await site.snapshots.load(kept.current);
    } else if (kept) {
      // Of another version, which nobody here can read.
      await site.records.clear();
      await site.store.clear();
    }
    void noted.then(() => site.records.delete('starts'));
    return site;
  }

  /** Gives a new version of the script its own chance. */
  static async forgetStarts(scope: string): Promise<void> {
    await new Records(scope).delete('starts');
  }

  persistent() {
    const { consent, paused, totals, speed, goneMs } = this;
    const current = this.snapshots.current?.id;
    const clients = [...this.clients];
    return { protocol, current, consent, paused, totals, speed, goneMs, clients, altered: [...this.altered] };
  }

  /** Writes the state soon; what changes meanwhile goes along. */
  save(): Promise<void> {
    return (this.#saving ??= new Promise<void>((resolve) => setTimeout(resolve, 100)).then(() => {
      this.#saving = undefined;
      return this.records.set('state', this.persistent());
    }));
  }

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
    void this.save();
  }
}
