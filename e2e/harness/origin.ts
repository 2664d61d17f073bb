/**
 * The origin as the tests see it: an HTTP server of our own in front of the real one. It counts the body bytes and the
 * requests of every path and can be made hostile: alter bodies, fail, stall, refuse, drop Range, add headers. WebSocket
 * upgrades (the tracker) pass through and are counted too.
 */
import http from 'node:http';
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import net from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { onEnd } from './cleanup.ts';
import type { Scope } from './cleanup.ts';
import { until } from './wait.ts';

/** What a rule may do to a request; the first rule that answers decides, and no answer means: pass it on. */
export type Behaviour =
  /** closes the connection without an answer */
  | { refuse: true }
  /** accepts the request and never answers it */
  | { stall: true }
  | { status: number; body?: string | Buffer; headers?: OutgoingHttpHeaders }
  | {
      /** rewrites the whole (decoded) body; the length is corrected */
      alter?: (body: Buffer) => Buffer;
      /** headers to set on the real answer; undefined removes one */
      headers?: Record<string, string | undefined>;
      /** a server that takes this long to begin its answer */
      delayMs?: number;
      /** sends the body in steps that take about this long altogether */
      slowMs?: number;
      /** asks the real server without Range */
      ignoreRange?: boolean;
    };
export type Rule = (path: string, request: IncomingMessage) => Behaviour | undefined;

export interface Seen {
  method: string;
  /** path and query as requested */
  url: string;
  /** path, decoded, relative to the site's root */
  path: string;
  status: number;
  /** bytes of body sent */
  bytes: number;
  /** who asked has left before the end */
  left: boolean;
  headers: IncomingMessage['headers'];
}

export interface Origin {
  url: string;
  /** rules in force; a test replaces the list when it pleases */
  rules: Rule[];
  /** every request since the last reset, in order of arrival */
  requests: Seen[];
  /** forgets what was counted */
  reset(): void;
  /** body bytes sent for the paths that the test accepts */
  bytes(accepts?: (path: string) => boolean): number;
  count(accepts: (path: string) => boolean): number;
  /** upgrades to WebSocket since the start */
  sockets: number;
  /** closes every connection and refuses new ones; `start` again on the same port */
  stop(): Promise<void>;
  start(): Promise<void>;
}

const hopByHop = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'proxy-connection']);

