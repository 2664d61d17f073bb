/**
 * Chromium and Firefox through one interface: puppeteer-core, over CDP and over WebDriver BiDi. A visitor is a browser
 * context, which has its own service worker, store and peers in both.
 */
import { networkInterfaces } from 'node:os';
import puppeteer from 'puppeteer-core';
import type { Browser, BrowserContext, LaunchOptions, Page } from 'puppeteer-core';
import { onEnd } from './cleanup.ts';
import type { Scope } from './cleanup.ts';
import { run } from './process.ts';
import { within } from './wait.ts';

export type Kind = 'chrome' | 'firefox';
export const kinds: readonly Kind[] = ['chrome', 'firefox'];

/** Addresses that browsers may reach by HTTP: this machine's loopback. Names of the public network do not resolve. */
const chromiumFlags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-features=WebRtcHideLocalIpsWithMdns',
  '--autoplay-policy=no-user-gesture-required',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
];

const firefoxPrefs = {
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'media.autoplay.default': 0,
  'media.autoplay.blocking_policy': 0,
  'network.dns.disabled': true,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
};

export interface Launch {
  /** further flags of Chromium */
  flags?: string[];
  /** another program than the browser itself, such as a wrapper */
  executablePath?: string;
  /** speak over a pipe rather than a loopback socket */
  pipe?: boolean;
}

/** Starts a browser that lives as long as the test or suite. */
export async function launch(
  scope: Scope,
  kind: Kind,
  { flags = [], executablePath, pipe }: Launch = {},
): Promise<Browser> {
  await haveInterface();
  const common: LaunchOptions = { headless: true, timeout: 60_000, protocolTimeout: 60_000 };
  const browser = await puppeteer.launch(
    kind === 'chrome'
      ? {
          ...common,
          browser: 'chrome',
          executablePath: executablePath ?? process.env['CHROMIUM'] ?? '/usr/bin/chromium',
          args: [...chromiumFlags, ...flags],
          ...(pipe ? { pipe } : {}),
        }
      : {
          ...common,
          browser: 'firefox',
          executablePath: executablePath ?? process.env['FIREFOX'] ?? '/usr/bin/firefox-esr',
          extraPrefsFirefox: firefoxPrefs,
        },
  );
  onEnd(scope, async () => {
    try {
      await within(10_000, `${kind} to close`, browser.close());
    } catch {
      browser.process()?.kill('SIGKILL'); // a browser that hangs is no reason to fail what has passed
    }
  });
  return browser;
}

let interfaceReady: Promise<void> | undefined;

/**
 * Chromium gathers no ICE candidates where there is only the loopback interface. Any other will do, since what it
 * carries between two browsers of one machine never leaves it: where there is none, a dummy one is made.
 */
function haveInterface(): Promise<void> {
  interfaceReady ??= (async () => {
    const outward = Object.values(networkInterfaces()).some((list) => list?.some((address) => !address.internal));
    if (outward) return;
    await run('ip', ['link', 'add', 'planktos0', 'type', 'dummy']);
    await run('ip', ['address', 'add', '198.51.100.1/24', 'dev', 'planktos0']); // RFC 5737's TEST-NET-2
    const up = await run('ip', ['link', 'set', 'planktos0', 'up']);
    if (up.status !== 0) throw new Error(`no interface but loopback, and none could be made: ${up.stderr}`);
  })();
  return interfaceReady;
}

export interface Visitor {
  context: BrowserContext;
  /** the visitor's first tab */
  page: Page;
  /** opens another tab, watched as the first */
  tab(): Promise<Page>;
  /** errors that the pages had: console errors, uncaught exceptions; in order */
  errors: string[];
  /** every console line, failed request and error, for messages of failure */
  log: string[];
  close(): Promise<void>;
}

/** A new visitor: a context of its own with one open tab. */
export async function visitor(scope: Scope, browser: Browser): Promise<Visitor> {
  const context = await browser.createBrowserContext();
  const errors: string[] = [];
  const log: string[] = [];
  const watch = async (page: Page): Promise<Page> => {
    page.setDefaultTimeout(20_000);
    // The compiler that runs the tests names inner functions by a helper, which functions sent to a page would miss.
    await page.evaluateOnNewDocument("Object.defineProperty(globalThis, '__name', { value: (named) => named });");
    page.on('console', (message) => {
      const line = `${message.type()}: ${message.text()}${from(message.location().url)}`;
      log.push(line);
      if (message.type() === 'error') errors.push(line);
    });
    page.on('pageerror', (error) => {
      const line = `uncaught: ${error instanceof Error ? error.message : String(error)}`;
      log.push(line);
      errors.push(line);
    });
    page.on('requestfailed', (request) => log.push(`failed: ${request.url()} ${request.failure()?.errorText ?? ''}`));
    return page;
  };
  const self: Visitor = {
    context,
    page: await watch(await context.newPage()),
    tab: async () => watch(await context.newPage()),
    errors,
    log,
    close: () => context.close(),
  };
  onEnd(scope, async () => {
    // The browser may have been closed before, by the test itself.
    if (browser.connected) await within(10_000, 'a visitor to leave', self.close()).catch(() => undefined);
  });
  return self;
}

function from(url: string | undefined): string {
  return url ? ` (${url})` : '';
}
