/**
 * What a crowd costs the origin: many cores, one slow origin, and workers that have a few contents at a time from it while
 * the rest of their requests stand in the engine. With the extension by which peers say what they are fetching, and
 * without it.
 */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Bytes } from '../shared/wire.ts';
import { connect, makeSite, noise, Visitor, type FakeChannel, scope, type File, type Site } from './testing.test.ts';
import { put } from '../store/writer.ts';

const files = 24;
const fileBytes = 12_000;
/** of the origin, for everybody together */
const bytesPerMs = 1000;
/** turns of the event loop that it takes for a content at the least, so that on a busy machine it is slow, too */
const loopTurns = 20;
/** One process plays everybody, so that its cores are slow: their patience is stretched as much. */
const clockRate = 0.1;
/** contents that a worker has from the origin at a time */
const turns = 2;

/** A web server that sends one byte after the other, whoever asked for it. */
class SlowOrigin {
  sent = 0;
  #last = Promise.resolve();

  get(file: File): Promise<void> {
    this.sent += file.data.length;
    return (this.#last = this.#last.then(async () => {
      await new Promise((resolve) => setTimeout(resolve, file.data.length / bytesPerMs));
      for (let turn = 0; turn < loopTurns; turn++) await new Promise((resolve) => setImmediate(resolve));
    }));
  }
}

/** Loads a page of all files: the worker's part. Each file comes from peers or the origin, whichever is first. */
async function load(visitor: Visitor, site: Site, origin: SlowOrigin): Promise<void> {
  const open = new Map(site.files.map((file) => [file, visitor.get(file, { deadlineMs: 60_000 })]));
  const shuffled = [...site.files].map((file) => ({ file, at: Math.random() })).sort((a, b) => a.at - b.at);
  const running = new Set<Promise<void>>();
  for (const { file } of shuffled) {
    void open.get(file)!.got.then(({ outcome }) => {
      assert.equal(outcome, 'end');
      open.delete(file);
    });
  }
  const take = async (file: File): Promise<void> => {
    const { id } = open.get(file)!;
    open.delete(file);
    visitor.post({ type: 'cancel', id });
    visitor.post({ type: 'fetching', content: file.content, active: true });
    const began = performance.now();
    await origin.get(file);
    visitor.post({ type: 'origin', latencyMs: (performance.now() - began) * clockRate, bytesPerMs });
    await put(visitor.store, file.content, file.data);
    visitor.post({ type: 'have', content: file.content });
  };
  const lacking = (): File[] => shuffled.map(({ file }) => file).filter((file) => open.has(file));
  while (open.size) {
    const next = lacking().find((file) => {
      const { id } = open.get(file)!;
      return visitor.verdict(id) === undefined && visitor.expects.get(id) === false;
    });
    if (next && running.size < turns) {
      const one: Promise<void> = take(next).finally(() => running.delete(one));
      running.add(one);
    } else {
      await visitor.next();
    }
  }
  await Promise.all(running);
}

/** The origin's bytes as a share of what plain HTTP would have cost. */
async function share(t: TestContext, visitors: number, told: boolean): Promise<number> {
  const datas = Array.from({ length: files }, (_, i) => noise(fileBytes, i + 1));
  const site = await makeSite(datas, { pieceLength: 16384 });
  const origin = new SlowOrigin();
  const all: Visitor[] = [];
  t.after(() => all.forEach((visitor) => visitor.close()));
  const loads: Promise<void>[] = [];
  for (let i = 0; i < visitors; i++) {
    const visitor = await new Visitor().begin(site);
    visitor.clockRate = clockRate;
    // What peers left undone the engine has from the origin itself.
    visitor.fetch = async (url) => {
      const file = site.files.find(({ path }) => url === scope + encodeURIComponent(path))!;
      await origin.get(file);
      return new Response(file.data);
    };
    await visitor.get(site.files[0]!, { start: 9, end: 9 }).got;
    for (const other of all) {
      for (const end of connect(visitor, other)) if (!told) deafen(end);
    }
    await visitor.until(() => visitor.connections === all.length);
    all.push(visitor);
    loads.push(load(visitor, site, origin));
  }
  await Promise.all(loads);
  return origin.sent / (visitors * files * fileBytes);
}

/** Has a channel's end name another extension than ours in its handshake. */
function deafen(channel: FakeChannel): void {
  channel.tap = (data: Bytes) => {
    const text = Buffer.from(data).toString('latin1').replace('pk_fetching', 'pk_nothing_');
    return new Uint8Array(Buffer.from(text, 'latin1'));
  };
}

for (const visitors of [8, 16]) {
  test(`${visitors} visitors who arrive together cost the origin little more than one copy`, async (t) => {
    const without = await share(t, visitors, false);
    const told = await share(t, visitors, true);
    t.diagnostic(`origin's share ${told.toFixed(3)}, without the extension ${without.toFixed(3)}, floor ${1 / visitors}`);
    assert.ok(told < 3 / visitors, `${told}`);
    assert.ok(told < without, `${told}, without the extension ${without}`);
  });
}
