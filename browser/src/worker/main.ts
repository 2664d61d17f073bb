/**
 * The service worker. It answers plain GETs of its own scope for files of the manifest, and leaves everything else to
 * the browser; what fails in it ends in the ordinary fetch that the page would have made.
 *
 * It can also be imported by a site's own worker (`importScripts`): it adds listeners and nothing else, lets a listener
 * that answered first have the request, and leaves the worker's life cycle to the site.
 */
import { requestPath } from '../shared/manifest.ts';
import { outageMs, patienceMs } from '../shared/policy.ts';
import { pin, tidy } from './clients.ts';
import { summon } from './leader.ts';
import { load, loaderHeader } from './loader.ts';
import { hear, takeLoaded } from './messages.ts';
import { begin, navigation } from './navigation.ts';
import { removeOriginal } from './original.ts';
import { resource } from './resource.ts';
import { isRuntimeScript, keepScripts, runtimeScript } from './runtime.ts';
import { Site } from './site.ts';
import { askManifest } from './snapshots.ts';
import { hedged, within } from './streams.ts';

declare const self: ServiceWorkerGlobalScope;

interface Route {
  /** decided synchronously, by what is in memory */
  canHandle(site: Site, event: FetchEvent, path: string): boolean;
  handle(site: Site, event: FetchEvent, path: string): Promise<Response>;
}

/** How long the documents of open pages may take to come from the HTTP cache before the worker begins. */
const takeMs = 100;

const isRuntime = (path: string): boolean => /^planktos(\/|$|\.sw\.min\.js$)/.test(path);

/** In order: the first that can handle a request does. */
const routes: Route[] = [
  { canHandle: (_, __, path) => isRuntimeScript(path), handle: runtimeScript },
  { canHandle: (_, { request }) => request.headers.has(loaderHeader), handle: load },
  {
    canHandle: (site, { request }, path) => request.mode === 'navigate' && !site.snapshots.knowsNot(path),
    handle: navigation,
  },
  {
    canHandle: (site, { request, clientId }, path) =>
      request.mode !== 'navigate' && site.clients.get(clientId)?.snapshot !== '' && !site.snapshots.knowsNot(path),
    handle: resource,
  },
];

const routeFor = (of: Site, event: FetchEvent, path: string): Route | undefined =>
  routes.find((each) => each.canHandle(of, event, path));

const { scope } = self.registration;
const own = self.location.pathname.endsWith('/planktos.sw.min.js');
let site: Site | undefined;
/** Set when this script cannot start: every request is the browser's. */
let off = false;
let opening = open();

async function open(): Promise<Site | undefined> {
  site = await Site.open(scope, own).catch(() => undefined);
  off = !site;
  // After a restart pages still have their engines, and the worker no port to them.
  if (site) void summon(site);
  else void retry().catch(() => {});
  return site;
}

/**
 * A script that has switched itself off looks, whenever it is started and with each navigation, for the release that is
 * its next chance.
 */
async function retry(): Promise<void> {
  if (!(await Site.released(scope)) || !off) return;
  off = false;
  opening = open();
}

/** Whether a request is one that the worker may look at at all. */
function isPlain({ method, url, headers, cache }: Request): boolean {
  const bypasses = headers.has('authorization') || /^(no-store|reload|only-if-cached)$/.test(cache);
  return method === 'GET' && url.startsWith(scope) && !bypasses;
}

self.addEventListener('fetch', (event) => {
  const { request } = event;
  site?.prefetch.giveWay();
  const path = requestPath(scope, request.url);
  const navigates = request.mode === 'navigate';
  // Requests keep it running, however long.
  if (off && navigates) event.waitUntil(retry().catch(() => {}));
  if (off || path === undefined || isRuntime(path) && !isRuntimeScript(path)) return;
  if (navigates && new URL(request.url).searchParams.get('planktos') === 'off') {
    return event.waitUntil(opening.then((opened) => opened && pin(opened, event.resultingClientId)));
  }
  const route = site && routeFor(site, event, path);
  if (!isPlain(request) || (site && !route)) {
    // The page is the origin's own; what it loads is of the newest snapshot all the same.
    if (navigates) event.waitUntil(opening.then((opened) => opened && begin(opened, event)));
    return;
  }
  if (!site && navigates && request.cache !== 'force-cache') askManifest(scope);
  let settle: (response: Promise<Response>) => void = () => {};
  try {
    event.respondWith(new Promise<Response>((resolve) => (settle = resolve)));
  } catch {
    return; // A listener of the site's own worker was first.
  }
  settle(handle(event, path).catch(() => fetch(request)));
});

async function handle(event: FetchEvent, path: string): Promise<Response> {
  const opened = site ?? (await within(patienceMs, opening));
  const route = opened && routeFor(opened, event, path);
  if (route) return route.handle(opened, event, path);
  if (opened && event.request.mode === 'navigate') event.waitUntil(begin(opened, event));
  return opened ? fetch(event.request) : plainly(event, path);
}

/** What the browser itself would fetch; or, if the origin does not answer, what is stored, once that is open. */
async function plainly(event: FetchEvent, path: string): Promise<Response> {
  const fetched = fetch(event.request);
  const given = async () => (await within(outageMs, opening)) && handle(event, path);
  return (await hedged(patienceMs, [() => fetched, given])) ?? fetched;
}

self.addEventListener('message', (event) => {
  event.waitUntil(opening.then((opened) => opened && hear(opened, event)).catch(() => {}));
});

/** What the worker would leave to the browser anyway does not wake it, where the browser can route by itself. */
function route(event: ExtendableEvent): void {
  const ours = new URL(scope).pathname.replace(/[^\w/]/g, '\\$&') + 'planktos/*';
  const rules = [
    { condition: { not: { requestMethod: 'GET' } }, source: 'network' },
    { condition: { urlPattern: ours + '.js' }, source: 'fetch-event' },
    { condition: { urlPattern: ours }, source: 'network' },
  ];
  // Static Routing API; not yet in the type library.
  (event as { addRoutes?(all: typeof rules): Promise<void> }).addRoutes?.(rules).catch(() => {});
}

self.addEventListener('install', (event) => {
  if (own) void self.skipWaiting();
  const prepare = async (): Promise<void> => {
    if (own) route(event);
    // A new version of the script starts with a clean slate.
    if (!(await opening)) {
      await Site.forgetStarts(scope);
      await (opening = open());
    }
    if (!site) return;
    const validated = site.snapshots.validate();
    // Not waited for: a first visitor may be waiting for the worker.
    keepScripts(site);
    await validated;
    // The first-visit snippet is about to load its page anew.
    for (const { url } of await self.clients.matchAll({ includeUncontrolled: true })) {
      await within(takeMs, takeLoaded(site, '', [url]));
    }
  };
  // Of a site that is rid of Planktos, no worker comes into being.
  event.waitUntil(prepare().catch(() => {}).then(() => site?.left && Promise.reject()));
});

self.addEventListener('activate', (event) => {
  const begin = async (): Promise<void> => {
    if (own) await self.clients.claim();
    await removeOriginal();
    const opened = await opening;
    // Requests wait for what is awaited here.
    if (opened) void tidy(opened);
  };
  event.waitUntil(begin().catch(() => {}));
});
