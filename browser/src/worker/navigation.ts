/** Navigations: the newest document, from the store where the origin says that it still is, or says nothing. */
import { encodePath } from '../shared/manifest.ts';
import type { FileRow } from '../shared/manifest.ts';
import type { HeaderList } from '../shared/headers.ts';
import { activeBytes, patienceMs } from '../shared/policy.ts';
import { answer, headersOf, withTag } from './answers.ts';
import { pinLater, tidy, visitBegins } from './clients.ts';
import { learnt, stored } from './content.ts';
import { loader } from './loader.ts';
import { ask, capture } from './origin.ts';
import type { Site } from './site.ts';
import { isAltered } from './site.ts';
import { within } from './streams.ts';

/** Whether the manifest has to be asked for again: a visit begins, the page is reloaded, or it is a while ago. */
function isDue(site: Site, { cache, referrer }: Request): boolean {
  // Going back and forward takes what is there (`force-cache`); every other cache mode but the default is a reload.
  if (cache === 'force-cache') return !site.snapshots.current;
  return cache !== 'default' || !referrer.startsWith(site.scope) || !site.snapshots.fresh;
}

/** Validates for a navigation, and gives its page the newest snapshot. */
export async function begin(site: Site, event: FetchEvent): Promise<void> {
  site.saveData = event.request.headers.has('save-data');
  const due = isDue(site, event.request);
  if (await visitBegins()) site.paused = false;
  // A slow origin does not hold the page back: it begins with the newest snapshot known.
  const validated = due ? within(patienceMs, site.snapshots.validate()) : Promise.resolve();
  await pinLater(site, event.resultingClientId, validated);
  event.waitUntil(tidy(site));
}

export async function navigation(site: Site, event: FetchEvent, path: string): Promise<Response> {
  const before = site.snapshots.current;
  const held = before && (await learnt(site, path)) && (await documentFor(site, path));
  const begun = begin(site, event);
  if (held) {
    await begun;
    const newest = site.snapshots.current === before ? held : await documentFor(site, path);
    if (newest) return newest;
  }

  const asking = ask(site, event, path);
  const answered = asking.catch(() => undefined);
  // What only the host has is waited for as over plain HTTP.
  const theirs = site.theirs.delete(path) || isAltered(site, path);
  const first = await (theirs ? answered : within(patienceMs, answered));
  await begun;
  if (!first || first.status >= 500) {
    site.snapshots.originDown = true;
    const instead =
      (await documentFor(site, path, true)) ?? (event.request.destination === 'document' && (await loader(site, path)));
    if (instead) {
      void answered.then((late) => late?.body?.cancel());
      return instead;
    }
  }

  // The origin's own response: a redirect as a redirect; a document with the tag, and kept if it matches.
  const response = await asking;
  const snapshot = site.snapshots.current;
  if (!snapshot || isAltered(site, path)) return withTag(site, response);
  const rows = (await site.snapshots.targets(snapshot, path)).map(({ row }) => row);
  const arrival = { response, rows, snapshot, path, client: event.resultingClientId };
  return withTag(site, await capture(site, event, path, arrival));
}

/**
 * The stored document of the newest snapshot for a path, under the headers the origin gave it or the manifest gives
 * it. In an outage also where only habit says which file the path means, and under another document's protection.
 */
async function documentFor(site: Site, path: string, outage = false): Promise<Response | undefined> {
  const snapshot = site.snapshots.current;
  if (!snapshot) return undefined;
  const record = await learnt(site, path);
  for (const { row, certain } of await site.snapshots.targets(snapshot, path)) {
    const known = record?.hash === row[1] && record.size === row[2] ? record : undefined;
    const ruled = certain && snapshot.root.headers.length > 0;
    if (!known && !ruled && !outage) continue;
    const blob = row[2] ? await stored(site, row, row[2] <= activeBytes) : new Blob();
    if (!blob) continue;
    // Relative URLs of a directory's index start from the directory.
    if (isIndexOf(row, path)) return Response.redirect(site.scope + encodePath(path) + '/');
    site.count('store', blob.size);
    const shield = known ? [] : await site.records.get<HeaderList>('shield');
    return withTag(site, answer(blob, headersOf(snapshot, row, known, shield), row[2]));
  }
  return undefined;
}

const isIndexOf = ([file]: FileRow, path: string): boolean => file === path + '/index.html';
