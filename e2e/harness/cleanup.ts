/**
 * What a test starts, it ends: every process, server, browser and folder is registered with the test that made it and
 * is closed when that test is over, last made first, whether it passed or not.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The part of a test (or suite) context that cleaning up needs; `{ after }` of node:test itself is one also. */
export interface Scope {
  after(fn: () => Promise<void>): void;
}

const stacks = new WeakMap<Scope, Array<() => unknown>>();

/** Runs `close` when the test is over; closers run in the reverse of their order, and a failing one stops no other. */
export function onEnd(scope: Scope, close: () => unknown): void {
  const known = stacks.get(scope);
  if (known !== undefined) {
    known.push(close);
    return;
  }
  const stack = [close];
  stacks.set(scope, stack);
  scope.after(async () => {
    const failures: unknown[] = [];
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      try {
        await next();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'cleaning up after the test');
  });
}

/** A new empty folder that lives as long as the test. */
export async function temporaryFolder(scope: Scope, name = 'site'): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), `planktos-e2e-${name}-`));
  onEnd(scope, () => rm(dir, { recursive: true, force: true, maxRetries: 10 }));
  return dir;
}
