/** A page's first steps: registration, the greeting, and `window.planktos`. Every visit pays for every byte here. */
import type { Planktos } from '../page/planktos.d.ts';
import { protocol, type EngineModule, type Mode, type PageMessage, type Posted, type Welcome } from '../shared/messages.ts';

/** Of a browser's wishes, what the type library does not know. */
type Wishful = Navigator & { connection?: Partial<EventTarget> & { saveData?: boolean }; globalPrivacyControl?: boolean };

/** A message, which may be a welcome. */
type Told = Posted & { detail: Partial<Welcome> };

/**
 * Where everything is follows from the script's own URL, `<scope>planktos/install.js`. `data-worker` names the site's
 * own service worker, which imports ours. Never throws: whatever is missing, the page is as over plain HTTP.
 */
export function install(
  page: Window & typeof globalThis,
  script: HTMLScriptElement,
  load: (url: string) => Promise<EngineModule>,
): Planktos {
  // Beside the function, their names would be part of the script.
  /** The page's own work goes first, but it does not wait for an image that never comes. */
  const registerAfterMs = 5_000;
  /** A worker that is there and has not taken this page by then will not: the visitor forced a reload. */
  const claimMs = 2_000;
  const readyMs = 30_000;
  /** A page greets anew after this, and up to as long again, so that its worker looks for a release. */
  const greetMs = 600_000;

  const url = (path: string): string => new URL(path, script.src).href;
  const lazily =
    (method: string) =>
    async (...args: unknown[]): Promise<unknown> =>
      (await load(url('engine.min.js'))).call(planktos, method, args);

  let settle!: (mode: Mode) => void;
  const consent: Record<string, unknown> = { state: 'unset' };
  const planktos = Object.assign<EventTarget, Record<string, unknown>>(new EventTarget(), {
    ready: new Promise<Mode>((resolve) => (settle = resolve)),
    connections: 0,
    snapshot: '',
    originState: 'up',
    consent,
  });
  for (const method of ['stats', 'pause', 'resume', 'getFile', 'fetch', 'update', 'getAllSnapshots', 'removeSnapshot']) {
    planktos[method] = lazily(method);
  }
  for (const method of ['grant', 'deny', 'revoke']) consent[method] = lazily(method);

  const navigator: Wishful = page.navigator;
  let container: ServiceWorkerContainer | undefined;
  const settlePlain = (): void => {
    if (!container?.controller) settle('http');
  };
  const start = async (): Promise<void> => {
    if (/[?&]planktos=off\b/.test(page.location.search)) throw 0;
    const { serviceWorker } = navigator; // a sandboxed frame may not even look at it
    container = serviceWorker;
    const greet = (): void => {
      serviceWorker.controller?.postMessage({
        type: 'hello',
        protocol,
        canShare: page.RTCPeerConnection && !navigator.connection?.saveData,
        gpc: navigator.globalPrivacyControl,
        loaded: page.performance.getEntriesByType('resource').map((each) => each.name),
      } satisfies PageMessage);
    };
    serviceWorker.addEventListener('message', ({ data }: MessageEvent<Told | undefined>) => {
      if (data?.planktos) {
        Object.assign(planktos, data.set);
        if (data.detail.mode) {
          consent['state'] = data.detail.consent;
          settle(data.detail.mode);
        }
        if (data.hear) lazily('hear')(data).catch(() => {}); // it will be said again
        planktos.dispatchEvent(new CustomEvent<unknown>(data.planktos, data));
      }
    });
    serviceWorker.addEventListener('controllerchange', greet);
    serviceWorker.startMessages();
    // After `load`, and back from the back/forward cache.
    page.addEventListener('pageshow', greet);
    // Save-Data may come and go.
    navigator.connection?.addEventListener?.('change', greet);
    greet();
    setTimeout(settle, readyMs, 'http');
    setInterval(greet, greetMs * (1 + Math.random()));

    await new Promise((resolve) => {
      page.addEventListener('load', resolve);
      setTimeout(resolve, page.document.readyState === 'complete' ? 0 : registerAfterMs);
    });
    const scope = url('..');
    const own = script.dataset['worker'];
    const worker = own ?? url('../planktos.sw.min.js');
    const existing = await serviceWorker.getRegistration(scope);
    const running = existing?.active ?? existing?.installing;
    // A site's own worker is not replaced; it can import ours.
    if (!own && running && existing!.scope === scope && running.scriptURL !== worker) throw 0;
    const { active, installing } = await serviceWorker.register(worker, { scope, updateViaCache: 'none' });
    if (active) setTimeout(settlePlain, claimMs);
    // None comes into being where the site has disabled Planktos, and one that went may be in control until then.
    else installing?.addEventListener('statechange', () => installing.state === 'redundant' && settle('http'));
  };
  start().catch(settlePlain);
  return planktos as unknown as Planktos;
}
