/** WebKit (Debian's webkit2gtk-driver) through W3C WebDriver: just enough to load a page and ask it something. */
import { existsSync, readdirSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { onEnd } from './cleanup.ts';
import type { Scope } from './cleanup.ts';
import { start } from './process.ts';
import { until, within } from './wait.ts';

export interface WebKit {
  goto(url: string): Promise<void>;
  /** runs the body of an async function in the page */
  evaluate(body: string): Promise<unknown>;
}

const driver = '/usr/bin/WebKitWebDriver';

/** Why WebKit cannot be driven on this machine, or undefined if it can. */
export function webKitUnavailable(): string | undefined {
  if (!existsSync(driver)) return 'webkit2gtk-driver is not installed';
  if (!existsSync('/usr/bin/Xvfb')) return 'xvfb is not installed';
  return miniBrowser() === undefined ? 'WebKit2GTK has no MiniBrowser' : undefined;
}

function miniBrowser(): string | undefined {
  const libraries = '/usr/lib';
  for (const architecture of readdirSync(libraries).filter((name) => name.endsWith('-linux-gnu'))) {
    for (const version of readdirSync(join(libraries, architecture)).filter((name) =>
      name.startsWith('webkit2gtk-4'),
    )) {
      const path = join(libraries, architecture, version, 'MiniBrowser');
      if (existsSync(path)) return path;
    }
  }
  return undefined;
}

/** Starts WebKit on a display of its own. */
export async function webKit(scope: Scope, port: number): Promise<WebKit> {
  const display = await screen(scope);
  start(scope, driver, [`--port=${port}`], {
    env: {
      ...process.env,
      DISPLAY: display,
      WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1', // its sandbox wants user namespaces, which containers often lack
      WEBKIT_DISABLE_COMPOSITING_MODE: '1',
      LIBGL_ALWAYS_SOFTWARE: '1',
    },
  });
  const call = async (method: string, path: string, body?: object): Promise<unknown> => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      ...(body ? { body: JSON.stringify(body) } : {}),
      signal: AbortSignal.timeout(90_000),
    });
    const { value } = (await answer.json()) as { value: unknown };
    if (!answer.ok) throw new Error(`WebDriver ${method} ${path}: ${JSON.stringify(value)}`);
    return value;
  };
  await until('WebKitWebDriver to answer', async () => Boolean(await call('GET', '/status')), { timeoutMs: 45_000 });
  const capabilities = {
    alwaysMatch: { 'webkitgtk:browserOptions': { binary: miniBrowser(), args: ['--automation'] } },
  };
  const { sessionId } = (await call('POST', '/session', { capabilities })) as { sessionId: string };
  const session = `/session/${sessionId}`;
  onEnd(scope, () => call('DELETE', session));
  return {
    goto: async (url) => void (await call('POST', `${session}/url`, { url })),
    evaluate: (body) => {
      const script = `const done = arguments[arguments.length - 1];
        (async () => { ${body} })().then(done, (error) => done(String(error)));`;
      return call('POST', `${session}/execute/async`, { script, args: [] });
    },
  };
}

/** A virtual screen, whose number the X server chooses and writes to its descriptor 3. */
async function screen(scope: Scope): Promise<string> {
  const server = spawn('/usr/bin/Xvfb', ['-displayfd', '3', '-screen', '0', '1024x768x24', '-nolisten', 'tcp'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  onEnd(scope, () => server.kill('SIGKILL'));
  const [number] = (await within(45_000, 'Xvfb to choose a display', once(server.stdio[3] as Readable, 'data'))) as [
    Buffer,
  ];
  return `:${number.toString().trim()}`;
}
