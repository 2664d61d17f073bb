/** The runtime's own scripts: the network's, or the copies kept for when the origin is down. */
import { patienceMs } from '../shared/policy.ts';
import type { Site } from './site.ts';
import { within } from './streams.ts';

const scripts = ['planktos/install.js', 'planktos/engine.min.js'];

export const isRuntimeScript = (path: string): boolean => scripts.includes(path);

/** Keeps the scripts of this version. A failure only means that there is no loader in an outage. */
export async function keepScripts(site: Site): Promise<void> {
  for (const script of scripts) {
    const url = site.scope + script;
    const response = await fetch(url, { cache: 'no-cache' }).catch(() => undefined);
    if (response?.ok) await site.records.keepScript(url, response);
  }
}

export async function runtimeScript(site: Site, { request }: FetchEvent, path: string): Promise<Response> {
  // By its URL: a request that a page abandons on leaving would fail here, which Firefox reports in its console.
  const fetching = fetch(request.url);
  const response = await within(site.snapshots.originDown ? 0 : patienceMs, fetching.catch(() => undefined));
  if (response && response.status < 500) return response;
  return (await site.records.script(site.scope + path)) ?? fetching;
}