/** Puts a counting server on a free loopback port in front of `target` (a root URL). */
export async function origin(scope: Scope, target: string): Promise<Origin> {
  const upstream = new URL(target);
  const connections = new Set<Socket>();
  const server = http.createServer((request, response) => {
    void serve(request, response).catch(() => request.socket.destroy());
  });
  server.on('connection', (socket) => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
    socket.on('error', () => undefined); // a browser that leaves is no event here
  });

  const self: Origin = {
    url: '',
    rules: [],
    requests: [],
    reset: () => void (self.requests.length = 0),
    bytes: (accepts = () => true) => sum(self.requests.filter((seen) => accepts(seen.path)).map((seen) => seen.bytes)),
    count: (accepts) => self.requests.filter((seen) => accepts(seen.path)).length,
    sockets: 0,
    stop: async () => {
      const closed = server.listening ? new Promise<void>((done) => server.close(() => done())) : undefined;
      for (const socket of connections) socket.destroy();
      await closed;
    },
    start: () => listen(Number(new URL(self.url).port)),
  };

  const listen = (port: number): Promise<void> =>
    new Promise((listening, failed) => {
      server.once('error', failed);
      server.listen(port, '127.0.0.1', () => {
        server.removeListener('error', failed);
        listening();
      });
    });

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = pathOf(request.url ?? '/');
    const seen: Seen = {
      method: request.method ?? '',
      url: request.url ?? '/',
      path,
      status: 0,
      bytes: 0,
      left: false,
      headers: request.headers,
    };
    self.requests.push(seen);
    response.on('close', () => (seen.left = !response.writableFinished));
    const behaviour = first(self.rules, path, request) ?? {};
    if ('refuse' in behaviour) {
      request.socket.destroy();
      return;
    }
    if ('stall' in behaviour) return;
    if ('status' in behaviour) {
      const body = Buffer.from(behaviour.body ?? '');
      seen.status = behaviour.status;
      seen.bytes = body.length;
      response.writeHead(behaviour.status, { 'content-length': body.length, ...behaviour.headers });
      response.end(body);
      return;
    }
    const headers: OutgoingHttpHeaders = { ...request.headers };
    if (behaviour.alter) headers['accept-encoding'] = 'identity';
    if (behaviour.ignoreRange) delete headers['range'];
    const answer = await ask(upstream, request, headers);
    if (behaviour.delayMs) await new Promise((answered) => setTimeout(answered, behaviour.delayMs));
    // Who has left meanwhile is sent nothing.
    if (response.destroyed) return void answer.destroy();
    seen.status = answer.statusCode ?? 0;
    for (const [name, value] of Object.entries(answer.headers)) {
      if (value !== undefined && !hopByHop.has(name)) response.setHeader(name, value);
    }
    if (behaviour.ignoreRange) response.removeHeader('accept-ranges');
    for (const [name, value] of Object.entries(behaviour.headers ?? {})) {
      if (value === undefined) response.removeHeader(name);
      else response.setHeader(name, value);
    }
    response.statusCode = seen.status;
    response.on('close', () => answer.destroy());
    if (behaviour.alter || behaviour.slowMs !== undefined) {
      let body = Buffer.concat(await answer.toArray());
      if (behaviour.alter && body.length > 0) body = Buffer.from(behaviour.alter(body));
      if (request.method !== 'HEAD' && seen.status !== 304) response.setHeader('content-length', body.length);
      await send(response, body, behaviour.slowMs ?? 0, (bytes) => (seen.bytes += bytes));
      return;
    }
    answer.on('data', (chunk: Buffer) => (seen.bytes += chunk.length));
    answer.on('error', () => response.destroy());
    answer.pipe(response);
  }

  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    const behaviour = first(self.rules, pathOf(request.url ?? '/'), request);
    if (behaviour && ('refuse' in behaviour || 'status' in behaviour)) {
      socket.destroy();
      return;
    }
    self.sockets++;
    const out = net.connect(Number(upstream.port), upstream.hostname, () => {
      const lines = [`GET ${request.url} HTTP/1.1`];
      for (let i = 0; i < request.rawHeaders.length; i += 2) {
        lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
      }
      out.write(`${lines.join('\r\n')}\r\n\r\n`);
      out.write(head);
      out.pipe(socket).pipe(out);
    });
    out.on('error', () => socket.destroy());
    socket.on('error', () => out.destroy());
    socket.on('close', () => out.destroy());
    out.on('close', () => socket.destroy());
  });

  await listen(0);
  self.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${upstream.pathname}`;
  onEnd(scope, () => self.stop());

  /** The path below the site's root, decoded; what does not decode stays as it is. */
  function pathOf(url: string): string {
    const raw = url.split('?')[0]!;
    const below = raw.startsWith(upstream.pathname) ? raw.slice(upstream.pathname.length) : raw;
    try {
      return decodeURIComponent(below);
    } catch {
      return below;
    }
  }
  return self;
}

/** Whether a path carries content, by its name or by its hash, rather than Planktos's own scripts and documents. */
export function isContent(path: string): boolean {
  return !isRuntime(path) && path !== 'planktos/root.torrent';
}

/** Whether a path is the runtime, the manifest, a shard or the tracker. */
export function isRuntime(path: string): boolean {
  return (
    path === 'planktos.sw.min.js' ||
    /^planktos\/(install\.js|engine\.min\.js|manifest\.json|shards\/|tracker)/.test(path)
  );
}

/** Whether a request is the engine's own: to the web seed. */
export function isByEngine({ headers }: Pick<IncomingMessage, 'headers'>): boolean {
  return !!headers.referer?.endsWith('/planktos/engine.min.js');
}

/** Whether a path is a hashed copy. */
export function isHashed(path: string): boolean {
  return /^planktos\/[0-9a-f]{64}$/.test(path);
}

/** Resolves when no such request has arrived and no byte was sent for a while, by the origin's own count. */
export async function quiet(origin: Origin, accepts: (path: string) => boolean): Promise<void> {
  let last = '';
  let same = 0;
  const isQuiet = (): boolean => {
    const now = `${origin.count(accepts)} ${origin.bytes(accepts)}`;
    same = now === last ? same + 1 : 0;
    last = now;
    return same >= 8;
  };
  await until('the origin to be quiet', isQuiet, { timeoutMs: 30_000 });
}

function first(rules: readonly Rule[], path: string, request: IncomingMessage): Behaviour | undefined {
  for (const rule of rules) {
    const behaviour = rule(path, request);
    if (behaviour !== undefined) return behaviour;
  }
  return undefined;
}

function ask(upstream: URL, request: IncomingMessage, headers: OutgoingHttpHeaders): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = upstream;
    const out = http.request(
      { hostname, port, path: request.url, method: request.method, headers, agent: false },
      resolve,
    );
    out.on('error', reject);
    request.on('error', reject);
    request.pipe(out);
  });
}

/** Sends a body at once, or in a hundred steps. */
async function send(
  response: ServerResponse,
  body: Buffer,
  slowMs: number,
  sent: (bytes: number) => void,
): Promise<void> {
  const steps = slowMs > 0 ? 100 : 1;
  const size = Math.ceil(body.length / steps) || 1;
  for (let at = 0; at < body.length; at += size) {
    const part = body.subarray(at, at + size);
    if (response.destroyed) return;
    response.write(part);
    sent(part.length);
    if (slowMs > 0) await new Promise((next) => setTimeout(next, slowMs / steps));
  }
  response.end();
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
