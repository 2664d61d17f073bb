/**
 * Which snapshot each page lives on. A page keeps the snapshot it was loaded from; what the browser introduces later
 * (frames of srcdoc, blob workers: ids never seen before) inherits it by its referrer, then from the only live one.
 */
import type { Posted, WorkerMessage } from '../shared/messages.ts';
import type { Client, Site } from './site.ts';
import { within } from './streams.ts';

declare const self: ServiceWorkerGlobalScope;

/**
 * A client that was there within this time is not taken for dead: its id is known before its page is, and it may be in
 * the back/forward cache (10 minutes in Chromium), and has greeted some 20 minutes before that at the longest.
 */
const graceMs = 30 * 60 * 1000;
/** how long the browser may take to list its clients */
const listMs = 100;

/** Pins that wait for the manifest. */
const pending = new Map<string, Promise<unknown>>();

const posted = (message: WorkerMessage): Posted => {
  const { type, ...detail } = message;
  let set = {};
  let hear = /^(engine|stream|origin)$/.test(type);
  if (message.type === 'status') set = detail;
  if (message.type === 'origin') set = { originState: message.state };
  if (message.type === 'welcome') {
    const { mode, snapshot, originState } = message;
    set = { snapshot, originState };
    hear = mode === 'peers' || originState === 'down';
  }
  return { planktos: type, detail, set, hear } as Posted;
};

/** A message, or what makes it when it is said: browsers take their time to find a page, and not the same for each. */
type Saying = WorkerMessage | (() => WorkerMessage);
const said = (saying: Saying): Posted => posted(typeof saying === 'function' ? saying() : saying);

/** Says a message to a page. Pages without install.js, and those gone, do not hear it. */
export function post(id: string, message: Saying): void {
  void self.clients.get(id).then((client) => client?.postMessage(said(message)), () => {});
}

/** `except` goes into the back/forward cache, where a message would end it. */
export function broadcast(message: Saying, except?: string): void {
  void self.clients.matchAll().then((all) => {
    for (const client of all) if (client.id !== except) client.postMessage(said(message));
  });
}

/** Sets the snapshot of a client; the empty string leaves it to the network. */
export function pin(site: Site, id: string, snapshot = ''): Client {
  const client: Client = { snapshot, atMs: Date.now(), base: { ...site.totals } };
  if (id) {
    site.clients.set(id, client);
    void site.save();
  }
  return client;
}

/** Pins a client as soon as the newest snapshot is known. */
export async function pinLater(site: Site, id: string, validated: Promise<unknown>, early: boolean): Promise<void> {
  const pinned = validated.then(() => {
    Object.assign(pin(site, id, site.snapshots.current?.id), { navigated: true, early });
  });
  pending.set(id, pinned);
  await pinned.finally(() => pending.delete(id));
}

/** Gives a page that has just begun another snapshot. */
export function repin(site: Site, id: string, snapshot: string): void {
  const client = site.clients.get(id);
  if (client) client.snapshot = snapshot;
  void site.save();
}

/** The client that a request comes from. */
export async function clientOf(site: Site, event: FetchEvent): Promise<Client | undefined> {
  const id = event.clientId;
  await pending.get(id);
  const known = site.clients.get(id);
  if (known) return known;
  const snapshot = (await byReferrer(site, event.request.referrer)) ?? onlyOne(site);
  return snapshot === undefined ? undefined : pin(site, id, snapshot);
}

/** The client of a page that speaks. One that was there before the worker lives on the newest snapshot. */
export async function clientOfPage(site: Site, id: string): Promise<Client> {
  await pending.get(id);
  return site.clients.get(id) ?? pin(site, id, site.snapshots.current?.id);
}

async function byReferrer(site: Site, referrer: string): Promise<string | undefined> {
  if (!referrer) return undefined;
  // Firefox does not list a worker that waits for a script: nor is it waited for.
  const all = (await within(listMs, self.clients.matchAll({ type: 'all' }))) ?? [];
  const found = all.find(({ id, url }) => site.clients.has(id) && url.replace(/#.*/s, '') === referrer);
  return found && site.clients.get(found.id)!.snapshot;
}

/** The only snapshot in use; a page that was there before the worker lives on the newest, if no other is in use. */
function onlyOne(site: Site): string | undefined {
  const { live, current } = site.snapshots;
  const [only] = live.keys();
  return live.size === 1 && current ? only : undefined;
}

/** Forgets clients that are gone, and the snapshots that only they used. */
export async function tidy(site: Site): Promise<void> {
  const alive = new Set((await self.clients.matchAll({ type: 'all', includeUncontrolled: true })).map(({ id }) => id));
  for (const [id, client] of site.clients) {
    if (alive.has(id)) client.seenMs = Date.now();
    else if (Date.now() - (client.seenMs ?? client.atMs) > graceMs) site.clients.delete(id);
  }
  void site.save();
  // Not awaited: a new version takes over only once the events of the old one are done with.
  void site.keeper.tidy().catch(() => {});
}

/** Whether no page of the site is open: a navigation now begins a visit. */
export async function visitBegins(): Promise<boolean> {
  return !(await self.clients.matchAll({ type: 'window' })).length;
}
