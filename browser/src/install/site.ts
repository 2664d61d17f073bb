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
  const elements = [element, ...document.querySelectorAll<HTMLScriptElement>('script[src]')];
  const found = elements.find((script) => script?.src && isInstall(script.src));
  const src = found?.src ?? performance.getEntriesByType('resource').find(({ name }) => isInstall(name))?.name;
  if (!src) return undefined;
  const { origin, pathname } = new URL(src);
  if (origin !== location.origin) return undefined;
  const scope = origin + pathname.slice(0, -suffix.length);
  const worker = found?.dataset['worker'];
  return {
    scope,
    worker: worker ? new URL(worker, document.baseURI).href : `${scope}planktos.sw.min.js`,
    ownWorker: !!worker,
    engine: `${scope}planktos/engine.min.js`,
  };
}

function isInstall(url: string): boolean {
  return url.split(/[?#]/, 1)[0]!.endsWith(`/${suffix}`);
}

/**
 * What the page fetched, for the worker to take out of the HTTP cache: the document and its resources below the scope,
 * at most `limit` URLs without their fragments.
 */
export function loadedUrls({ location, performance }: Page, scope: string, limit = 500): string[] {
  const urls = new Set<string>();
  for (const url of [location.href, ...performance.getEntriesByType('resource').map(({ name }) => name)]) {
    const plain = url.split('#', 1)[0]!;
    if (plain.startsWith(scope) && urls.size < limit) urls.add(plain);
  }
  return [...urls];
}
