/**
 * `make soak`: visitors browse while, at random, the origin, the tracker, a seeder, their worker or their tabs fail. What
 * goes wrong when, and who goes where, is drawn by a seed, which is printed: `--seed` plays it again.
 *
 * - A page is broken if it does not arrive whole while the origin is well, whatever else is not; or if it was disturbed
 *   by its own worker or tab, and is not whole when it is loaded again.
 * - Bytes are wrong that a page is given, with status 200, and that are not the site's: at any time.
 * - A file is lost that a visitor had stored whole and has not any more, or not whole.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { main } from '../harness/scope.ts';
import { Random } from './random.ts';
import { pages, stored, visit, wrongBytes } from './visit.ts';
import { build, faults } from './world.ts';
import type { Fault, Guest } from './world.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: `${Math.floor(Math.random() * 2 ** 32)}` },
    faults: { type: 'string', default: '50' },
    visitors: { type: 'string', default: '3' },
    /** ends earlier then, between two faults */
    minutes: { type: 'string', default: 'Infinity' },
    verbose: { type: 'boolean', default: false },
  },
});

/** A fault begins so long after the visits, at the latest. */
const spreadMs = 600;
/** One that lasts does so for so many rounds, at the most. */
const maxRounds = 3;

await main(async (scope) => {
  const count = Number(values.faults);
  console.log(`soak: --seed ${values.seed} --faults ${count} --visitors ${values.visitors}`);
  const random = new Random(Number(values.seed));
  const world = await build(scope, Number(values.visitors));
  const lasting = new Map<Fault['subject'], { fault: Fault; rounds: number }>();
  const had = new Map<Guest, Set<string>>();
  let wrong = 0;
  const complain = (line: string): void => {
    wrong++;
    console.log(`  ${line}`);
  };
  const tally = { visits: 0, whole: 0, unreachable: 0, again: 0 };

  const check = async (round: string, guest: Guest, i: number): Promise<void> => {
    const { whole, wrong: partial } = await stored(guest.page);
    const lost = [...(had.get(guest) ?? [])].filter((name) => !whole.includes(name));
    for (const name of [...lost, ...partial]) complain(`${round}: visitor ${i} lost ${name}`);
    had.set(guest, new Set(whole));
    for (const path of await wrongBytes(world, guest.page)) complain(`${round}: visitor ${i}: wrong bytes of ${path}`);
  };

  const endMs = Date.now() + Number(values.minutes) * 60_000;
  let done = 0;
  while (done < count && Date.now() < endMs) {
    for (const [subject, { fault, rounds }] of lasting) {
      if (rounds > 0) lasting.set(subject, { fault, rounds: rounds - 1 });
      else {
        await fault.heal!(world);
        lasting.delete(subject);
      }
    }
    const well = !lasting.has('origin');
    const fault = random.pick(faults.filter(({ subject }) => !lasting.has(subject)));
    const at = random.below(world.guests.length);
    const guest = world.guests[at]!;
    const afterMs = random.below(spreadMs);
    const ways = world.guests.map(() => random.pick(pages));
    if (fault.heal) lasting.set(fault.subject, { fault, rounds: 1 + random.below(maxRounds) });
    done++;
    const round = `${done}, ${fault.name}${fault.heal ? '' : ` (visitor ${at})`}`;
    if (values.verbose) console.log(`${round}; lasting: ${[...lasting.values()].map((each) => each.fault.name).join(', ')}`);

    const { page: visited } = guest;
    const begun = delay(afterMs).then(() => fault.begin(world, guest));
    const [results] = await Promise.all([
      Promise.all(world.guests.map(({ page }, i) => visit(world, page, ways[i]!))),
      begun,
    ]);
    for (const [i, each] of world.guests.entries()) {
      tally.visits++;
      let result = results[i]!;
      const disturbed = each === guest && fault.subject === 'guest';
      if (disturbed && (result || each.page !== visited)) {
        tally.again++;
        result = await visit(world, each.page, ways[i]!);
      }
      const served = well && fault.subject !== 'origin';
      if (!result) tally.whole++;
      else if (served) complain(`${round}: visitor ${i} at ${ways[i]![1]}: ${result}`);
      else tally.unreachable++;
      // Only a page of the site can look at what is stored for it.
      if (!result) await check(round, each, i);
    }
  }
  for (const { fault } of lasting.values()) await fault.heal!(world);
  for (const [i, guest] of world.guests.entries()) {
    for (const way of pages) {
      const result = await visit(world, guest.page, way);
      if (result) complain(`in the end: visitor ${i} at ${way[1]}: ${result}`);
      else await check('in the end', guest, i);
    }
  }
  const { visits, whole, unreachable, again } = tally;
  console.log(
    `${done} faults, ${visits} visits: ${whole} whole (${again} loaded twice), ${unreachable} in an outage without the ` +
      `page; ${wrong} wrong`,
  );
  if (wrong > 0) process.exitCode = 1;
});
