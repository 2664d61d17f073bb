import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chunkBytes, chunksOutstanding, type FromEngine } from '../shared/messages.ts';
import { Request } from './request.ts';

const end = 10 * chunkBytes;

/** A request for a content of which the first `there` bytes are here, and the lengths of what has been delivered. */
function request() {
  const state = { there: 0, ended: false };
  const lengths: number[] = [];
  const self = new Request({
    ...{ id: 1, path: 'a', start: 0, end, peersOnly: false, background: false, dueMs: 0 },
    post: (message: FromEngine) => message.type === 'chunk' && lengths.push(message.data.byteLength),
    done: () => (state.ended = true),
  });
  self.source = {
    available: (from) => Math.max(from, state.there),
    read: async (from, to) => new Uint8Array(to - from),
  };
  const have = async (bytes: number): Promise<number[]> => {
    state.there = bytes;
    self.pump();
    return settled();
  };
  const settled = async (): Promise<number[]> => {
    await new Promise(setImmediate);
    return lengths.splice(0);
  };
  return { self, state, have, settled };
}

test('the first bytes are delivered at once, whole chunks too, and others soon', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { self, have, settled } = request();
  assert.deepEqual(await have(100), [100]);
  assert.deepEqual(await have(300), []);
  assert.deepEqual(await have(100 + chunkBytes + 5), [chunkBytes]);
  self.pull();
  t.mock.timers.tick(19);
  assert.deepEqual(await have(100 + chunkBytes + 6), []);
  t.mock.timers.tick(1);
  assert.deepEqual(await settled(), [6]);
  assert.deepEqual(await have(100 + chunkBytes + 7), [], 'the next wait anew');
  t.mock.timers.tick(20);
  assert.deepEqual(await settled(), [1]);
  t.mock.timers.tick(20);
  assert.deepEqual(await have(100 + chunkBytes + 8), [1], 'what comes late is not kept back');
  self.cancel();
  t.mock.timers.tick(20);
  assert.deepEqual(await settled(), []);
});

test('it is pressing while more could be given than is here', async () => {
  const { self, state, have, settled } = request();
  assert.equal(self.pressing, true);
  assert.deepEqual(await have(end - 1), Array(chunksOutstanding).fill(chunkBytes));
  assert.equal(self.pressing, false, 'nobody reads what has been given');
  self.pull();
  await settled();
  assert.equal(self.pressing, false);
  state.there = 0;
  self.pull();
  assert.equal(self.pressing, true, 'nothing is left to give');
  state.there = end;
  assert.equal(self.pressing, false, 'everything is here');
  self.cancel();
});

test('the last bytes wait for nothing but the worker', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { self, state, have, settled } = request();
  assert.deepEqual(await have(end - 1), Array(chunksOutstanding).fill(chunkBytes));
  for (let i = 0; i < 10; i++) self.pull();
  assert.deepEqual(await settled(), Array(chunksOutstanding).fill(chunkBytes));
  for (let i = 0; i < 10; i++) self.pull();
  assert.deepEqual(await settled(), [chunkBytes]);
  assert.equal(state.ended, false);
  assert.deepEqual(await have(end), [chunkBytes]);
  assert.equal(state.ended, true);
});
