/** Trackers that are of no use, each in its own way. */
import { createHash } from 'node:crypto';
import net from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { onEnd } from './cleanup.ts';
import type { Scope } from './cleanup.ts';

export type Fault =
  /** refuses connections */
  | 'down'
  /** accepts connections and never says anything */
  | 'hangs'
  /** answers the upgrade with 403 */
  | 'refuses'
  /** upgrades, and answers everything with a failure (BEP 3) */
  | 'fails'
  /** upgrades, and talks nonsense */
  | 'babbles';
export const faults: readonly Fault[] = ['down', 'hangs', 'refuses', 'fails', 'babbles'];

export interface BadTracker {
  url: string;
  /** connections that were made to it */
  connections(): number;
}

const nonsense = [
  '',
  '{',
  '[]',
  'null',
  '"text"',
  '{"action":"announce"}',
  '{"action":"announce","info_hash":7,"interval":-1}',
  `{"action":"announce","interval":1e999,"complete":-5,"incomplete":"many"}`,
  `{"offer":{"type":"offer","sdp":"v=0"},"offer_id":"x","peer_id":"y","info_hash":"z"}`,
  '{"__proto__":{"offer":1},"constructor":null}',
  JSON.stringify({ 'failure reason': { toString: 1 } }),
  `{"x":"${'y'.repeat(70_000)}"}`,
];

/** Starts one that lives as long as the test. */
export async function badTracker(scope: Scope, fault: Fault): Promise<BadTracker> {
  let connections = 0;
  const sockets = new Set<Socket>();
  const server = net.createServer((socket) => {
    connections++;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    let upgraded = false;
    socket.on('data', (data) => {
      if (fault === 'hangs') return;
      if (fault === 'refuses') return void socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n');
      const key = /^sec-websocket-key: *(\S+)/im.exec(data.toString('latin1'))?.[1];
      if (key && !upgraded) {
        upgraded = true;
        socket.write(accepted(key));
        if (fault === 'babbles') for (const text of nonsense) socket.write(frame(text));
      } else if (fault === 'fails') {
        socket.write(frame('{"failure reason":"not today"}'));
      } else {
        for (const text of nonsense) socket.write(frame(text));
      }
    });
  });
  // Each on an address of its own: a browser may open one WebSocket to an address at a time (RFC 6455, 4.1).
  const address = `127.0.0.${10 + faults.indexOf(fault)}`;
  await new Promise<void>((listening) => server.listen(0, address, listening));
  const stop = (): void => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  const { port } = server.address() as AddressInfo;
  if (fault === 'down') stop();
  else onEnd(scope, stop);
  return { url: `ws://${address}:${port}/`, connections: () => connections };
}

/** The answer to a WebSocket's opening handshake (RFC 6455, 4.2.2). */
function accepted(key: string): string {
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  const fields = ['Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accept}`];
  return `HTTP/1.1 101 Switching Protocols\r\n${fields.join('\r\n')}\r\n\r\n`;
}

/** A text frame, unmasked (RFC 6455, 5.2). */
function frame(text: string): Buffer {
  const payload = Buffer.from(text);
  const head = Buffer.alloc(payload.length < 126 ? 2 : 10);
  head[0] = 0x81;
  if (payload.length < 126) head[1] = payload.length;
  else {
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(payload.length), 2);
  }
  return Buffer.concat([head, payload]);
}
