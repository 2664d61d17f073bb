/** Go programs of the benchmarks, compiled once a run. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../../e2e/harness/planktos.ts';
import { check } from '../../e2e/harness/process.ts';

const built = new Map<string, Promise<string>>();

/** Compiles a package by `go` and these arguments (`build`; `test -c`), and gives the program's path. */
export function program(pkg: string, ...args: string[]): Promise<string> {
  const known = built.get(pkg);
  if (known) return known;
  const dir = mkdtempSync(join(tmpdir(), 'planktos-bench-'));
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, 'program');
  const building = check('go', [...args, '-o', path, pkg], { cwd: root, timeoutMs: 300_000 }).then(() => path);
  built.set(pkg, building);
  return building;
}
