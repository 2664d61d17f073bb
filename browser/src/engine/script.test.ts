/**
 * Peers played by tests, message by message, and the visitors that they meet. (A test file by name alone, so that no
 * build takes it up.)
 */
import type { TestContext } from 'node:test';
import { unhex } from '../shared/bytes.ts';
import { decodeFetching, encodeExtended, encodeFetching, fetchingId, type Run } from '../shared/extended.ts';
import { encode, encodeHandshake, Reader, type Bytes, type Message } from '../shared/wire.ts';
import { asLink, channelPair, infoHash, Visitor, type FakeChannel, type Site } from './testing.test.ts';

/** of sites that say nothing else */
export const pieceLength = 32768;

export async function visitors(t: TestContext, site: Site, ...held: number[][]): Promise<Visitor[]> {
  const all = await Promise.all(
    held.map((indexes) => new Visitor().begin(site, indexes.map((index) => site.files[index]!))),
  );
  t.after(() => all.forEach((visitor) => visitor.close()));
  for (const [i, visitor] of all.entries()) {
    if (held[i]!.length) await visitor.until(() => visitor.wants.size > 0);
    // Configured in order before it, so it is answered when the engine knows the site.
    else await visitor.get(site.files[0]!, { start: 9, end: 9 }).got;
  }
  return all;
}

/** Waits until `count` peers hold the site's first file and have unchoked the visitor. */
export async function served(visitor: Visitor, site: Site, count = 1): Promise<void> {
  await visitor.until(() => visitor.core.sources(site.files[0]!.content)(0).holders.length === count);
}

/** A peer played by the test, message by message. */
export class Script {
  readonly heard: Message[] = [];
  readonly channel: FakeChannel;
  reply: (message: Message, send: (message: Message) => void) => void = () => {};

  constructor(
    visitor: Visitor,
    id: string,
    options: { fast?: boolean; v2?: boolean; extended?: boolean; hash?: string } = {},
  ) {
    const [mine, theirs] = channelPair();
    this.channel = mine;
    mine.binaryType = 'arraybuffer';
    const reader = new Reader(1 << 20);
    mine.onmessage = ({ data }) => {
      for (const message of reader.push(new Uint8Array(data as ArrayBuffer))) {
        if (message.type === 'handshake') continue;
        this.heard.push(message);
        this.reply(message, (answer) => this.send(answer));
      }
    };
    visitor.onLink!(asLink(theirs, id));
    const { fast = true, v2 = false, extended = false, hash = infoHash } = options;
    const peerId = new TextEncoder().encode(id.padEnd(20, '-').slice(0, 20));
    mine.send(encodeHandshake({ infoHash: unhex(hash), peerId, extended, fast, v2 }));
    if (extended) this.send({ type: 'extended', id: 0, payload: encodeExtended(250) });
  }

  fetching(active: boolean, runs: Run[]): void {
    this.send({ type: 'extended', id: fetchingId, payload: encodeFetching({ active, runs }) });
  }

  /** The runs that it was told of, in order. */
  told(): [boolean, number, number][] {
    const messages = this.of('extended').filter(({ id }) => id === fetchingId);
    return messages.flatMap(({ payload }) => {
      const { active, runs } = decodeFetching(payload, 1e6);
      return runs.map(({ first, count }): [boolean, number, number] => [active, first, count]);
    });
  }

  send(message: Message): void {
    if (this.channel.readyState === 'open') this.channel.send(encode(message));
  }

  of<T extends Message['type']>(type: T): Extract<Message, { type: T }>[] {
    return this.heard.filter((message) => message.type === type) as Extract<Message, { type: T }>[];
  }
}

/** Serves blocks of the torrent that is `data` from piece 0. */
export function seeder(data: Bytes, change: (block: Bytes, begin: number) => Bytes = (block) => block): Script['reply'] {
  return (message, send) => {
    if (message.type === 'interested') send({ type: 'unchoke' });
    if (message.type !== 'request') return;
    const { piece, begin, length } = message;
    const start = piece * pieceLength + begin;
    send({ type: 'piece', piece, begin, block: change(data.slice(start, start + length), start) });
  };
}

export function seed(script: Script, data: Bytes, change?: (block: Bytes, begin: number) => Bytes): Script {
  script.reply = seeder(data, change);
  script.send({ type: 'haveAll' });
  return script;
}
