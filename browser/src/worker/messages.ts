/** What pages say to the worker, and what the worker owes them. */
import type { Calls, Call, CallReply, Method, PageMessage, Stats, Totals, Welcome } from '../shared/messages.ts';
import { protocol } from '../shared/messages.ts';
import { encodePath, requestPath } from '../shared/manifest.ts';
import { broadcast, clientOfPage, post } from './clients.ts';
import { idOf, take, verify } from './content.ts';
import { ensure, mayHost, settle, summon } from './leader.ts';
import { isWhole } from './origin.ts';
import { probe } from './outage.ts';
import type { Client, Site } from './site.ts';
import type { Snapshot } from './snapshots.ts';
import { isWavering } from './snapshots.ts';
import { isStreaming } from './streams.ts';

/** A page tells of no more than this. */
const loadedLimit = 1000;
/** A page that is looked at, and greets, has a release looked for, if the manifest was not shown for so long. */
const lookMs = 9 * 60_000;
/** The HTTP cache answers at once, or when the page's own request is through. */
const cachedMs = 30_000;

function welcome(site: Site, client: Client | undefined): Welcome {
  const { current, live } = site.snapshots;
  const served = current && client && live.has(client.snapshot);
  const mode = !served ? 'http' : mayHost(site, client) ? 'peers' : 'worker';
  return { mode, snapshot: client?.snapshot ?? '', consent: site.consent, originState: site.originState };
}

/** Permission has changed: running engines end if it is gone, and every page is told. */
export function permissionChanged(site: Site): void {
  for (const [id, client] of site.clients) {
    if (client.canShare === undefined) continue;
    post(id, { type: 'welcome', ...welcome(site, client) });
    if (!mayHost(site, client)) site.engines.stop(id);
  }
  if (!site.engines.size) void summon(site);
}

/** A page that was shown before the origin was heard may have been told of a release before it could listen. */
function tellOld({ snapshots: { current } }: Site, id: string, { snapshot }: Client): void {
  if (current && snapshot !== current.id && !isWavering(current)) post(id, { type: 'update', snapshot: current.id });
}

/** Handles one message. Never rejects. */
export async function hear(site: Site, event: ExtendableMessageEvent): Promise<void> {
  const { id, url = '', visibilityState } = (event.source ?? {}) as Partial<WindowClient>;
  const message = event.data as PageMessage | undefined;
  const [port, bye] = event.ports;
  if (!id || !message) return;
  switch (message.type) {
    case 'hello': {
      const agreed = message.protocol === protocol;
      const isDue = visibilityState === 'visible' && Date.now() - site.shownMs > lookMs;
      if (agreed && !site.snapshots.current) await site.snapshots.validate();
      else if (agreed && isDue) void site.snapshots.validate();
      const client = agreed ? await clientOfPage(site, id) : undefined;
      const isNew = client?.canShare === undefined;
      if (client) Object.assign(client, { canShare: !!message.canShare, gpc: !!message.gpc, seenMs: Date.now() });
      void site.save();
      post(id, { type: 'welcome', ...welcome(site, client) });
      post(id, site.engines.status);
      if (isStreaming()) post(id, { type: 'stream', active: true });
      if (!mayHost(site, client)) site.engines.stop(id);
      void ensure(site);
      if (isNew && client?.early) tellOld(site, id, client);
      // The page was there before the worker.
      if (client && !client.navigated && Array.isArray(message.loaded)) {
        if (isNew) await takeDocument(site, id, client, url).catch(() => {});
        await takeLoaded(site, id, message.loaded.slice(0, loadedLimit));
      }
      return;
    }
    case 'engine':
      if (port && bye && message.protocol === protocol) site.engines.attach(id, port, bye);
      else port?.close();
      return;
    case 'prefetch':
      // Not awaited: a new version takes over only once the messages of the old one are done with.
      if (Array.isArray(message.urls)) void site.prefetch.want(id, message.urls.map(String));
      return;
    case 'probe':
      return probe(site);
    case 'again':
      return void site.late.set(url, {});
    case 'settled':
      post(id, site.engines.status);
      return settle(site);
    case 'release':
      return site.releases.heard(message);
    case 'call':
      try {
        port?.postMessage({ ok: true, value: await call(site, id, message) } satisfies CallReply);
      } catch (error) {
        port?.postMessage({ ok: false, error: String(error) } satisfies CallReply);
      }
      return;
    default:
      // `ping` has done its work by waking the worker.
      message satisfies { type: 'ping' };
  }
}

