/** The benchmarks' web server (bench/origin): a shaped uplink before a site, that counts what its sockets send. */
import { createInterface } from 'node:readline';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { onEnd } from '../../e2e/harness/cleanup.ts';
import type { Scope } from '../../e2e/harness/cleanup.ts';
import { sum } from './figures.ts';
import { program } from './program.ts';

/** One request, as bench/origin logs it. */
export interface Entry {
  visitor: number;
  method: string;
  /** path and query */
  path: string;
  range?: string;
  /** Sec-Fetch-Dest and the path of Referer */
  by: string;
  /** 0: no answer was begun */
  status: number;
  /** bytes of body, and of everything on the socket */
  body: number;
  wire: number;
  /** a WebSocket of the tracker: not the uplink's bytes */
  tracker?: boolean;
  /** since the Unix epoch; `endMs` 0 while it runs */
  startMs: number;
  endMs: number;
}

export interface Shape {
  /** bytes a second of the uplink, 0: unlimited */
  rate: number;
  /** a round trip */
  delayMs: number;
  /** seconds for which a browser need not ask again for the site's files; 0 or undefined: as the server says */
  maxAge?: number;
  /** HTTP/2 over TLS, rather than HTTP/1.1 in the clear */
  h2?: boolean;
}

export interface Origin {
  /** a root URL for each visitor */
  urls: string[];
  /** what its certificate is known by; '' in the clear */
  key: string;
  report(): Promise<Entry[]>;
  /** the report, once no request has been running and none has come for a second */
  settled(): Promise<Entry[]>;
}

export type Backend = { site: string } | { target: string };

/** Starts an origin; it ends with the scope. */
export async function startOrigin(scope: Scope, backend: Backend, visitors: number, shape: Shape): Promise<Origin> {
  const behind = 'site' in backend ? ['--site', backend.site] : ['--target', backend.target];
  const args = [...behind, '--visitors', `${visitors}`, '--rate', `${shape.rate}`, '--delay', `${shape.delayMs}ms`];
  if (shape.maxAge) args.push('--max-age', `${shape.maxAge}`);
  if (shape.h2) args.push('--h2');
  const child = spawn(await program('./bench/origin', 'build'), args, { stdio: ['pipe', 'pipe', 'inherit'] });
  onEnd(scope, async () => {
    const exit = once(child, 'exit');
    child.stdin.end();
    await exit;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => {
    const line = await lines.next();
    if (line.done) throw new Error('the origin ended');
    return JSON.parse(line.value);
  };
  const { urls, key } = (await next()) as { urls: string[]; key: string };
  const report = async (): Promise<Entry[]> => {
    child.stdin.write('\n');
    return ((await next()) as { requests: Entry[] }).requests;
  };
  const settled = async (): Promise<Entry[]> => {
    for (let before = -1, calm = 0; ; ) {
      const entries = await report();
      const requests = entries.filter((entry) => !entry.tracker);
      const now = sum(requests.map((entry) => entry.wire + 1));
      calm = now === before && requests.every((entry) => entry.endMs > 0) ? calm + 1 : 0;
      if (calm >= 4) return entries;
      before = now;
      await delay(250);
    }
  };
  return { urls, key, report, settled };
}

/** Flags of a Chromium that trusts these origins. */
export function trusting(...origins: Origin[]): string[] {
  const keys = origins.map(({ key }) => key).filter(Boolean);
  return keys.length === 0 ? [] : [`--ignore-certificate-errors-spki-list=${keys.join()}`];
}

/** What a path of a packed site carries. */
export type Carries = 'content' | 'copy' | 'layer' | 'manifest' | 'runtime';

/** By the layout of docs/manifest.md; `copy` is a content at its hashed name. */
export function carries(path: string): Carries {
  const name = path.split('?')[0]!.replace(/^\//, '');
  if (/^planktos\/[0-9a-f]{64}$/.test(name)) return 'copy';
  if (/^planktos\/[0-9a-f]{64}\.layer$/.test(name)) return 'layer';
  if (/^planktos\/(manifest\.json|shards\/)/.test(name)) return 'manifest';
  if (/^planktos(\/|\.sw\.min\.js$)/.test(name)) return 'runtime';
  return 'content';
}
