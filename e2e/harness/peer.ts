/**
 * A peer that a test scripts: it joins the swarm through the tracker (WebTorrent's protocol), speaks the peer wire
 * (BEP 3, 6) over a data channel, claims to have every piece, and then behaves as badly as it was told to. It runs in a
 * page, since that is where WebRTC is.
 */
import type { Page } from 'puppeteer-core';

export type Temper =
  /** answers every request with bytes of its own making */
  | 'lies'
  /** gives the first block of a piece, and nothing more ever after */
  | 'stalls'
  /** gives the first block of a piece, and closes the connection */
  | 'vanishes'
  /** rejects every request for what it said it had */
  | 'lacks'
  /** asks for everything, all the time, and says that it has it, and never reads an answer */
  | 'floods'
  /** announces a message of a gigabyte */
  | 'oversize'
  /** sends noise */
  | 'garbage';

export interface ScriptedPeer {
  /** bytes of blocks that it was asked for */
  asked(): Promise<number>;
  /** bytes of blocks that it sent */
  told(): Promise<number>;
  /** data channels that have opened so far */
  met(): Promise<number>;
  /** data channels that are open */
  open(): Promise<number>;
}

export interface Swarm {
  tracker: string;
  infoHash: string;
  /** number of pieces of the torrent */
  pieces: number;
  /** bytes */
  pieceLength: number;
  /** where the pieces' bytes can be had: by path and first piece of each content, below the page's own origin */
  files: Array<[path: string, piece: number]>;
}

/** Joins the swarm; resolves when the tracker knows the peer. */
export async function script(page: Page, swarm: Swarm, temper: Temper): Promise<ScriptedPeer> {
  await page.evaluate(join, swarm, temper);
  const count = (name: string) => (): Promise<number> =>
    page.evaluate((key) => (Reflect.get(window, 'counts') as Record<string, number>)[key]!, name);
  return { asked: count('asked'), told: count('told'), met: count('met'), open: count('open') };
}