async function call(site: Site, id: string, { method, args }: Call): Promise<Calls[Method]['result']> {
  const { snapshots, totals } = site;
  switch (method) {
    case 'stats': {
      const base = site.clients.get(id)?.base ?? totals;
      const page = { ...totals };
      for (const key of Object.keys(page) as (keyof Totals)[]) page[key] = Math.max(0, totals[key] - base[key]);
      return { ...totals, page } satisfies Stats;
    }
    case 'update':
      await snapshots.validate();
      return snapshots.current?.id ?? '';
    case 'snapshots':
      return [...snapshots.live.values()].map((each) => ({
        id: each.id,
        firstSeenMs: each.firstSeenMs,
        current: each === snapshots.current,
      }));
    case 'removeSnapshot':
      if (!snapshots.remove(args.id)) return false;
      await site.keeper.sweep();
      return true;
    case 'file': {
      const snapshot = snapshots.live.get((await clientOfPage(site, id)).snapshot);
      const [target] = snapshot ? await snapshots.targets(snapshot, args.path.replace(/^\/+/, '')) : [];
      return target && { url: site.scope + encodePath(target.row[0]), length: target.row[2] };
    }
    case 'consent':
      if (!/^(unset|granted|denied)$/.test(args.consent)) throw new TypeError('consent');
      site.consent = args.consent;
      await site.save();
      permissionChanged(site);
      broadcast({ type: 'consent', state: site.consent });
      return site.consent;
    case 'pause':
      site.paused = !!args.paused;
      await site.save();
      permissionChanged(site);
      return site.paused;
    default:
      throw new TypeError(method satisfies never);
  }
}

/**
 * Takes what a URL has for the snapshot, by default what is not stored yet, from the HTTP cache: whether it had that.
 * Rejects if it has nothing that may be taken.
 */
async function takeUrl(
  site: Site,
  snapshot: Snapshot,
  client: string,
  url: string,
  again = false,
  cache: RequestCache = 'only-if-cached',
): Promise<unknown> {
  const path = requestPath(site.scope, url);
  const rows = path === undefined ? [] : (await site.snapshots.targets(snapshot, path)).map(({ row }) => row);
  const [row] = rows;
  const isStored = row && (await site.store.has(idOf(row)));
  if (!row || (isStored && !again)) return false;
  site.prefetch.giveWay();
  const response = await fetch(url, { cache, mode: 'same-origin', signal: AbortSignal.timeout(cachedMs) });
  if (!isWhole(response)) throw response;
  const blob = await response.blob();
  return isStored ? verify(blob, row) : take(site, blob, { response, rows, snapshot, path, client });
}

/**
 * Takes the document of a page that was there before the worker. Its hash decides which snapshot the page lives on. Of
 * a release that is not known any more it is told of the update, if the origin has the newest's document by now: what
 * the host alters on the way is of no release.
 */
async function takeDocument(site: Site, id: string, client: Client, url: string): Promise<void> {
  const { current, live } = site.snapshots;
  if (!current) return;
  let found: Snapshot | undefined;
  // Of releases that share it, the newest.
  for (const each of [current, ...[...live.values()].reverse()]) {
    if (!found && (await takeUrl(site, each, id, url, true))) found = each;
  }
  if (found && found.id !== client.snapshot) {
    client.snapshot = found.id;
    void site.save();
    post(id, { type: 'welcome', ...welcome(site, client) });
  }
  const isOld = found ? found !== current : await takeUrl(site, current, id, url, true, 'no-cache');
  if (isOld) post(id, { type: 'update', snapshot: current.id });
}

/** Takes what a page fetched before the worker controlled it out of the HTTP cache, without a request. */
export async function takeLoaded(site: Site, client: string, urls: string[]): Promise<void> {
  const snapshot = site.snapshots.live.get((await clientOfPage(site, client)).snapshot);
  if (!snapshot) return;
  for (const url of urls) {
    // Not in the cache: it will be fetched when it is wanted.
    await takeUrl(site, snapshot, client, url).catch(() => {});
  }
}
