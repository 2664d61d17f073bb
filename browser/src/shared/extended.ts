/**
 * The extension protocol's handshake (BEP 10): a bencoded dictionary in the extended message 0. We speak no extension,
 * and of a peer's handshake only `reqq` is of use, so that is all that is looked for.
 */
import type { Bytes } from './wire.ts';

const maxBytes = 16384;

/** Our handshake: no extensions, and `reqq`, how many requests we queue. */
export function encodeExtended(reqq: number): Bytes {
  return new TextEncoder().encode(`d1:mde4:reqqi${reqq}e1:v8:Planktose`);
}

/** How many requests a peer queues, at least 1; undefined if it does not say so. */
export function decodeReqq(payload: Bytes): number | undefined {
  if (payload.length > maxBytes) return undefined;
  const told = /4:reqqi0*([1-9]\d{0,8})e/.exec(new TextDecoder('latin1').decode(payload));
  return told ? Number(told[1]) : undefined;
}
