/**
 * The page shown while a document is had from other visitors, because the origin cannot be reached: it starts the
 * engine as any page does, asks the worker for the document, and reloads itself when the document is in the store.
 */
import type { Site } from './site.ts';
import { clientOf } from './clients.ts';
import { fromPeers, verifiedContent } from './content.ts';

/** Marks the loader's own request. */
export const loaderHeader = 'planktos-load';

const page = (script: string): string => `<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex">
<title>Loading…</title>
<style>
:root { color-scheme: light dark }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 20vh auto; padding: 0 1rem; text-align: center }
button { font: inherit; padding: .4em 1.2em }
</style>
<script src="${script}"></script>
<main>
<p role="status" id="s">The site’s server does not answer. Asking other visitors for this page…</p>
<button id="b" hidden onclick="location.reload()">Try again</button>
</main>
<script>
fetch(location.href, { headers: { '${loaderHeader}': '1' } }).then((r) => {
  if (!r.ok) throw r;
  location.reload();
}).catch(() => {
  s.textContent = 'Neither the site’s server nor another visitor could be reached.';
  b.hidden = false;
  b.focus();
});
</script>
</html>
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
      'content-security-policy': "default-src 'self' 'unsafe-inline'; connect-src *; worker-src 'self'; frame-ancestors 'none'",
    },
  });
}

/** Answers the loader: 200 once the document is in the store, from peers or from an origin that came back; else 504. */
export async function load(site: Site, event: FetchEvent, path: string): Promise<Response> {
  const client = await clientOf(site, event);
  const snapshot = client && site.snapshots.live.get(client.snapshot);
  for (const { row } of snapshot ? await site.snapshots.targets(snapshot, path) : []) {
    const give = (blob: Blob | undefined): Response => (blob ? new Response() : Promise.reject()) as Response;
    const found = await Promise.any([
      fromPeers(site, row, event.clientId, Date.now() - client!.atMs).then(give),
      verifiedContent(site, snapshot!, row).then(give),
    ]).catch(() => undefined);
    if (found) return found;
  }
  return new Response(null, { status: 504 });
}
