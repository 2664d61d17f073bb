/** Sub-resources: the store, then an engine, then the origin's own path; whatever fails, the next one. */
import { typeOf } from '../shared/manifest.ts';
import type { FileRow } from '../shared/manifest.ts';
import { activeBytes, engineStartMs, isActive, offloadMs, outageMs } from '../shared/policy.ts';
import { patienceMs, wholeBytes, worthAsking } from '../shared/policy.ts';
import type { HeaderList } from '../shared/headers.ts';
import { ifRangeHolds, parseRange } from '../shared/ranges.ts';
import type { ByteRange } from '../shared/ranges.ts';
import type { Data } from '../store/writer.ts';
import { put } from '../store/writer.ts';
import { answer, headersOf, unsatisfiable, withBody } from './answers.ts';
import { clientOf, pin, post } from './clients.ts';
import type { Arrival } from './content.ts';
import { anyhow, fetchCopy, hashOf, idOf, recognise, stored, verifiedContent, verify } from './content.ts';
import { fromCopies } from './copies.ts';
import type { Wish } from './engines.ts';
import { ask, capture, isPublic, isWhole, meter, mismatched } from './origin.ts';
import { endWaiting, passOn } from './passing.ts';
import type { Client, Learnt, Site } from './site.ts';
import { isAltered } from './site.ts';
import type { Snapshot } from './snapshots.ts';
import type { Delivery } from './streams.ts';
import { collect, cut, deliveryOf, hedged, streamOf, within } from './streams.ts';
import type { Turn } from './turns.ts';

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
  /** verified as a whole before any of it is delivered, wherever it comes from */
  active: boolean;
  /** had as a whole before any of it is delivered */
  whole: boolean;
  /** its turn at the origin, if it had to wait for one */
  turn?: Turn;
  /** the origin has answered with something else, and without its manifest */
  doubtful?: boolean;
  /** what the origin has answered with is being kept */
  keeping?: boolean;
}

/** How often a request of an origin that hangs is made to others. */
const maxRounds = 4;

/** Destinations that get an execution context of their own, with the response's policies. */
const context = /^(document|i?frame|object|embed|.*worker)$/;

export async function resource(site: Site, event: FetchEvent, path: string): Promise<Response> {
  const beganMs = performance.now();
  const { headers, destination } = event.request;
  const client = await clientOf(site, event);
  const snapshot = client && site.snapshots.live.get(client.snapshot);
  // A worker lives on its creator's snapshot.
  if (event.resultingClientId && client) pin(site, event.resultingClientId, client.snapshot);
  if (!client || !snapshot || isAltered(site, path)) return passOn(site, event);

  const [targets, record] = await Promise.all([site.snapshots.targets(snapshot, path), site.known.get(path)]);
  const isKnown = (row: FileRow): boolean => record?.hash === row[1] && record.size === row[2];
  const sure = targets.find(({ row, certain }) => certain || isKnown(row));
  const row = (sure ?? targets[0])?.row;
  if (!row) return passOn(site, event);
  const known = isKnown(row) ? record : undefined;
  const fields = new Map(known?.headers);
  const holds = ifRangeHolds(headers.get('if-range'), fields.get('etag'), fields.get('last-modified'));
  const range = sure && holds ? parseRange(headers.get('range'), row[2]) : undefined;
  if (range === 'unsatisfiable') return unsatisfiable(row[2]);
  const active = row[2] <= activeBytes && isActive(typeOf(snapshot.root, row[0]), destination);
  const whole = active || (!!sure && row[2] <= wholeBytes && !headers.has('range'));
  const rows = targets.map((target) => target.row);
  const job: Job = { event, client, beganMs, snapshot, path, row, rows, known, range, active, whole };

  // What only the host decides, and a context whose policies only the host knows, is its to answer while it does.
  const theirs = !sure || (context.test(destination) && !known && !snapshot.root.headers.length);
  if (!theirs) {
    if (!row[2]) return give(site, job, new Blob());
    const held = await fromStore(site, job);
    if (held) count(site, job);
    const here = held ?? (await inTurn(site, job));
    if (here) return here;
  }
  event.request.signal.throwIfAborted();
  return fromOriginOrPeers(site, job);
}

