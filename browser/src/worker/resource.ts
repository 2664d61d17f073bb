/** Sub-resources: the store, then an engine, then the origin's own path; whatever fails, the next one. */
import type { FileRow } from '../shared/manifest.ts';
import { activeBytes, deadlineMs, engineWaitMs, isActive, outageMs, worthAsking } from '../shared/policy.ts';
import { mediaType } from '../shared/mediatype.ts';
import { ifRangeHolds, parseRange } from '../shared/ranges.ts';
import type { ByteRange } from '../shared/ranges.ts';
import { answer, headersOf, unsatisfiable } from './answers.ts';
import { clientOf, pin, post } from './clients.ts';
import type { Learnt } from './content.ts';
import { fetchCopy, idOf, learn, learnt, received, stored, verifiedContent, verify } from './content.ts';
import type { Delivery } from './engines.ts';
import { capture, isWhole, leaveAlone, lengthDiffers, mismatched, noteSpeed, originFetch, withBody } from './origin.ts';
import { isPrivate } from '../shared/headers.ts';
import type { Client, Site } from './site.ts';
import { rewritten } from './site.ts';
import type { Snapshot } from './snapshots.ts';
import { collect, streamOf } from './streams.ts';

/** One request for a file of a snapshot. */
interface Job {
  event: FetchEvent;
  client: Client;
  snapshot: Snapshot;
  /** the request's path */
  path: string;
  row: FileRow;
  /** what the request may stand for, `row` first */
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
  const { request } = event;
  const client = await clientOf(site, event);
  const snapshot = client && site.snapshots.live.get(client.snapshot);
  // A worker lives on its creator's snapshot.
  if (event.resultingClientId && client) pin(site, event.resultingClientId, client.snapshot);
  if (!client || !snapshot || (site.altered.get(path) ?? 0) >= rewritten) return fetch(request);

  const targets = await site.snapshots.targets(snapshot, path);
  const record = await learnt(site, path);
  const sure = targets.find(({ row, certain }) => certain || (record?.hash === row[1] && record.size === row[2]));
  const row = (sure ?? targets[0])?.row;
  if (!row) return fetch(request);
  const known = record?.hash === row[1] && record.size === row[2] ? record : undefined;
  const etags = new Map(known?.headers);
  const holds = ifRangeHolds(request.headers.get('if-range'), etags.get('etag') ?? null, etags.get('last-modified') ?? null);
  const range = holds ? parseRange(request.headers.get('range'), row[2]) : undefined;
  const active = row[2] <= activeBytes && isActive(mediaType(row[0]), request.destination);
  const rows = targets.map((target) => target.row);
  const job: Job = { event, client, snapshot, path, row, rows, known, range: undefined, active };
  // What the host alone decides is its to answer, while it does.
  if (!sure) return fromOrigin(site, job).catch(async (error) => (await inOutage(site, job)) ?? Promise.reject(error));
  if (range === 'unsatisfiable') return unsatisfiable(row[2]);
  if (range) job.range = range;
  const headers = headersOf(snapshot, row, known);
  const here = !context.test(request.destination) || !!known || snapshot.root.headers.length > 0;
  if (!here) return fromOrigin(site, job);
  if (!row[2]) return answer('', headers, 0);

  const local = await fromStore(site, job);
  if (local) return local;
  if (worthAsking(snapshot.root.policy.prefer, row[2]) || site.snapshots.originDown) {
    const shared = await fromEngine(site, job, site.snapshots.originDown);
    if (shared) return shared;
  }
  let response: Response | undefined;
  try {
    response = await fromOrigin(site, job);
    if (response.status < 500) return response;
  } catch {
    // Out of reach: told below, if nobody else has it.
  }
  return (await inOutage(site, job)) ?? response ?? fetch(request);
}

async function inOutage(site: Site, job: Job): Promise<Response | undefined> {
  return (await fromStore(site, job)) ?? fromEngine(site, job, true);
}

async function fromStore(site: Site, { event, snapshot, row, known, range, active }: Job): Promise<Response | undefined> {
  const blob = await stored(site, row, active);
  if (!blob) return undefined;
  const body = range ? blob.slice(range.start, range.end) : blob;
  site.count('store', body.size);
  post(event.clientId, { type: 'progress', path: row[0], size: row[2], bytes: body.size, source: 'store' });
  return answer(body, headersOf(snapshot, row, known), row[2], range);
}

