/** What pages say to the worker, and what the worker owes them. */
import type { Calls, Call, CallReply, Method, PageMessage, Stats, Totals, Welcome } from '../shared/messages.ts';
import { protocol } from '../shared/messages.ts';
import { encodePath, requestPath } from '../shared/manifest.ts';
import { clientOfPage, post } from './clients.ts';
import { idOf, take } from './content.ts';
import { isWhole } from './origin.ts';
import type { Client, Site } from './site.ts';

/** A page tells of no more than this. */
const loadedLimit = 1000;
/** The HTTP cache answers at once, or when the page's own request is through. */
const cachedMs = 30_000;

function welcome(site: Site, client: Client | undefined): Welcome {
  const { current, live } = site.snapshots;
  const engine = !!client?.snapshot && !!client.canShare && site.mayShare();
  const mode = !current || !client || !live.has(client.snapshot) ? 'http' : engine ? 'peers' : 'worker';
  return { mode, snapshot: client?.snapshot ?? '', consent: site.consent, engine };
}

/** Permission has changed: running engines end if it is gone, and every page is told. */
export function permissionChanged(site: Site): void {
  if (!site.mayShare()) site.engines.close();
  for (const [id, client] of site.clients) {
    if (client.canShare !== undefined) post(id, { type: 'welcome', ...welcome(site, client) });
  }
}

/** Handles one message. Never rejects. */
export async function hear(site: Site, event: ExtendableMessageEvent): Promise<void> {
  const id = (event.source as { id?: string } | null)?.id;
  const message = event.data as PageMessage | undefined;
  const [port] = event.ports;
  if (!id || !message) return;
  switch (message.type) {
    case 'hello': {
      const agreed = message.protocol === protocol;
      if (agreed && !site.snapshots.current) await site.snapshots.validate();
      const client = agreed ? await clientOfPage(site, id) : undefined;
      if (client) client.canShare = message.canShare;
      void site.save();
      port?.postMessage(welcome(site, client));
      post(id, { type: 'status', connections: site.engines.connections });
      return;
    }
    case 'engine':
      if (port && message.protocol === protocol) site.engines.attach(id, port);
      else port?.close();
      return;
    case 'bye':
      return site.engines.detach(id);
    case 'loaded':
      if (Array.isArray(message.urls)) await takeLoaded(site, id, message.urls.slice(0, loadedLimit));
      return;
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
      return snapshots.remove(args.id);
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

/** Takes what a page fetched before the worker controlled it out of the HTTP cache, without a request. */
async function takeLoaded(site: Site, client: string, urls: string[]): Promise<void> {
  const snapshot = site.snapshots.live.get((await clientOfPage(site, client)).snapshot);
  if (!snapshot) return;
  for (const url of urls) {
    try {
      const path = requestPath(site.scope, url);
      const rows = path === undefined ? [] : (await site.snapshots.targets(snapshot, path)).map(({ row }) => row);
      if (!rows[0] || (await site.store.has(idOf(rows[0])))) continue;
      const signal = AbortSignal.timeout(cachedMs);
      const response = await fetch(url, { cache: 'only-if-cached', mode: 'same-origin', signal });
      if (isWhole(response)) await take(site, await response.blob(), { response, rows, snapshot, path, client });
    } catch {
      // Not in the cache: it will be fetched when it is wanted.
    }
  }
}