/** The origin, and whoever else has the content once the origin fails, is known to be failing, or says nothing. */
async function fromOriginOrPeers(site: Site, job: Job): Promise<Response> {
  const { signal } = job.event.request;
  let failed: Response | undefined;
  let held: Response | undefined;
  const speaks = async (): Promise<Response> => {
    const response = await fromOrigin(site, job);
    if (response.status < 500 && !job.doubtful) return response;
    throw (failed = response);
  };
  const elsewhere = async (): Promise<Response | undefined> => {
    signal.throwIfAborted();
    held = await fromStore(site, job);
    const engine = () => fromEngine(site, job, { ...anyhow(job.event.clientId, ageOf(job)), signal });
    return held ?? hedged(patienceMs, [engine, () => fromCopy(site, job, [])]);
  };
  // The origin is there, and fails at this path: it may have the copy, and others are not waited for as in an outage.
  const alone = async (rest: Promise<Response>): Promise<Response> => {
    await site.snapshots.settled();
    signal.throwIfAborted();
    if (site.snapshots.originDown) throw failed;
    return (await fromCopy(site, job)) ?? (await within(patienceMs, rest)) ?? failed ?? Response.error();
  };
  const others = async (origin: Promise<Response>): Promise<Response> => {
    let silent = true;
    const said = origin.catch(() => undefined).finally(() => (silent = false));
    let found = (!down && (await within(patienceMs, said))) || (await elsewhere());
    // While the origin hangs, somebody may turn up who has it.
    for (let round = 1; !found && silent && round < maxRounds; round++) {
      await within(offloadMs, said);
      if (silent) found = await elsewhere();
    }
    return found || Promise.reject(failed);
  };
  const down = site.snapshots.originDown;
  let first: Response | undefined;
  // What streams is not verified before it is given: not from somebody who has the origin's name and not its manifest.
  if (site.originState === 'down' && !job.whole) first = await elsewhere();
  if (!first) {
    const origin = speaks();
    const rest = others(origin);
    const both = [origin.catch(() => alone(rest)), rest];
    first = await Promise.any(both).catch(() => failed ?? origin);
    endWaiting(job.event);
    for (const each of both) each.then((other) => (other === first ? undefined : other.body?.cancel())).catch(() => {});
  }
  if (first === held) count(site, job);
  return first;
}

/** How long ago the job's page began, in ms; one that cannot run an engine is as one that has had its time to. */
const ageOf = ({ client }: Job): number => (client.canShare === false ? Infinity : Date.now() - client.atMs);

/** The job's answer, out of the whole content. */
async function give(site: Site, job: Job, content: Data): Promise<Response> {
  const { row, range } = job;
  return answer(range ? content.slice(range.start, range.end) : content, await headersFor(site, job), row[2], range);
}

/** The content's headers; where the origin has told none of a context's, those that protect the site's documents. */
async function headersFor(site: Site, { event, snapshot, row, known }: Job): Promise<Headers> {
  const unprotected = !known && context.test(event.request.destination);
  return headersOf(site, snapshot, row, known, unprotected ? await site.records.get<HeaderList>('shield') : []);
}

async function fromStore(site: Site, job: Job): Promise<Response | undefined> {
  const blob = await stored(site, job.row, job.active);
  return blob && give(site, job, blob);
}

/** Counts what a page was given from the store. */
function count(site: Site, { row: [path, , size], range, event }: Job): void {
  const bytes = range ? range.end - range.start : size;
  site.count('store', bytes);
  post(event.clientId, { type: 'progress', path, size, bytes, source: 'store' });
}

async function fromCopy(site: Site, job: Job, hosts?: string[]): Promise<Response | undefined> {
  const { event, snapshot, row, range, whole } = job;
  const stream = !whole && (await fromCopies(site, snapshot, row, range ?? { start: 0, end: row[2] }, hosts));
  if (stream) return answer(streamOf(event, stream), await headersFor(site, job), row[2], range);
  const blob = await fetchCopy(site, snapshot, row, event.clientId, hosts);
  return blob && give(site, job, blob);
}

/** What an engine brings before it is this request's turn at the origin; undefined when that has come. */
async function inTurn(site: Site, job: Job): Promise<Response | undefined> {
  const { event, beganMs, snapshot, row, range } = job;
  const { engines, snapshots } = site;
  if (!worthAsking(snapshot.root.policy.prefer, row[2]) || snapshots.originDown || !site.mayShare()) return undefined;
  const pageAgeMs = ageOf(job);
  if (!engines.size && pageAgeMs > engineStartMs) return undefined;
  const streams = range || /^(audio|video)$/.test(event.request.destination);
  const turn = (job.turn = site.turns.enter(event, row, beganMs, pageAgeMs, !streams));
  const { dueMs, hear, come: until } = turn;
  const { signal } = event.request;
  const wish = { client: event.clientId, peersOnly: false, engineByMs: Infinity, dueMs, until, signal, hear };
  const brought = await fromEngine(site, job, wish);
  if (brought || !until.aborted) turn.leave();
  return brought;
}

