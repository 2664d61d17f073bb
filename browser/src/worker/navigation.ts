/** Navigations: the newest document, from the store where the origin says that it still is, or says nothing. */
import { encodePath } from '../shared/manifest.ts';
import type { HeaderList } from '../shared/headers.ts';
import { lifetimeMs } from '../shared/headers.ts';
import { activeBytes, patienceMs } from '../shared/policy.ts';
import { answer, headersOf, isDocument, withTag } from './answers.ts';
import { pinLater, repin, tidy, visitBegins } from './clients.ts';
import { stored } from './content.ts';
import { loader, scriptsFirst, wait } from './loader.ts';
import { permissionChanged } from './messages.ts';
import { ask, capture } from './origin.ts';
import { endLeft, endWaiting } from './passing.ts';
import type { Site } from './site.ts';
import type { Snapshot } from './snapshots.ts';
import { isAltered } from './site.ts';
import { within } from './streams.ts';

/** Whether the manifest has to be asked for again: a visit begins, the page is reloaded, or it is a while ago. */
function isDue(site: Site, { cache, referrer, url }: Request): boolean {
  // The reload of the loader, or of the first-visit snippet.
  if (site.late.has(url) && site.snapshots.fresh) return false;
  // Going back and forward takes what is there (`force-cache`); every other cache mode but the default is a reload.
  if (cache === 'force-cache') return !site.snapshots.current;
  return cache !== 'default' || !referrer.startsWith(site.scope) || !site.snapshots.fresh;
}

/**
 * Whether a cache would give the path's document without asking: the host lets it for a while, and the document was
 * still the newest when the manifest was shown last.
 */
async function lasts({ known, originState, shownMs }: Site, { cache }: Request, path: string): Promise<boolean> {
  const forMs = lifetimeMs((await known.get(path))?.headers ?? []);
  return cache === 'default' && originState === 'up' && Date.now() - shownMs < forMs;
}

/**
 * Validates for a navigation, and gives its page the newest snapshot: at once if what is shown is `lasting`, and a
 * release is for the navigation after it.
 */
export async function begin(site: Site, event: FetchEvent, lasting?: Promise<boolean>): Promise<void> {
  endLeft();
  // A slow origin does not hold the page back: it begins with the newest snapshot known.
  const validated = isDue(site, event.request) ? within(patienceMs, site.snapshots.validate()) : Promise.resolve();
  const shared = site.mayShare();
  site.saveData = event.request.headers.has('save-data');
  if (await visitBegins()) site.paused = false;
  if (site.mayShare() !== shared) permissionChanged(site);
  event.waitUntil(validated);
  const early = !!(await lasting);
  await pinLater(site, event.resultingClientId, early ? Promise.resolve() : validated, early);
  event.waitUntil(tidy(site));
}

export async function navigation(site: Site, event: FetchEvent, path: string): Promise<Response> {
  const { snapshots } = site;
  const before = snapshots.current;
  const { url } = event.request;
  const holding = documentFor(site, event, path);
  const lasting = Promise.all([holding, lasts(site, event.request, path)]).then((all) => all.every(Boolean));
  const begun = begin(site, event, lasting.catch(() => false));
  const late = site.late.get(url)?.response;
  site.late.delete(url);
  const held = await holding;
  if (held) {
    await begun;
    const same = snapshots.current === before || (await lasting);
    const again = () => (same ? held : documentFor(site, event, path));
    const newest = await (snapshots.stale ? inOutage(site, event, path) : again());
    if (newest) return newest();
  }

  const { current } = snapshots;
  const newest = current && snapshots.peek(current, path)?.map(({ row }) => row);
  const asking = late ? Promise.resolve(late) : ask(site, event, path, newest);
  const answered = asking.catch(() => undefined);
  // What only the host has is waited for as over plain HTTP.
  const theirs = site.theirs.delete(path) || isAltered(site, path);
  const first = await (theirs ? answered : within(patienceMs, answered));
  await begun;
  const fails = !first || first.status >= 500;
  if (fails) snapshots.failing = true;
  // What answers in the origin's name without its manifest may be anybody, and is taken at its word only as a last resort.
  if (fails || (!theirs && site.originState === 'down')) {
    const stored = await inOutage(site, event, path);
    const instead = stored ? stored() : event.request.destination === 'document' && (await loader(site, path));
    if (instead) {
      if (stored || first) {
        endWaiting(event);
        void answered.then((unread) => unread?.body?.cancel());
      } else wait(site, event, answered);
      return instead;
    }
  }

  // The origin's own response: a redirect as a redirect; a document with the tag, and kept if it matches. What is shown
  // or saved by itself, and may take long, the browser reads without us.
  const response = await asking;
  const snapshot = snapshots.current;
  if (!isDocument(response)) return response;
  if (!snapshot || isAltered(site, path)) return withTag(site, response);
  const rows = (await snapshots.targets(snapshot, path)).map(({ row }) => row);
  [snapshot.given] = rows;
  const arrival = { response, rows, snapshot, path, client: event.resultingClientId };
  return withTag(site, await capture(site, event, arrival));
}

/**
 * What is stored for a path in an outage: of the snapshot before the newest, if of that alone the page is whole. Where
 * its scripts are to be had first, the loader.
 */
async function inOutage(site: Site, event: FetchEvent, path: string): Promise<(() => Response) | undefined> {
  const { current, older } = site.snapshots;
  const whole = await documentFor(site, event, path, current, true);
  const found = whole ?? (older && (await documentFor(site, event, path, older)));
  if (found) return found;
  const partly = await documentFor(site, event, path, current);
  const first = partly && scriptsFirst(site, event) && (await loader(site, path));
  return first ? () => first : partly;
}

/**
 * The stored document of the newest snapshot for a path, under the headers the origin gave it or the manifest gives
 * it; to be called if it is used. In an outage also where only habit says which file the path means, and under another
 * document's protection; `whole`: only if what it loads is stored, too.
 */
async function documentFor(
  site: Site,
  { request, resultingClientId }: FetchEvent,
  path: string,
  outage?: Snapshot,
  whole = false,
): Promise<(() => Response) | undefined> {
  const { snapshots } = site;
  const snapshot = outage ?? snapshots.current;
  if (!snapshot) return undefined;
  const record = await site.known.get(path);
  const ruled = snapshot.root.headers.length > 0;
  // The table is not fetched where neither the origin nor the manifest has said what headers the document has.
  if (!outage && !record && !(ruled && snapshots.peek(snapshot, path))) return undefined;
  for (const { row, certain } of await snapshots.targets(snapshot, path)) {
    const known = record?.hash === row[1] && record.size === row[2] ? record : undefined;
    if (!known && !(ruled && certain) && !outage) continue;
    const blob = row[2] ? await stored(site, row, row[2] <= activeBytes) : new Blob();
    if (!blob || (whole && (await snapshots.lacking(snapshot, row))[0])) continue;
    // Relative URLs of a directory's index start from the directory, unless the host gave it without a slash.
    if (!known && row[0] === path + '/index.html') {
      return () => Response.redirect(site.scope + encodePath(path) + '/' + new URL(request.url).search);
    }
    const shield = known ? [] : await site.records.get<HeaderList>('shield');
    return () => {
      snapshot.given = row;
      if (snapshot !== snapshots.current) repin(site, resultingClientId, snapshot.id);
      site.count('store', blob.size);
      return withTag(site, answer(blob, headersOf(site, snapshot, row, known, shield), row[2]));
    };
  }
  return undefined;
}
