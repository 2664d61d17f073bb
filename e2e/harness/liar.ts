/**
 * A peer that lies: it joins the swarm through the tracker (WebTorrent's protocol), speaks the peer wire (BEP 3) over
 * a data channel, claims to have every piece, and answers every request with bytes of its own making. It runs in a
 * page, since that is where WebRTC is.
 */
import type { Page } from 'puppeteer-core';

export interface Liar {
  /** bytes of lies told so far */
  told(): Promise<number>;
  /** data channels that are open */
  open(): Promise<number>;
}

export interface Swarm {
  tracker: string;
  infoHash: string;
  /** number of pieces of the torrent */
  pieces: number;
}

/** Joins the swarm; resolves when the tracker knows the liar. */
export async function lie(page: Page, swarm: Swarm): Promise<Liar> {
  await page.evaluate(joinAndLie, swarm);
  return {
    told: () => page.evaluate(() => Reflect.get(window, 'told') as number),
    open: () => page.evaluate(() => Reflect.get(window, 'channels') as number),
  };
}

/** Runs in the page, and so uses nothing from outside itself. */
async function joinAndLie({ tracker, infoHash, pieces }: Swarm): Promise<void> {
  const hash = Uint8Array.from(infoHash.match(/../g)!, (digits) => parseInt(digits, 16));
  const binary = (bytes: Uint8Array): string => String.fromCharCode(...bytes);
  const me = new TextEncoder().encode('-LI0001-' + Math.random().toString(36).slice(2).padEnd(12, '0').slice(0, 12));
  const state = window as unknown as { told: number; channels: number };
  state.told = 0;
  state.channels = 0;

  const socket = new WebSocket(tracker);
  await new Promise((opened, failed) => {
    socket.onopen = opened;
    socket.onerror = failed;
  });
  const send = (message: object): void =>
    socket.send(JSON.stringify({ action: 'announce', info_hash: binary(hash), peer_id: binary(me), ...message }));

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

  const speak = (channel: RTCDataChannel): void => {
    channel.binaryType = 'arraybuffer';
    let inbox = new Uint8Array(0);
    let greeted = false;
    const greet = (): void => {
      state.channels++;
      const handshake = new Uint8Array(68);
      handshake[0] = 19;
      handshake.set(new TextEncoder().encode('BitTorrent protocol'), 1);
      handshake.set(hash, 28);
      handshake.set(me, 48);
      channel.send(handshake);
      const bitfield = new Uint8Array(Math.ceil(pieces / 8));
      for (let piece = 0; piece < pieces; piece++) bitfield[piece >> 3]! |= 0x80 >> (piece & 7);
      channel.send(message(5, bitfield));
      channel.send(message(1)); // unchoke
    };
    channel.onclose = () => void state.channels--;
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
          // request: piece, begin, length; answered by piece, begin, block
          const size = view.getUint32(13);
          const block = new Uint8Array(size).fill(0x21);
          channel.send(message(7, inbox.slice(5, 13), block));
          state.told += size;
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
