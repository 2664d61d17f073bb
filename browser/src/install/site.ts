/** Where this site's parts are, from the script's own URL: `<scope>planktos/install.js`, under any prefix. */
const suffix = 'planktos/install.js';

export interface Place {
  /** the site's root, ending in `/` */
  scope: string;
  /** the service worker's script: ours, or the site's own (`data-worker`), which imports ours */
  worker: string;
  ownWorker: boolean;
  engine: string;
}

/** The window as far as this script uses it: everything may be missing. */
export type Page = Window & typeof globalThis;

/** Undefined if no script of this name can be found: it was copied into another. */
export function locate({ document, location, performance }: Page): Place | undefined {
  // A module has no currentScript, and one that was imported has no element either.
  const element = document.currentScript as HTMLScriptElement | null;
  const found = [element, ...document.querySelectorAll<HTMLScriptElement>('script[src]')].find(
    (script) => script && isInstall(script.src),
  );
  const src = found?.src ?? performance.getEntriesByType('resource').find(({ name }) => isInstall(name))?.name;
  if (!src || new URL(src).origin !== location.origin) return undefined;
  const scope = src.slice(0, src.lastIndexOf(suffix));
  const worker = found?.dataset['worker'];
  return {
    scope,
    worker: worker ? new URL(worker, document.baseURI).href : `${scope}planktos.sw.min.js`,
    ownWorker: !!worker,
    engine: `${scope}planktos/engine.min.js`,
  };
}

function isInstall(url: string): boolean {
  return url.split(/[?#]/)[0]!.endsWith(`/${suffix}`);
}

/**
 * What the page fetched, for the worker to take out of the HTTP cache: the document and its resources below the scope,
 * at most `limit` URLs without their fragments.
 */
export function loadedUrls({ location, performance }: Page, scope: string, limit = 500): string[] {
  const urls = [location.href, ...performance.getEntriesByType('resource').map(({ name }) => name)];
  const plain = new Set(urls.map((url) => url.split('#')[0]!));
  return [...plain].filter((url) => url.startsWith(scope)).slice(0, limit);
}
