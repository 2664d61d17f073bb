/**
 * The page shown while a document is had from other visitors, because the origin cannot be reached: it starts the
 * engine as any page does, asks the worker for the document, now and then again, and reloads itself when the document is
 * in the store. The scripts and style sheets that it loads come first, if anybody has them: a browser may start no engine
 * while a page waits for them (`importsLast`), which then would wait for an engine.
 */
import type { FileRow } from '../shared/manifest.ts';
import { outageMs } from '../shared/policy.ts';
import type { Late, Site } from './site.ts';
import { clientOf } from './clients.ts';
import { fetchCopy, fromPeers, idOf, verifiedContent } from './content.ts';
import { firstOf, within } from './streams.ts';

/** Answers that are waited for, at the most. */
const maxLate = 4;
const settleMs = 300;
/** Marks the loader's own request. */
export const loaderHeader = 'planktos-load';

/** Documents, by their URL, that are shown next however little is stored of what they load. */
const ready = new Set<string>();

/** Whether a stored document whose scripts are not stored is to wait for them in the loader; asked once a navigation. */
export const scriptsFirst = ({ snapshots, turns }: Site, { request }: FetchEvent): boolean =>
  !ready.delete(request.url) && turns.importsLast && snapshots.originDown && request.destination === 'document';

const page = (script: string): string => `<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Loading…</title>
<style>
:root { color-scheme: light dark; font: 1.1rem/1.5 system-ui; max-width: 26rem; margin: 25vh auto; padding: 0 1rem }
button { font: inherit }
</style>
<p role="status">This site’s server does not answer. Asking other visitors… <progress></progress></p>
<button hidden onclick="location.reload()">Try again</button>
<script>
const [text, button] = document.body.children;
const load = () => fetch('', { headers: { '${loaderHeader}': 1 } }).then((r) => {
  if (!r.ok) throw r;
  location.reload();
}).catch(() => {
  document.title = text.textContent = 'Neither this site’s server nor another visitor could be reached.';
  if (button.hidden) button.hidden = false, button.focus();
  setTimeout(load, 5e3 + 1e4 * Math.random());
});
load();
</script>
<script src="${script}"></script>
`;

/** The loader, if peers may have a document for this path. */
export async function loader(site: Site, path: string): Promise<Response | undefined> {
  const { current } = site.snapshots;
  if (!current || !(site.mayShare() || current.root.webSeeds[0]) || !(await site.snapshots.targets(current, path)).length) return undefined;
  return new Response(page(new URL(site.scope).pathname + 'planktos/install.js'), {
    status: 503,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      // Nothing of the site is in it, and nobody may frame it.
      'content-security-policy': "default-src 'self' 'unsafe-inline'; connect-src *; frame-ancestors 'none'",
    },
  });
}

/** Keeps what the origin may yet answer for the loader, and for the page's reload. */
export function wait(site: Site, event: FetchEvent, answered: Promise<Response | undefined>): void {
  const late: Late = { coming: answered };
  event.waitUntil(answered.then((response) => (late.response = response)));
  // A page that was left does not come for it.
  for (const [url, { coming }] of site.late) {
    if (site.late.size < maxLate) break;
    site.late.delete(url);
    void coming?.then((unread) => unread?.body?.cancel());
  }
  site.late.set(event.request.url, late);
}

/** Answers the loader: 200 once the document is in the store, or the origin is back, so that it can reload; else 504. */
export async function load(site: Site, event: FetchEvent, path: string): Promise<Response> {
  const { snapshots, store, late } = site;
  const { url } = event.request;
  const client = await clientOf(site, event);
  const own = client && snapshots.live.get(client.snapshot);
  const coming = late.get(url)?.coming;
  const answers = async (): Promise<Response | undefined> => {
    const response = await coming;
    if (!response || response.status >= 500) return undefined;
    // The manifest was asked for at the same time.
    await within(settleMs, snapshots.settled());
    return new Response();
  };
  for (const snapshot of own ? [own, snapshots.older] : []) {
    for (const { row } of snapshot ? await snapshots.targets(snapshot, path) : []) {
      const others = (each: FileRow): Promise<Blob | undefined>[] => [
        fromPeers(site, snapshot!, each, event.clientId, Date.now() - client!.atMs),
        fetchCopy(site, snapshot!, each, '', []),
      ];
      // What could not be stored would bring the loader again, for ever.
      const give = async (had: Promise<Blob | undefined>): Promise<Response | undefined> =>
        (await had) && (await store.has(idOf(row))) ? new Response() : undefined;
      const found = await firstOf([
        ...others(row).map(give),
        answers().then((answer) => answer ?? give(verifiedContent(site, snapshot!, row))),
      ]);
      if (!found) continue;
      // Who has the document is likely to have them; otherwise they are not waited for.
      const lacking = snapshots.originDown ? await snapshots.lacking(snapshot!, row) : [];
      await within(outageMs, Promise.all(lacking.map((each) => firstOf(others(each)))));
      ready.add(url);
      return found;
    }
  }
  // The origin did answer, but with what is not for the store: the page waits for it, however slow it is.
  const { failing } = snapshots;
  if (!failing) site.theirs.add(path);
  return new Response(null, { status: failing ? 504 : 200 });
}
