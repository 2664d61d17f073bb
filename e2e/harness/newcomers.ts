/** Who serves a visitor in time is chance while this machine stalls: what is to be seen may be seen of the next one. */
import assert from 'node:assert/strict';
import { visitor } from './browsers.ts';
import type { Launched, Visitor } from './browsers.ts';
import type { Scope } from './cleanup.ts';
import { explained } from './page.ts';

/**
 * Has newcomers visit, one after the other, until one is served as it should be, and gives that one. `visit` gives
 * what was wrong, if anything; what must not happen to any of them, it throws.
 */
export async function oneOfNewcomers(
  scope: Scope,
  browser: Launched,
  others: readonly Visitor[],
  visit: (who: Visitor) => Promise<string | undefined>,
): Promise<Visitor> {
  const wrong: string[] = [];
  while (wrong.length < 4) {
    const who = await visitor(scope, browser);
    const fault = await explained([...others, who], () => visit(who));
    if (fault === undefined) return who;
    wrong.push(fault);
    await who.close();
  }
  assert.fail(`of ${wrong.length} newcomers none was served as it should be: ${wrong.join('; ')}`);
}
