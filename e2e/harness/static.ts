/** Static hosts other than `planktos serve`: nginx, Python's, and one of our own that can be like Cloudflare Pages. */
import { readFile, stat, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { onEnd, temporaryFolder } from './cleanup.ts';
import type { Scope } from './cleanup.ts';
import { start } from './process.ts';
import { until } from './wait.ts';

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
  '.wav': 'audio/wav',
};

export interface StaticOptions {
  /** the site's root URL path, beginning and ending in a slash */
  base?: string;
  /**
   * As Cloudflare Pages does: `/a.html` redirects (308) to `/a`, unknown paths answer 200 with index.html, Range is
   * ignored, and HTML is altered on the way (a script of analytics before `</body>`).
   */
  likeCloudflarePages?: boolean;
}

/** Serves a folder as a plain host without Range does; gives the site's root URL. */
export async function staticHost(
  scope: Scope,
  dir: string,
  { base = '/', likeCloudflarePages = false }: StaticOptions = {},
): Promise<string> {
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://host');
    if (request.method !== 'GET' && request.method !== 'HEAD') return end(response, 405, '', {});
    if (!url.pathname.startsWith(base)) return end(response, 404, 'not here', {});
    const path = normalize(decodeURIComponent(url.pathname.slice(base.length)));
    if (path.startsWith('..') || path.includes('\0')) return end(response, 400, '', {});
    if (likeCloudflarePages && path.endsWith('.html')) {
      const clean = url.pathname.replace(/(?:\/index)?\.html$/, (end) => (end === '/index.html' ? '/' : ''));
      return end(response, 308, '', { location: clean + url.search });
    }
    const folder = url.pathname.endsWith('/');
    const names = likeCloudflarePages
      ? [...(folder ? [join(path, 'index.html')] : [`${path}.html`, path]), 'index.html']
      : [folder ? join(path, 'index.html') : path];
    for (const name of names) {
      const file = join(dir, name);
      const known = await stat(file).catch(() => undefined);
      if (known?.isDirectory() && !folder) return end(response, 301, '', { location: `${url.pathname}/${url.search}` });
      if (!known?.isFile()) continue;
      let body = await readFile(file);
      const type = types[extname(name)] ?? 'application/octet-stream';
      if (likeCloudflarePages && type.startsWith('text/html'))
        body = Buffer.from(beacon(body.toString('latin1')), 'latin1');
      const tag = `"${known.mtimeMs}-${known.size}"`;
      const headers = { 'content-type': type, etag: tag, 'cache-control': 'public, max-age=0, must-revalidate' };
      if (request.headers['if-none-match'] === tag) return end(response, 304, '', headers);
      return end(response, 200, body, headers);
    }
    return end(response, 404, await readFile(join(dir, '404.html')).catch(() => 'not found'), {
      'content-type': 'text/html',
    });
  };
  const end = (
    response: ServerResponse,
    status: number,
    body: string | Buffer,
    headers: http.OutgoingHttpHeaders,
  ): void => {
    response.writeHead(status, status === 304 ? headers : { ...headers, 'content-length': Buffer.byteLength(body) });
    response.end(response.req.method === 'HEAD' || status === 304 ? '' : body);
  };
  const server = http.createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  onEnd(scope, () => (server.closeAllConnections(), server.close()));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}${base}`;
}

/** What the Cloudflare-like host puts into HTML. */
export function beacon(html: string): string {
  return html.replace('</body>', '<script>window.beacon = (window.beacon ?? 0) + 1;</script></body>');
}

/** Serves a folder by `python3 -m http.server`, which knows no Range. */
export async function pythonHost(scope: Scope, dir: string): Promise<string> {
  const args = ['-u', '-m', 'http.server', '0', '--bind', '127.0.0.1', '--directory', dir];
  const line = await start(scope, '/usr/bin/python3', args).line((each) => each.includes('http://'));
  return /http:\/\/[^ )]+/.exec(line)![0];
}

/** Serves a folder by nginx, under `base`. */
export async function nginxHost(scope: Scope, dir: string, base = '/'): Promise<string> {
  const home = await temporaryFolder(scope, 'nginx');
  const port = await freePort();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${home}/${name};`,
  );
  await writeFile(
    join(home, 'nginx.conf'),
    `${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off; worker_processes 1; pid ${home}/nginx.pid; error_log stderr warn;
events { worker_connections 256; }
http {
  include /etc/nginx/mime.types; default_type application/octet-stream;
  access_log off; gzip on; gzip_types text/css application/javascript application/json;
  ${temporary.join(' ')}
  server {
    listen 127.0.0.1:${port};
    location ${base} { alias ${dir}/; index index.html; }
    error_page 404 ${base}404.html;
  }
}
`,
  );
  start(scope, '/usr/sbin/nginx', ['-p', home, '-c', join(home, 'nginx.conf'), '-e', 'stderr']);
  const url = `http://127.0.0.1:${port}${base}`;
  await until('nginx to answer', async () => (await fetch(url)).ok, { timeoutMs: 45_000 });
  return url;
}

/** A free loopback port, for servers that cannot choose one themselves: none of those that the system gives to others. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const server = net.createServer();
    const free = await new Promise((settle) => {
      server.on('error', () => settle(false));
      server.listen(port, '127.0.0.1', () => server.close(() => settle(true)));
    });
    if (free) return port;
  }
}
