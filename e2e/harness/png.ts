/** A PNG of noise (W3C PNG, 3rd edition): a real picture that no compression makes smaller. */
import { crc32, deflateSync } from 'node:zlib';
import { noise } from './bytes.ts';

const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** `side` x `side` pixels, 8-bit RGB: about 3 * side² bytes. */
export function noisePng(seed: string, side: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0); // width
  header.writeUInt32BE(side, 4); // height
  header.set([8, 2, 0, 0, 0], 8); // depth, colour type RGB, deflate, adaptive filters, not interlaced
  const stride = 1 + 3 * side; // each row begins with its filter: 0, none
  const rows = noise(seed, stride * side);
  for (let y = 0; y < side; y++) rows[y * stride] = 0;
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows, { level: 0 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** length, type, data, CRC-32 of type and data */
function chunk(type: string, data: Buffer): Buffer {
  const typed = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32(typed));
  return Buffer.concat([length, typed, crc]);
}
