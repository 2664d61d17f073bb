/** What can fail: the origin, the tracker, a seeder, and of each visitor the worker and the tabs. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Browser, Page } from 'puppeteer-core';
import { launch, visitor } from '../../e2e/harness/browsers.ts';
import type { Visitor } from '../../e2e/harness/browsers.ts';
import { temporaryFolder } from '../../e2e/harness/cleanup.ts';
import type { Scope } from '../../e2e/harness/cleanup.ts';
import { origin } from '../../e2e/harness/origin.ts';
import type { Origin, Rule } from '../../e2e/harness/origin.ts';
import { open } from '../../e2e/harness/page.ts';
import { binary, pack } from '../../e2e/harness/planktos.ts';
import { start } from '../../e2e/harness/process.ts';
import type { Running } from '../../e2e/harness/process.ts';
import { makeSite } from '../../e2e/harness/site.ts';
import type { Site } from '../../e2e/harness/site.ts';
import { freePort, staticHost } from '../../e2e/harness/static.ts';
import { stopWorker } from '../../e2e/harness/worker.ts';

/** A program that is killed, or stopped and continued. */
export class Program {
  readonly #scope: Scope;
  readonly #args: string[];
  #running: Running | undefined;

  constructor(scope: Scope, args: string[]) {
    this.#scope = scope;
    this.#args = args;
  }

  async start(): Promise<Running> {
    return (this.#running = start(this.#scope, await binary(), this.#args));
  }

  async kill(): Promise<void> {
    await this.#running?.stop('SIGKILL');
    this.#running = undefined;
  }

  async hang(): Promise<void> {
    this.#running?.child.kill('SIGSTOP');
  }

  /** Makes it well again, whatever it suffers from, and whatever it will wait for. */
  async heal(): Promise<void> {
    const running = this.#running ?? (await this.start());
    running.child.kill('SIGCONT');
  }
}

/** A visitor with the tab that browses, and one that stays where it is. */
export interface Guest {
  who: Visitor;
  page: Page;
  other: Page;
}

export interface World {
  site: Site;
  host: Origin;
  tracker: Program;
  seeder: Program;
  guests: Guest[];
}

export async function build(scope: Scope, visitors: number): Promise<World> {
  const site = await makeSite(scope, { pictureSide: 96, large: false });
  const port = await freePort();
  const tracker = new Program(scope, ['tracker', '--addr', `127.0.0.1:${port}`]);
  await (await tracker.start()).line(() => true);
  await pack(site.dir, '--inject', '--tracker', `ws://127.0.0.1:${port}/`);
  const host = await origin(scope, await staticHost(scope, site.dir));
  const dir = await temporaryFolder(scope, 'soak-seed');
  const seeder = new Program(scope, ['seed', host.url, '--dir', dir]);
  await (await seeder.start()).line(() => true);
  const browser: Browser = await launch(scope, 'chrome');
  const guests: Guest[] = [];
  for (let i = 0; i < visitors; i++) {
    const who = await visitor(scope, browser);
    const other = await who.tab();
    for (const page of [who.page, other]) await open(page, host.url);
    guests.push({ who, page: who.page, other });
  }
  return { site, host, tracker, seeder, guests };
}

/** One thing that goes wrong. What lasts until it is healed gives a way to do so. */
export interface Fault {
  name: string;
  /** of whom: faults of one subject do not overlap */
  subject: 'origin' | 'tracker' | 'seeder' | 'guest';
  begin(world: World, guest: Guest): Promise<void>;
  heal?(world: World): Promise<void>;
}

const portal = { status: 200, body: '<!doctype html><title>Sign in</title>', headers: { 'content-type': 'text/html' } };

const origins: Array<[string, Rule]> = [
  ['refuses', () => ({ refuse: true })],
  ['hangs', () => ({ stall: true })],
  ['answers 503', () => ({ status: 503, body: 'overloaded' })],
  ['answers with a page of its own', () => portal],
  ['is slow', () => ({ delayMs: 1500 })],
];

const program = (subject: 'tracker' | 'seeder'): Fault[] => [
  { name: `${subject} is killed`, subject, begin: (world) => world[subject].kill(), heal: (world) => world[subject].heal() },
  { name: `${subject} hangs`, subject, begin: (world) => world[subject].hang(), heal: (world) => world[subject].heal() },
];

const spin = 'for (const end = Date.now() + 3000; Date.now() < end; );';
/** The tab's own thread does nothing else for a while. */
const hang = async (page: Page): Promise<void> => {
  void page.evaluate(spin).catch(() => undefined);
};

/** The worker, if it runs, does nothing else for a while. */
async function hangWorker({ context }: Visitor): Promise<void> {
  const target = context.targets().find((each) => each.type() === 'service_worker');
  const session = await target?.createCDPSession();
  const hung = session?.send('Runtime.evaluate', { expression: spin });
  void hung?.then(() => session?.detach()).catch(() => undefined); // it may be stopped first
}

export const faults: readonly Fault[] = [
  ...origins.map(
    ([how, rule]): Fault => ({
      name: `origin ${how}`,
      subject: 'origin',
      begin: async ({ host }) => void (host.rules = [rule]),
      heal: async ({ host }) => void (host.rules = []),
    }),
  ),
  ...program('tracker'),
  ...program('seeder'),
  { name: 'worker is stopped', subject: 'guest', begin: (_, { who, page }) => stopWorker({ ...who, page }) },
  { name: 'worker hangs', subject: 'guest', begin: (_, { who }) => hangWorker(who) },
  { name: 'other tab hangs', subject: 'guest', begin: (_, { other }) => hang(other) },
  { name: 'tab hangs', subject: 'guest', begin: (_, { page }) => hang(page) },
  {
    name: 'other tab crashes',
    subject: 'guest',
    async begin(_, guest) {
      const { who, other } = guest;
      const session = await other.createCDPSession();
      void session.send('Page.crash').catch(() => undefined);
      await delay(100);
      guest.other = await who.tab();
      void other.close().catch(() => undefined);
    },
  },
  {
    name: 'tab is closed',
    subject: 'guest',
    async begin(_, guest) {
      const { page } = guest;
      guest.page = await guest.who.tab();
      await page.close();
    },
  },
];
