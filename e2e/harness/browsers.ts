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
  // The address bar's own pages, two a window, take more of the processor than ours.
  '--disable-features=WebRtcHideLocalIpsWithMdns,WebUIOmniboxPopup,WebUIOmniboxAimPopup',
  '--autoplay-policy=no-user-gesture-required',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.*, EXCLUDE localhost',
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
  /** a folder for the browser's profile, which may be another browser's that has ended */
  profile?: string;
  /** further preferences of Firefox */
  prefs?: Record<string, unknown>;
}

/** Starts a browser that lives as long as the test or suite. */
export function launch(scope: Scope, kind: Kind, options: Launch = {}): Promise<Browser> {
  const launched = start(kind, options);
  const known = launched.catch(() => undefined); // who waits for it is told why
  onEnd(scope, async () => {
    const browser = await known;
    try {
      if (browser) await within(10_000, `${kind} to close`, browser.close());
    } catch {
      browser?.process()?.kill('SIGKILL'); // a browser that hangs is no reason to fail what has passed
    }
  });
  return launched;
}

/** A browser, which may be yet to start. */
export type Launched = Browser | Promise<Browser>;

/** Starts one of each. Firefox takes seconds: who has tests for Chromium first need not wait for it. */
export function launchAll(scope: Scope): Array<[Kind, Launched]> {
  return kinds.map((kind) => [kind, launch(scope, kind)]);
}

async function start(kind: Kind, { flags = [], executablePath, pipe, profile, prefs }: Launch): Promise<Browser> {
  await haveInterface();
  const common: LaunchOptions = {
    headless: true,
    timeout: 120_000,
    protocolTimeout: 120_000,
    ...(profile === undefined ? {} : { userDataDir: profile }),
  };
  return puppeteer.launch(
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
          extraPrefsFirefox: { ...firefoxPrefs, ...prefs },
        },
  );
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

/** Firefox says so, too, of a request that a page abandoned as it was left; its URL may be gone by then. */
const intercepted = /Failed to load ‘(.*)’. A ServiceWorker intercepted the request/;

/**
 * Chromium's note of the loader page (worker/loader.ts), by way of which a page comes, as it should, when this machine
 * stalls for a second and its host seems to hang. No host of the tests answers a document so.
 */
const loaderCame = /responded with a status of 503 \(\) \(\S*(\/|\.html)\)$/;

/** What is logged of such a request. */
const abandoned = (url: string | undefined): string => `failed: ${url} NS_BINDING_ABORTED`;

export interface Visitor {
  context: BrowserContext;
  /** the visitor's first tab */
  page: Page;
  /** opens another tab, watched as the first: in front of it, which the page there is told, unless `background` */
  tab(options?: { background: boolean }): Promise<Page>;
  /** errors that the pages had: console errors, uncaught exceptions; in order */
  errors: string[];
  /** every console line, failed request and error, for messages of failure */
  log: string[];
  close(): Promise<void>;
}

/**
 * A new visitor: a context of its own with one open tab; or the one visitor of the browser's `profile`, whose store is
 * on disk, where Chromium has that of other contexts in memory.
 */
export async function visitor(
  scope: Scope,
  launched: Launched,
  { profile = false } = {},
): Promise<Visitor> {
  const browser = await launched;
  const context = profile ? browser.defaultBrowserContext() : await browser.createBrowserContext();
  const errors: string[] = [];
  const log: string[] = [];
  const watch = async (page: Page): Promise<Page> => {
    page.setDefaultTimeout(45_000);
    // The compiler that runs the tests names inner functions by a helper, which functions sent to a page would miss.
    await page.evaluateOnNewDocument("Object.defineProperty(globalThis, '__name', { value: (named) => named });");
    page.on('console', (message) => {
      const line = `${message.type()}: ${message.text()}${from(message.location().url)}`;
      log.push(line);
      if (message.type() === 'error' && !loaderCame.test(line)) errors.push(line);
    });
    page.on('error', (error) => {
      log.push(`crashed: ${error.message}`);
      errors.push(log.at(-1)!);
    });
    page.on('pageerror', (error) => {
      const line = `uncaught: ${error instanceof Error ? error.message : String(error)}`;
      log.push(line);
      const url = intercepted.exec(line)?.[1];
      if (url !== '' && !log.includes(abandoned(url))) errors.push(line);
    });
    page.on('requestfailed', (request) => {
      const line = `failed: ${request.url()} ${request.failure()?.errorText ?? ''}`;
      log.push(line);
      if (line !== abandoned(request.url())) return;
      const told = errors.findIndex((error) => intercepted.exec(error)?.[1] === request.url());
      if (told >= 0) errors.splice(told, 1);
    });
    return page;
  };
  const self: Visitor = {
    context,
    page: await watch(await context.newPage()),
    tab: async (options) => watch(await context.newPage(options)),
    errors,
    log,
    close: async () => {
      if (!profile) return context.close();
      for (const page of await context.pages()) await page.close();
    },
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
