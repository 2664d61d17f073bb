/** The end of a download: what somebody has begun to bring, and is slow with, is had from whoever is not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pieceLength, Script, seeder, served, visitors } from './script.test.ts';
import type { Swarm } from './swarm.ts';
import { connect, layerOf, makeSite, noise, scope } from './testing.test.ts';

test('a peer with nothing to do brings what has been asked of one that is slow, which is told', async (t) => {
  const site = await makeSite([noise(24 * pieceLength, 1)]);
  const [a, b] = await visitors(t, site, [0], []);
  const [file] = site.files;
  // In no time anybody is late or stalls.
  b!.clockRate = 0.01;
  const slow = new Script(b!, 'slow');
  const answer = seeder(file!.data);
  slow.reply = (message, send) => message.type !== 'request' && answer(message, send);
  slow.send({ type: 'haveAll' });
  connect(a!, b!);
  await served(b!, site, 2);
  assert.deepEqual((await b!.get(file!, { peersOnly: true }).got).data, file!.data);
  assert.ok(slow.of('request').length > 1);
  const [{ peers }] = b!.core.swarms() as [Swarm];
  assert.ok([...peers].every(({ stalled }) => !stalled), 'it did not have to stall first');
  await b!.until(() => slow.of('cancel').length === slow.of('request').length);
  await a!.until(() => a!.counts.uploaded >= file!.data.length);
  assert.equal(a!.counts.uploaded, file!.data.length, 'and is asked for nothing twice');
  assert.equal(b!.core.memory.left, 16 << 20);
});

test('what a slow web seed has begun is had from a peer that has it, and the web seed let go', async (t) => {
  const site = await makeSite([noise(40 * pieceLength, 1)]);
  const [a, b] = await visitors(t, site, [0], []);
  const [file] = site.files;
  const layer = await layerOf(file!.data, pieceLength);
  let aborted = false;
  // It never stops, and never gets anywhere.
  b!.fetch = async (url, { signal }) => {
    if (url.endsWith('.layer')) return new Response(layer);
    assert.equal(url, scope + encodeURI(file!.path));
    let at = 0;
    const send = (controller: ReadableStreamDefaultController, to: number): void => {
      controller.enqueue(file!.data.slice(at, to));
      at = to;
    };
    return new Response(
      new ReadableStream({
        start(controller) {
          send(controller, pieceLength + 1);
          const timer = setInterval(() => send(controller, at + 1), 100);
          signal!.addEventListener('abort', () => {
            clearInterval(timer);
            aborted = true;
            controller.error(new Error('aborted'));
          });
        },
      }),
    );
  };
  const other = new Script(b!, 'other');
  other.send({ type: 'haveNone' });
  // Late it is not: what is, both are asked for.
  const { got } = b!.get(file!, { deadlineMs: 1e6 });
  await b!.until(() => b!.counts.origin > 0);
  connect(a!, b!);
  await served(b!, site);
  assert.deepEqual([b!.counts.peers, aborted], [0, false], 'it is given its time');
  b!.skewMs += 5000;
  assert.deepEqual((await got).data, file!.data);
  await b!.until(() => aborted);
  assert.deepEqual([b!.counts.origin, b!.counts.peers], [pieceLength, 39 * pieceLength]);
  assert.equal(b!.fetched.filter(({ url }) => !url.endsWith('.layer')).length, 1, 'and is not asked again');
});
