/** Sub-resources: the store, then an engine, then the origin's own path; whatever fails, the next one. */
import type { FileRow } from '../shared/manifest.ts';
import { activeBytes, budget, isActive, patienceMs, worthAsking } from '../shared/policy.ts';
import { mediaType } from '../shared/mediatype.ts';
import { ifRangeHolds, parseRange } from '../shared/ranges.ts';
import type { ByteRange } from '../shared/ranges.ts';
import { answer, headersOf, unsatisfiable, withBody } from './answers.ts';
import { clientOf, pin, post } from './clients.ts';
import type { Arrival, Learnt } from './content.ts';
import { fetchCopy, learnt, stored, take, verifiedContent, verify } from './content.ts';
import { ask, capture, isWhole, mismatched, noteSpeed } from './origin.ts';
import type { Client, Site } from './site.ts';
import { isAltered } from './site.ts';
import type { Snapshot } from './snapshots.ts';
import type { Delivery } from './streams.ts';
import { collect, cut, deliveryOf, streamOf, within } from './streams.ts';

/** One request for a file of a snapshot. */
interface Job {
  event: FetchEvent;
  client: Client;
  /** when it began, by `performance.now()` */
  beganMs: number;
  snapshot: Snapshot;
  /** the request's path */
  path: string;
  row: FileRow;
  /** what the request may stand for, `row` among it */
  rows: FileRow[];
  /** what the origin sent with this path, if it was this content */
  known: Learnt | undefined;
  range: ByteRange | undefined;
  /** verified as a whole before any of it is delivered */
  active: boolean;
}

/** Destinations that get an execution context of their own, with the response's policies. */
const context = /^(document|i?frame|object|embed|.*worker)$/;

export async function resource(site: Site, event: FetchEvent, path: string): Promise<Response> {
  const beganMs = performance.now();
  const { headers, destination } = event.request;
  const client = await clientOf(site, event);
  const snapshot = client && site.snapshots.live.get(client.snapshot);
  // A worker lives on its creator's snapshot.
  if (event.resultingClientId && client) pin(site, event.resultingClientId, client.snapshot);
  if (!client || !snapshot || isAltered(site, path)) return fetch(event.request);

  const targets = await site.snapshots.targets(snapshot, path);
  const record = await learnt(site, path);
  const isKnown = (row: FileRow): boolean => record?.hash === row[1] && record.size === row[2];
  const sure = targets.find(({ row, certain }) => certain || isKnown(row));
  const row = (sure ?? targets[0])?.row;
  if (!row) return fetch(event.request);
  const known = isKnown(row) ? record : undefined;
  const fields = new Map(known?.headers);
  const holds = ifRangeHolds(headers.get('if-range'), fields.get('etag'), fields.get('last-modified'));
  const range = sure && holds ? parseRange(headers.get('range'), row[2]) : undefined;
  if (range === 'unsatisfiable') return unsatisfiable(row[2]);
  const active = row[2] <= activeBytes && isActive(mediaType(row[0]), destination);
  const rows = targets.map((target) => target.row);
  const job: Job = { event, client, beganMs, snapshot, path, row, rows, known, range, active };

  // What only the host decides, and a context whose policies only the host knows, is its to answer while it does.
  const theirs = !sure || (context.test(destination) && !known && !snapshot.root.headers.length);
  if (!theirs) {
    if (!row[2]) return give(job, new Blob());
    const here = (await fromStore(site, job)) ?? (await fromEngine(site, job, false));
    if (here) return here;
  }
  return fromOriginOrPeers(site, job);
}

/** The origin, and whoever else has the content once the origin fails, is known to be failing, or says nothing. */
async function fromOriginOrPeers(site: Site, job: Job): Promise<Response> {
  let failed: Response | undefined;
  const origin = fromOrigin(site, job).then((response) => {
    if (response.status < 500) return response;
    throw (failed = response);
  });
  const down = site.snapshots.originDown;
  const others = async (): Promise<Response> =>
    (!down && (await within(patienceMs, origin.catch(() => undefined)))) ||
    ((await fromStore(site, job)) ??
      (await fromCopy(site, job, [])) ??
      (await fromEngine(site, job, true)) ??
      Promise.reject(failed));
  const both = [origin, others()];
  const first = await Promise.any(both).catch(() => failed ?? origin);
  for (const each of both) each.then((other) => (other === first ? undefined : other.body?.cancel())).catch(() => {});
  return first;
}

/** The job's answer, out of the whole content. */
function give({ snapshot, row, known, range }: Job, content: Blob): Response {
  const body = range ? content.slice(range.start, range.end) : content;
  return answer(body, headersOf(snapshot, row, known), row[2], range);
}

