/**
 * The page shown while a document is had from other visitors, because the origin cannot be reached: it starts the
 * engine as any page does, asks the worker for the document, and reloads itself when the document is in the store.
 */
import type { Site } from './site.ts';
import { clientOf } from './clients.ts';
import { fromPeers, idOf, verifiedContent } from './content.ts';

/** Marks the loader's own request. */
export const loaderHeader = 'planktos-load';

const page = (script: string): string => `<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Loading…</title>
<style>
:root { color-scheme: light dark }
main { font: 1.1rem/1.5 system-ui; max-width: 26rem; margin: 25vh auto; padding: 0 1rem }
button { font: inherit; padding: .5em 1em }
progress { width: 100% }
[hidden] { display: none }
</style>
<main>
<p role="status" id="s">This site’s server does not answer. Asking other visitors for the page…</p>
<progress id="p" aria-label="Loading"></progress>
<button id="b" hidden onclick="location.reload()">Try again</button>
</main>
<script>
fetch('', { headers: { '${loaderHeader}': '1' } }).then((r) => {
  if (!r.ok) throw r;
  location.reload();
}).catch(() => {
  document.title = s.textContent = 'Neither this site’s server nor another visitor could be reached.';
  p.hidden = !(b.hidden = false);
  b.focus();
});
</script>
<script src="${script}"></script>
`;

/** The loader, if peers may have a document for this path. */
export async function loader(site: Site, path: string): Promise<Response | undefined> {
  const { current } = site.snapshots;
  if (!current || !site.mayShare() || !(await site.snapshots.targets(current, path)).length) return undefined;
  return new Response(page(new URL(site.scope).pathname + 'planktos/install.js'), {
    status: 503,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      // Nothing of the site is in it, and nobody may frame it.
      'content-security-policy':
        "default-src 'self' 'unsafe-inline'; connect-src *; worker-src 'self'; frame-ancestors 'none'",
    },
  });
}

/** Answers the loader: 200 once the document is in the store, or the origin is back, so that it can reload; else 504. */
export async function load(site: Site, event: FetchEvent, path: string): Promise<Response> {
  const client = await clientOf(site, event);
  const snapshot = client && site.snapshots.live.get(client.snapshot);
  for (const { row } of snapshot ? await site.snapshots.targets(snapshot, path) : []) {
    // What could not be stored would bring the loader again, for ever.
    const give = async (blob: Blob | undefined): Promise<Response> =>
      blob && (await site.store.has(idOf(row))) ? new Response() : Promise.reject();
    const found = await Promise.any([
      fromPeers(site, row, event.clientId, Date.now() - client!.atMs).then(give),
      verifiedContent(site, snapshot!, row).then(give),
    ]).catch(() => undefined);
    if (found) return found;
  }
  // The origin did answer, but with what is not for the store: the page waits for it, however slow it is.
  const { originDown } = site.snapshots;
  if (!originDown) site.theirs.add(path);
  return new Response(null, { status: originDown ? 504 : 200 });
}
