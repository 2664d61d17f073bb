/**
 * The service worker. It answers plain GETs of its own scope for files of the manifest, and leaves everything else to
 * the browser; what fails in it ends in the ordinary fetch that the page would have made.
 *
 * It can also be imported by a site's own worker (`importScripts`): it adds listeners and nothing else, lets a listener
 * that answered first have the request, and leaves the worker's life cycle to the site.
 */
import { requestPath } from '../shared/manifest.ts';
import { patienceMs } from '../shared/policy.ts';
import { broadcast, pin, tidy } from './clients.ts';
import { load, loaderHeader } from './loader.ts';
import { hear } from './messages.ts';
import { begin, navigation } from './navigation.ts';
import { resource } from './resource.ts';
import { isRuntimeScript, keepScripts, runtimeScript } from './runtime.ts';
import { Site } from './site.ts';
import { within } from './streams.ts';
import { removeOriginal } from './wayout.ts';

declare const self: ServiceWorkerGlobalScope;

interface Route {
  name: string;
  /** decided synchronously, by what is in memory */
  canHandle(site: Site, event: FetchEvent, path: string): boolean;
  handle(site: Site, event: FetchEvent, path: string): Promise<Response>;
}

const isRuntime = (path: string): boolean => /^planktos(\/|$|\.sw\.min\.js$)/.test(path);

/** In order: the first that can handle a request does. */
const routes: Route[] = [
  { name: 'runtime script', canHandle: (_, __, path) => isRuntimeScript(path), handle: runtimeScript },
  { name: 'loader', canHandle: (_, { request }) => request.headers.has(loaderHeader), handle: load },
  {
    name: 'navigation',
    canHandle: (site, { request }, path) => request.mode === 'navigate' && !site.snapshots.knowsNot(path),
    handle: navigation,
  },
  {
    name: 'resource',
    canHandle: (site, { request, clientId }, path) =>
      request.mode !== 'navigate' && site.clients.get(clientId)?.snapshot !== '' && !site.snapshots.knowsNot(path),
    handle: resource,
  },
];

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
  if (site?.mayShare()) broadcast({ type: 'engine?' });
  return site;
}

/** Whether a request is one that the worker may look at at all. */
function isPlain({ method, url, headers, cache }: Request): boolean {
  const bypasses = headers.has('authorization') || /^(no-store|reload|only-if-cached)$/.test(cache);
  return method === 'GET' && url.startsWith(scope) && !bypasses;
}

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const path = requestPath(scope, request.url);
  if (off || path === undefined || isRuntime(path) && !isRuntimeScript(path)) return;
  const navigates = request.mode === 'navigate';
  if (navigates && new URL(request.url).searchParams.get('planktos') === 'off') {
    return event.waitUntil(opening.then((opened) => opened && pin(opened, event.resultingClientId)));
  }
  const route = site && routes.find((each) => each.canHandle(site!, event, path));
  if (!isPlain(request) || (site && !route)) {
    // The page is the origin's own; what it loads is of the newest snapshot all the same.
    if (navigates) event.waitUntil(opening.then((opened) => opened && begin(opened, event)));
    return;
  }
  let settle: (response: Promise<Response>) => void = () => {};
  try {
    event.respondWith(new Promise<Response>((resolve) => (settle = resolve)));
  } catch {
    return; // A listener of the site's own worker was first.
  }
  settle(handle(event, path, route).catch(() => fetch(request)));
});

async function handle(event: FetchEvent, path: string, known: Route | undefined): Promise<Response> {
  const opened = site ?? (await within(patienceMs, opening));
  const route = known ?? (opened && routes.find((each) => each.canHandle(opened, event, path)));
  if (opened && route) return route.handle(opened, event, path);
  if (opened && event.request.mode === 'navigate') event.waitUntil(begin(opened, event));
  return fetch(event.request);
}

self.addEventListener('message', (event) => {
  event.waitUntil(opening.then((opened) => opened && hear(opened, event)).catch(() => {}));
});

self.addEventListener('install', (event) => {
  if (own) void self.skipWaiting();
  const prepare = async (): Promise<void> => {
    let opened = await opening;
    // A new version of the script starts with a clean slate.
    if (!opened) {
      await Site.forgetStarts(scope);
      opened = await (opening = open());
    }
    if (opened) await Promise.all([keepScripts(opened), opened.snapshots.validate()]);
  };
  event.waitUntil(prepare().catch(() => {}));
});

self.addEventListener('activate', (event) => {
  const begin = async (): Promise<void> => {
    if (own) await self.clients.claim();
    await removeOriginal();
    const opened = await opening;
    if (!opened) return;
    await opened.store.sweep();
    await tidy(opened);
  };
  event.waitUntil(begin().catch(() => {}));
});