async function fromStore(site: Site, job: Job): Promise<Response | undefined> {
  const { row, range, event, active } = job;
  const blob = await stored(site, row, active);
  if (!blob) return undefined;
  const bytes = range ? range.end - range.start : row[2];
  site.count('store', bytes);
  post(event.clientId, { type: 'progress', path: row[0], size: row[2], bytes, source: 'store' });
  return give(job, blob);
}

async function fromCopy(site: Site, job: Job, hosts?: string[]): Promise<Response | undefined> {
  const blob = await fetchCopy(site, job.snapshot, job.row, job.event.clientId, hosts);
  return blob && give(job, blob);
}

async function fromEngine(site: Site, job: Job, down: boolean): Promise<Response | undefined> {
  const { event, client, beganMs, snapshot, row, known, range, active } = job;
  const { prefer } = snapshot.root.policy;
  if (!down && (site.snapshots.originDown || !worthAsking(prefer, row[2]))) return undefined;
  const wanted = (!active && range) || { start: 0, end: row[2] };
  // A page that cannot run an engine is as one that has had its time to.
  const age = client.canShare === false ? Infinity : Date.now() - client.atMs;
  const allowed = budget(prefer, wanted.end - wanted.start, site.speed, age, down);
  const wish = { ...allowed, client: event.clientId, beganMs: down ? performance.now() : beganMs, peersOnly: down };
  const delivery = await site.engines.ask(row, wanted, wish);
  if (!delivery) return undefined;
  if (active) {
    const blob = await collect(delivery, wish.beganMs + allowed.doneMs - performance.now());
    return blob && (await verify(blob, row)) ? give(job, blob) : undefined;
  }
  const rest = async (at: number): Promise<Delivery | undefined> => {
    const blob = await verifiedContent(site, snapshot, row, event.clientId);
    return blob && deliveryOf(blob.slice(at, wanted.end).stream());
  };
  const body = streamOf(event, event.clientId, continued(delivery, wanted.start, rest));
  return answer(body, headersOf(snapshot, row, known), row[2], range);
}

/**
 * A delivery that goes on from elsewhere, at the next byte, where it breaks off. What a page has had already is
 * verified, so the rest has to be: the origin's path may have another content by now.
 */
function continued(first: Delivery, start: number, rest: (at: number) => Promise<Delivery | undefined>): Delivery {
  let delivery = first;
  let at = start;
  let last = false;
  return {
    async next() {
      let chunk: Uint8Array<ArrayBuffer> | undefined;
      try {
        chunk = await delivery.next();
      } catch (error) {
        const other = last ? undefined : await rest(at);
        if (!other) throw error;
        last = true;
        delivery = other;
        chunk = await delivery.next();
      }
      at += chunk?.length ?? 0;
      return chunk;
    },
    cancel() {
      last = true;
      delivery.cancel();
    },
  };
}

async function fromOrigin(site: Site, job: Job): Promise<Response> {
  const { event, snapshot, path, row, rows, range, active } = job;
  const client = event.clientId;
  const askedMs = performance.now();
  const response = await ask(site, event, path);
  const length = response.headers.has('content-encoding') ? null : response.headers.get('content-length');
  // A range of what the origin has: its own business, and the media element's, which checks that it stays the same.
  if (event.request.headers.has('range') && !active) {
    // A host that knows no ranges sends the whole: the range is cut out of it as it passes.
    const cuttable = range && response.status === 200 && response.body && Number(length) === row[2];
    if (!cuttable) return response;
    const part = cut(deliveryOf(response.body as ReadableStream<Uint8Array<ArrayBuffer>>), range);
    return answer(streamOf(event, client, part), new Headers(response.headers), row[2], range);
  }
  const openedMs = performance.now();
  if (!isWhole(response)) {
    // The page's snapshot still has what its path has lost.
    return (response.status === 404 && rows[0] === row && (await fromCopy(site, job))) || response;
  }
  const arrival: Arrival = { response, rows, snapshot, path, client };
  if (!active) {
    const other = length && rows.every(([, , size]) => size !== Number(length));
    if (!other) return capture(site, event, path, arrival);
    await mismatched(site, snapshot, path);
    return (await fromCopy(site, job)) ?? response;
  }
  const blob = await response.blob();
  noteSpeed(site, openedMs - askedMs, blob.size, performance.now() - openedMs);
  const match = await take(site, blob, arrival);
  if (!match) {
    event.waitUntil(mismatched(site, snapshot, path));
    return (await fromCopy(site, job)) ?? withBody(response, blob);
  }
  if (!range) return withBody(response, blob);
  return answer(blob.slice(range.start, range.end), withBody(response, '').headers, match[2], range);
}
