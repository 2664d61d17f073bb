/** The program under test: built once per test file, unless PLANKTOS_BIN names one that is built already. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Scope } from './cleanup.ts';
import { check, start } from './process.ts';
import type { Running } from './process.ts';

/** The repository's root. */
export const root = fileURLToPath(new URL('../..', import.meta.url));

let built: Promise<string> | undefined;

/** Path of the planktos program. */
export function binary(): Promise<string> {
  built ??= process.env['PLANKTOS_BIN'] ? Promise.resolve(process.env['PLANKTOS_BIN']) : build();
  return built;
}

async function build(): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'planktos-e2e-bin-'));
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, 'planktos');
  await check('go', ['build', '-o', path, './cmd/planktos'], { cwd: root, timeoutMs: 300_000 });
  return path;
}

/** Packs a folder in place and gives what `--json` says. Nothing public is contacted: trackers and ICE are none. */
export async function pack(dir: string, ...args: string[]): Promise<Record<string, unknown>> {
  const defaults = [
    ...(args.some((arg) => arg.startsWith('--tracker')) ? [] : ['--tracker', 'none']),
    ...(args.some((arg) => arg.startsWith('--ice')) ? [] : ['--ice', 'none']),
  ];
  const out = await check(await binary(), ['pack', '--json', ...defaults, ...args], { cwd: dir });
  return JSON.parse(out) as Record<string, unknown>;
}

export interface Served {
  /** root URL of the site, ending in a slash */
  url: string;
  process: Running;
}

/** `planktos serve DIR` on a free loopback port. */
export async function serve(scope: Scope, dir: string, ...args: string[]): Promise<Served> {
  const process = start(scope, await binary(), ['serve', dir, '--addr', '127.0.0.1:0', ...args]);
  const url = urlIn(await process.line((line) => /https?:\/\//.test(line)));
  return { url, process };
}

/** `planktos tracker` on a free loopback port; its URL is a ws: URL. */
export async function tracker(scope: Scope, ...args: string[]): Promise<Served> {
  const process = start(scope, await binary(), ['tracker', '--addr', '127.0.0.1:0', ...args]);
  const url = urlIn(await process.line((line) => /(ws|http)s?:\/\//.test(line))).replace(/^http/, 'ws');
  return { url, process };
}

function urlIn(line: string): string {
  const url = /(?:https?|wss?):\/\/[^\s"']+/.exec(line)![0];
  return url.endsWith('/') ? url : `${url}/`;
}
