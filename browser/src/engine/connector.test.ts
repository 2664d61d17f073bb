import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createConnector } from './connector.ts';
import type { Joined, Link, ToHost } from './rtc.ts';

const infoHash = 'ab'.repeat(20);
const torrent = { infoHash, trackers: [], ice: [], peers: 1, progress: {} } as unknown as Joined;

function setUp() {
  const posted: ToHost[] = [];
  const links: Link[] = [];
  const connector = createConnector(
    (message) => posted.push(message),
    (link) => {
      links.push(link);
      link.channel.onmessage = (event) => heard.push(event.data as string);
    },
  );
  const heard: string[] = [];
  const made = (id: string, ours: boolean, readyState: RTCDataChannelState): RTCDataChannel => {
    const channel = Object.assign(new EventTarget(), { readyState, onopen: null, onmessage: null });
    connector.onHost({ type: 'channel', id, infoHash, ours, channel: channel as unknown as RTCDataChannel });
    return channel as unknown as RTCDataChannel;
  };
  const say = (channel: RTCDataChannel, data: string): void => {
    channel.onmessage?.(Object.assign(new Event('message'), { data }) as MessageEvent);
  };
  return { connector, posted, links, heard, made, say };
}

test('a channel of ours is given when it opens, or at once if it has opened before this thread ran', () => {
  const { connector, links, heard, made, say } = setUp();
  connector.meet(torrent);
  const late = made('late', true, 'connecting');
  // Chromium may tell of a message first.
  say(late, 'handshake');
  made('open', true, 'open');
  assert.deepEqual(
    links.map(({ id }) => id),
    ['open'],
  );
  late.onopen?.(new Event('open'));
  assert.deepEqual(
    links.map(({ id }) => id),
    ['open', 'late'],
  );
  assert.deepEqual(heard, ['handshake']);
});

test('a channel of a torrent that is not met yet waits for that, with what it has heard', () => {
  const { connector, links, heard, made, say } = setUp();
  const channel = made('early', true, 'open');
  const gone = made('gone', true, 'open');
  say(channel, 'handshake');
  say(channel, 'bitfield');
  say(gone, 'handshake');
  connector.onHost({ type: 'closed', id: 'gone' });
  assert.deepEqual([links, heard], [[], []]);
  connector.meet(torrent);
  say(channel, 'unchoke');
  assert.deepEqual(
    links.map(({ id }) => id),
    ['early'],
  );
  assert.deepEqual(heard, ['handshake', 'bitfield', 'unchoke']);
});

test('who says too much before it is listened to is closed', () => {
  const { posted, made, say } = setUp();
  const channel = made('flood', true, 'open');
  for (let i = 0; i < 100; i++) say(channel, 'more');
  assert.deepEqual(posted, []);
  say(channel, 'more');
  assert.deepEqual(posted, [{ type: 'close', id: 'flood' }]);
});