/** Runs in the page, and so uses nothing from outside itself. */
async function join(swarm: Swarm, temper: Temper): Promise<void> {
  const { tracker, infoHash, pieces, pieceLength, files } = swarm;
  const hash = Uint8Array.from(infoHash.match(/../g)!, (digits) => parseInt(digits, 16));
  const binary = (bytes: Uint8Array): string => String.fromCharCode(...bytes);
  const me = new TextEncoder().encode('-XX0001-' + Math.random().toString(36).slice(2).padEnd(12, '0').slice(0, 12));
  const counts = { asked: 0, told: 0, met: 0, open: 0 };
  Reflect.set(window, 'counts', counts);

  const socket = new WebSocket(tracker);
  await new Promise((opened, failed) => {
    socket.onopen = opened;
    socket.onerror = failed;
  });
  const send = (message: object): void =>
    socket.send(JSON.stringify({ action: 'announce', info_hash: binary(hash), peer_id: binary(me), ...message }));

  const contents = new Map<string, Promise<Uint8Array>>();
  /** the true bytes of a block */
  const truth = async (piece: number, begin: number, length: number): Promise<Uint8Array> => {
    const [path, first] = files.findLast(([, start]) => start <= piece)!;
    const load = async (): Promise<Uint8Array> =>
      new Uint8Array(await (await fetch('/' + path.split('/').map(encodeURIComponent).join('/'))).arrayBuffer());
    const content = contents.get(path) ?? load();
    contents.set(path, content);
    const start = (piece - first) * pieceLength + begin;
    return (await content).slice(start, start + length);
  };

  const message = (id: number, ...parts: Uint8Array[]): Uint8Array<ArrayBuffer> => {
    const length = parts.reduce((total, part) => total + part.length, 1);
    const out = new Uint8Array(4 + length);
    new DataView(out.buffer).setUint32(0, length);
    out[4] = id;
    let at = 5;
    for (const part of parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  };

  const words = (...numbers: number[]): Uint8Array => {
    const out = new DataView(new ArrayBuffer(4 * numbers.length));
    numbers.forEach((number, i) => out.setUint32(4 * i, number));
    return new Uint8Array(out.buffer);
  };

  const speak = (channel: RTCDataChannel): void => {
    channel.binaryType = 'arraybuffer';
    let inbox = new Uint8Array(0);
    let greeted = false;
    let gone = false;
    const say = (bytes: Uint8Array<ArrayBuffer>): void => {
      if (channel.readyState === 'open') channel.send(bytes);
    };
    const greet = (): void => {
      counts.met++;
      counts.open++;
      const handshake = new Uint8Array(68);
      handshake[0] = 19;
      handshake.set(new TextEncoder().encode('BitTorrent protocol'), 1);
      handshake[27] = 0x04; // BEP 6
      handshake.set(hash, 28);
      handshake.set(me, 48);
      say(handshake);
      const bitfield = new Uint8Array(Math.ceil(pieces / 8));
      for (let piece = 0; piece < pieces; piece++) bitfield[piece >> 3]! |= 0x80 >> (piece & 7);
      say(message(5, bitfield));
      say(message(1)); // unchoke
      say(message(2)); // interested
      if (temper === 'floods') flood();
      if (temper === 'oversize') say(Uint8Array.of(0x40, 0, 0, 0, 7, 1, 2, 3));
      if (temper === 'garbage') say(crypto.getRandomValues(new Uint8Array(60_000)));
    };
    /** Every block of every piece, again and again, as fast as the channel takes it. */
    const flood = (): void => {
      if (channel.readyState !== 'open') return;
      for (let piece = 0; piece < pieces && channel.bufferedAmount < 1 << 20; piece++) {
        for (let begin = 0; begin < pieceLength; begin += 16384) say(message(6, words(piece, begin, 16384)));
        say(message(4, words(piece))); // have
      }
      setTimeout(flood);
    };
    channel.onclose = () => void counts.open--;
    const answer = async (request: Uint8Array<ArrayBuffer>): Promise<void> => {
      const view = new DataView(request.buffer);
      const [piece, begin, length] = [view.getUint32(0), view.getUint32(4), view.getUint32(8)];
      counts.asked += length;
      if (temper === 'lacks') return say(message(16, request));
      const block = temper === 'lies' ? new Uint8Array(length).fill(0x21) : await truth(piece, begin, length);
      if (temper !== 'lies' && (begin > 0 || gone)) return;
      say(message(7, request.slice(0, 8), block));
      counts.told += length;
      if (temper !== 'vanishes') return;
      gone = true;
      channel.close();
    };
    channel.onmessage = ({ data }: MessageEvent<ArrayBuffer>) => {
      const joined = new Uint8Array(inbox.length + data.byteLength);
      joined.set(inbox);
      joined.set(new Uint8Array(data), inbox.length);
      inbox = joined;
      if (!greeted) {
        if (inbox.length < 68) return;
        inbox = inbox.slice(68);
        greeted = true;
      }
      while (inbox.length >= 4) {
        const view = new DataView(inbox.buffer, inbox.byteOffset);
        const length = view.getUint32(0);
        if (inbox.length < 4 + length) return;
        if (inbox[4] === 6) {
          // request: piece, begin, length
          void answer(inbox.slice(5, 17));
        }
        inbox = inbox.slice(4 + length);
      }
    };
    if (channel.readyState === 'open') greet();
    else channel.onopen = greet;
  };

  const welcomed = new Promise<void>((known) => {
    socket.onmessage = async ({ data }: MessageEvent<string>) => {
      const { offer, offer_id, peer_id, interval } = JSON.parse(data) as {
        offer?: RTCSessionDescriptionInit;
        offer_id?: string;
        peer_id?: string;
        interval?: number;
      };
      if (interval !== undefined) known();
      if (offer === undefined) return;
      const connection = new RTCPeerConnection();
      connection.ondatachannel = ({ channel }) => speak(channel);
      await connection.setRemoteDescription(offer);
      await connection.setLocalDescription();
      await new Promise<void>((gathered) => {
        const look = (): void => void (connection.iceGatheringState === 'complete' && gathered());
        connection.onicegatheringstatechange = look;
        look();
      });
      send({ to_peer_id: peer_id, offer_id, answer: connection.localDescription });
    };
  });
  send({ event: 'started', numwant: 0, uploaded: 0, downloaded: 0, left: 0, offers: [] });
  await welcomed;
}
