/**
 * The runtime's own scripts. The worker keeps those of its own version, so that an engine starts without a request, and
 * in an outage at all; their hashes are compiled into it, since any script of the origin can write to what it stores.
 */
import { patienceMs } from '../shared/policy.ts';
import { withBody } from './answers.ts';
import { hashOf } from './content.ts';
import type { Site } from './site.ts';
import { within } from './streams.ts';

/** The first 32 digits of hashes as contents have, by path. */
declare const SCRIPTS: Record<string, string>;

export const isRuntimeScript = (path: string): boolean => Object.hasOwn(SCRIPTS, path);

/** The response with its body, if that is the script of this version. */
async function genuine(path: string, response: Response | undefined): Promise<Response | undefined> {
  if (!response?.ok) return undefined;
  const body = await response.blob();
  return (await hashOf(body)).startsWith(SCRIPTS[path]!) ? withBody(response, body) : undefined;
}

/** Requests of the origin that are under way, by path. */
const asking = new Map<string, Promise<Response | undefined>>();

/** Asks the origin for a script, and keeps it if it is of this version. Undefined if the origin does not answer. */
async function obtain({ scope, records }: Site, path: string): Promise<Response | undefined> {
  const url = scope + path;
  const ask = async (): Promise<Response | undefined> => {
    const response = await fetch(url, { cache: 'no-cache' });
    const script = await genuine(path, response.clone());
    if (script) await records.keep(url, script);
    return response;
  };
  const asked = asking.get(path) ?? ask().catch(() => undefined);
  asking.set(path, asked);
  const response = await asked;
  asking.delete(path);
  return response?.clone();
}

/** Keeps the scripts of this version. A failure only means that they are asked for when they are wanted. */
export function keepScripts(site: Site): void {
  for (const path of Object.keys(SCRIPTS)) void obtain(site, path);
}

export async function runtimeScript(site: Site, { request }: FetchEvent, path: string): Promise<Response> {
  const { snapshots, records, scope } = site;
  const kept = snapshots.current && (await genuine(path, await records.match(scope + path)));
  // By its URL: a request that a page abandons on leaving would fail here, which Firefox reports in its console.
  return kept ?? (await within(patienceMs, obtain(site, path))) ?? fetch(request.url);
}
