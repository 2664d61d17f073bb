import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { relay, relayedChannel } from './relay.ts';

/** A channel that hands over what it is sent only when told. */
class FakeChannel extends EventTarget {
  readyState = 'connecting';
  binaryType = 'blob';
  bufferedAmount = 0;
  bufferedAmountLowThreshold = 0;
  sent: ArrayBuffer[] = [];
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onbufferedamountlow: (() => void) | null = null;
  send(data: ArrayBuffer): void {
    assert.equal(this.readyState, 'open');
    this.bufferedAmount += data.byteLength;
    this.sent.push(data);
    this.dispatchEvent(new Event('sent'));
  }
  drain(): void {
    this.bufferedAmount = 0;
    this.onbufferedamountlow?.();
  }
  close(): void {
    if (this.readyState === 'closed') return;
    this.readyState = 'closed';
    this.dispatchEvent(new Event('closed'));
    this.onclose?.();
  }
}

async function pair() {
  const { port1, port2 } = new MessageChannel();
  const channel = new FakeChannel();
  relay(channel as unknown as RTCDataChannel, port1);
  const far = relayedChannel(port2);
  channel.readyState = 'open';
  channel.onopen!();
  await once(far, 'open');
  return { channel, far };
}

test('data goes both ways, and the sender keeps its buffer', async () => {
  const { channel, far } = await pair();
  const bytes = Uint8Array.of(9, 1, 2, 3, 9);
  far.send(bytes.subarray(1, 4));
  await once(channel, 'sent');
  assert.deepEqual([...new Uint8Array(channel.sent[0]!)], [1, 2, 3]);
  assert.equal(bytes.byteLength, 5);
  const message = once(far, 'message') as Promise<[MessageEvent<ArrayBuffer>]>;
  channel.onmessage!({ data: 'text is not for us' });
  channel.onmessage!({ data: Uint8Array.of(7).buffer });
  assert.deepEqual([...new Uint8Array((await message)[0].data)], [7]);
  far.close();
  await once(channel, 'closed');
});

test('what the channel has not sent counts as buffered', async () => {
  const { channel, far } = await pair();
  far.bufferedAmountLowThreshold = 100_000;
  const low = once(far, 'bufferedamountlow');
  for (let i = 0; i < 10; i++) far.send(new ArrayBuffer(100_000));
  assert.equal(far.bufferedAmount, 1_000_000);
  while (channel.sent.length < 3) await once(channel, 'sent');
  assert.equal(channel.sent.length, 3, 'the rest waits for the channel');
  while (channel.sent.length < 10) {
    channel.drain();
    if (channel.sent.length < 10 && !channel.bufferedAmount) await once(channel, 'sent');
  }
  await low;
  assert.equal(far.bufferedAmount <= 100_000, true);
  channel.close();
  await once(far, 'close');
  assert.equal(far.readyState, 'closed');
  assert.throws(() => far.send(new ArrayBuffer(1)), { name: 'InvalidStateError' });
});