async function fromEngine(site: Site, job: Job, originDown: boolean): Promise<Response | undefined> {
  const { event, client, snapshot, row, known, range, active } = job;
  if (!site.mayShare()) return undefined;
  const { prefer } = snapshot.root.policy;
  const whole = { start: 0, end: row[2] };
  const wanted = (!active && range) || whole;
  const wish = {
    client: event.clientId,
    deadlineMs: originDown ? outageMs : deadlineMs(prefer, wanted.end - wanted.start, site.speed),
    waitMs: client.canShare === false ? 0 : engineWaitMs(prefer, Date.now() - client.atMs, originDown),
    peersOnly: originDown,
  };
  const delivery = await site.engines.ask(row, wanted, wish);
  if (!delivery) return undefined;
  const headers = headersOf(snapshot, row, known);
  if (!active) {
    const rest = (start: number) => continuation(site, job, { start, end: wanted.end });
    return answer(streamOf(event, event.clientId, continued(delivery, wanted, rest)), headers, row[2], range);
  }
  const blob = await collect(delivery);
  if (!blob || !(await verify(blob, row))) return undefined;
  return answer(range ? blob.slice(range.start, range.end) : blob, headers, row[2], range);
}

/** A delivery that goes on from elsewhere, at the next byte, where it breaks off. */
function continued(first: Delivery, { start, end }: ByteRange, rest: (at: number) => Promise<Delivery | undefined>): Delivery {
  let delivery = first;
  let at = start;
  let cancelled = false;
  return {
    async next() {
      for (;;) {
        try {
          const chunk = await delivery.next();
          at += chunk?.length ?? 0;
          return chunk;
        } catch (error) {
          const other = cancelled || at === end ? undefined : await rest(at);
          if (!other) throw error;
          delivery = other;
          if (cancelled) delivery.cancel();
        }
      }
    },
    cancel() {
      cancelled = true;
      delivery.cancel();
    },
  };
}

/**
 * The rest of a body whose engine failed: from another engine, else out of the whole content, verified. What a page
 * has had already is verified too, so the origin's path may not simply go on: it might have another content by now.
 */
async function continuation(site: Site, { event, snapshot, row }: Job, range: ByteRange): Promise<Delivery | undefined> {
  const { prefer } = snapshot.root.policy;
  const wish = { client: event.clientId, deadlineMs: deadlineMs(prefer, 0, site.speed), waitMs: 1000, peersOnly: false };
  const other = await site.engines.ask(row, range, wish);
  if (other) return other;
  const blob = await verifiedContent(site, snapshot, row, undefined, event.clientId);
  const reader = blob?.slice(range.start, range.end).stream().getReader();
  return (
    reader && {
      next: async () => (await reader.read()).value,
      cancel: () => void reader.cancel(),
    }
  );
}

async function fromOrigin(site: Site, job: Job): Promise<Response> {
  const { event, snapshot, path, row, rows, range, active } = job;
  const { request, clientId: client } = event;
  // A range of what the origin has: its own business, and the media element's, which checks that it stays the same.
  if (request.headers.has('range') && !active) return originFetch(site, request);
  const began = performance.now();
  const response = await originFetch(site, request);
  if (response.status === 200 && isPrivate(response.headers)) {
    leaveAlone(site, path);
    return response;
  }
  const opening = performance.now();
  const known = async (): Promise<Response | undefined> => {
    const copy = await fetchCopy(site, snapshot, row, undefined, client);
    return copy && answer(range ? copy.slice(range.start, range.end) : copy, headersOf(snapshot, row), row[2], range);
  };
  if (!isWhole(response)) {
    // The page's snapshot still has what its path has lost.
    return (response.status === 404 && rows[0] === row && (await known())) || response;
  }
  if (!active) {
    if (lengthDiffers(response, row) && rows.length === 1) {
      await mismatched(site, snapshot, path);
      const copy = await known();
      if (copy) {
        void response.body?.cancel();
        return copy;
      }
    }
    return capture(site, response, { event, snapshot, path, rows, client });
  }
  const blob = await response.blob();
  noteSpeed(site, opening - began, blob.size, performance.now() - opening);
  for (const each of rows) {
    if (!(await verify(blob, each))) continue;
    const kept = await site.store.put(idOf(each), blob);
    await learn(site, path, each, response);
    received(site, each, client, kept);
    return range ? answer(blob.slice(range.start, range.end), new Headers(withBody(response, '').headers), each[2], range) : withBody(response, blob);
  }
  event.waitUntil(mismatched(site, snapshot, path));
  return (await known()) ?? withBody(response, blob);
}