async function fromEngine(site: Site, job: Job, wish: Wish): Promise<Response | undefined> {
  const { event, snapshot, row, range, active, whole } = job;
  const wanted = (!active && range) || { start: 0, end: row[2] };
  const delivery = await site.engines.ask(row, wanted, wish);
  if (!delivery) return undefined;
  if (whole) {
    // The engine has the web seed race peers that are late; given up is only an engine that does neither.
    const data = await collect(delivery, outageMs);
    return data && (!active || (await verify(data, row))) ? give(site, job, data) : undefined;
  }
  // Another engine goes on, if there is one soon; otherwise the origin's copies do.
  const rest = async (start: number): Promise<Delivery | undefined> => {
    const left = { start, end: wanted.end };
    const soon = AbortSignal.timeout(2 * engineStartMs);
    const other = await site.engines.ask(row, left, { ...wish, engineByMs: Infinity, until: soon, hear: () => {} });
    event.request.signal.throwIfAborted();
    const found = other ?? (await fromCopies(site, snapshot, row, left));
    if (found) return found;
    const blob = await verifiedContent(site, snapshot, row, event.clientId);
    return blob && deliveryOf(blob.slice(start, wanted.end).stream());
  };
  const body = streamOf(event, continued(delivery, wanted.start, rest));
  return answer(body, await headersFor(site, job), row[2], range);
}

/**
 * A delivery that goes on from elsewhere, at the next byte, where it breaks off. What a page has had already is
 * verified, so the rest has to be: the origin's path may have another content by now.
 */
function continued(first: Delivery, start: number, rest: (at: number) => Promise<Delivery | undefined>): Delivery {
  let delivery = first;
  let at = start;
  let brokenAt = -1;
  return {
    async next() {
      for (;;) {
        try {
          const chunk = await delivery.next();
          at += chunk?.length ?? 0;
          return chunk;
        } catch (error) {
          const other = at > brokenAt && (await rest(at));
          if (!other) throw error;
          brokenAt = at;
          delivery = other;
        }
      }
    },
    cancel() {
      brokenAt = Infinity;
      delivery.cancel();
    },
  };
}

/** What the origin says itself. What is kept of it is kept behind the page's back, and its turn ends with that. */
const fromOrigin = (site: Site, job: Job): Promise<Response> =>
  speaking(site, job).finally(() => (job.keeping ? undefined : job.turn?.leave()));

async function speaking(site: Site, job: Job): Promise<Response> {
  const { event, snapshot, path, row, rows, range, whole, turn } = job;
  const client = event.clientId;
  const copy = (await site.snapshots.supersedes(snapshot, row)) && (await fromCopy(site, job));
  if (copy) return copy;
  const response = await ask(site, event, path, rows);
  const arrival: Arrival = { response, rows, snapshot, path, client, turn };
  const { headers, status } = response;
  const otherwise = (answer: Response): Response => {
    job.doubtful = site.originState === 'down';
    return answer;
  };
  const differs = async (answer: Response): Promise<Response> => {
    const copy = await fromCopy(site, job);
    // A medium whose ranges come from the copy goes on with it: of what it plays no part comes from the path.
    event.waitUntil(mismatched(site, arrival, !copy, !range || !copy));
    if (copy) void answer.body?.cancel();
    return copy ?? otherwise(answer);
  };
  // The page's snapshot still has what its path has lost; a document follows the origin.
  if (status === 404 && rows[0] === row && !/html/.test(typeOf(snapshot.root, row[0]))) {
    const copy = await fromCopy(site, job);
    if (copy) return copy;
  }
  // The whole's, which the answer to a range tells, too.
  const told = status === 200 ? headers.get('content-length') : headers.get('content-range')?.match(/\d+$/)?.[0];
  const length = headers.has('content-encoding') ? null : told;
  const isOther = length && rows.every(([, , size]) => size !== Number(length));
  if (event.request.headers.has('range') && !whole) {
    if (isOther && range && isPublic(response)) return differs(response);
    // A host that knows no ranges sends the whole: the range is cut out of it as it passes. The rest is the origin's
    // own business, and the media element's, which checks that it stays the same.
    const cuttable = range && status === 200 && response.body && Number(length) === row[2];
    if (!cuttable) return response;
    const part = cut(deliveryOf(response.body as ReadableStream<Uint8Array<ArrayBuffer>>), range);
    return answer(streamOf(event, part), new Headers(headers), row[2], range);
  }
  if (!isWhole(response)) return otherwise(response);
  if (isOther) return differs(response);
  if (!whole) {
    job.keeping = true;
    return capture(site, event, arrival);
  }
  const measure = meter(site);
  const body = new Uint8Array(await response.arrayBuffer());
  measure(body);
  measure();
  turn?.arrived();
  const hash = await hashOf(body);
  const match = rows.find((each) => each[1] === hash && each[2] === body.length);
  if (!match) return differs(withBody(response, body));
  job.keeping = true;
  const keep = recognise(site, arrival, hash, body.length, (known) => put(site.store, idOf(known), body));
  event.waitUntil(keep.finally(() => turn?.leave()).catch(() => {}));
  if (!range) return withBody(response, body);
  return answer(body.slice(range.start, range.end), withBody(response, '').headers, match[2], range);
}
