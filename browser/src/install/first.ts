/**
 * The first-visit snippet, inline at the very top of a page packed with `--first-visit=peers`: before the page asks for
 * anything, it starts the service worker and loads the page anew under it, so that peers can serve the first visit too.
 * Inline, since behind an external script the preload scanner has asked for everything already; `stop()`, since the
 * scanner goes on behind a parser that is only held up, and to give up what it has asked for.
 *
 * Any failure ends in the same reload, which is plain: neither a reloaded page nor a tab that has tried does it again.
 * Where the tab cannot remember (a private window may refuse `sessionStorage`), the page is left alone from the start.
 * The text is the same for every site; the site's base path stands in the element's attribute.
 */
import type { PageMessage } from '../shared/messages.ts';

const scriptMs = 1_500;
/** With the worker's script here, only this browser's own work is left. */
const startMs = 3_000;

try {
  const scope = document.currentScript!.dataset['planktos']!;
  const key = scope + 'planktos';
  const { serviceWorker, connection, globalPrivacyControl } = navigator as Navigator & {
    connection?: { saveData?: boolean };
    globalPrivacyControl?: boolean;
  };
  const [entry] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
  if (
    !serviceWorker.controller &&
    !connection?.saveData &&
    !globalPrivacyControl &&
    window.RTCPeerConnection &&
    entry!.type === 'navigate' &&
    !/[?&]planktos=off\b/.test(location.search) &&
    !sessionStorage[key]
  ) {
    sessionStorage[key] = 1;
    stop();
    const reload = (): void => {
      clearTimeout(timer);
      location.reload();
    };
    let timer = setTimeout(reload, scriptMs);
    // A worker that is there already (the visitor forced a reload, or a site has its own) is not replaced.
    serviceWorker
      .getRegistration(scope)
      .then((known) => known ?? serviceWorker.register(key + '.sw.min.js', { scope, updateViaCache: 'none' }))
      .then(() => {
        clearTimeout(timer);
        timer = setTimeout(reload, startMs);
        return serviceWorker.ready;
      })
      .then(({ active }) => active!.postMessage({ type: 'again' } satisfies PageMessage))
      .then(reload, reload);
  }
} catch {
  // No service workers here, or not for this page.
}
