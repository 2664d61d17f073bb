/**
 * The extension protocol's handshake (BEP 10): a bencoded dictionary in the extended message 0.
 */
import type { Bytes } from './wire.ts';

/** What we understand of a peer's extension handshake. */
export interface ExtendedHandshake {
  /** extension names and the message ids the peer wants for them (1 to 255) */
  m: Map<string, number>;
  /** client name and version, at most 64 characters; empty if not told */
  v: string;
  /** how many requests the peer queues; undefined if not told */
  reqq: number | undefined;
}

const maxBytes = 16384;
const maxDepth = 8;

/** The extensions we speak and our message ids for them: the values of `m`. None so far. */
export function encodeExtended(handshake: { m: Map<string, number>; v: string; reqq: number }): Bytes {
  const m = [...handshake.m].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, id]) => `${text(name)}i${id}e`);
  return new TextEncoder().encode(`d1:md${m.join('')}e4:reqqi${handshake.reqq}e1:v${text(handshake.v)}e`);
}

function text(ascii: string): string {
  return `${ascii.length}:${ascii}`;
}

/** Undefined if the payload is no bencoded dictionary, too long or too deep. Values of unexpected types are absent. */
export function decodeExtended(payload: Bytes): ExtendedHandshake | undefined {
  if (payload.length > maxBytes) return undefined;
  let at = 0;

  const number = (end: number): number => {
    let digits = '';
    for (; at < payload.length && payload[at] !== end; at++) digits += String.fromCharCode(payload[at]!);
    if (at++ >= payload.length || !/^-?\d{1,15}$/.test(digits)) throw new RangeError('number');
    return Number(digits);
  };
  const string = (): string => {
    const length = number(0x3a);
    if (length < 0 || at + length > payload.length) throw new RangeError('string');
    at += length;
    return String.fromCharCode(...payload.subarray(at - length, Math.min(at, at - length + 64)));
  };
  const value = (depth: number): unknown => {
    if (depth > maxDepth) throw new RangeError('depth');
    const kind = payload[at];
    if (kind === 0x69) {
      at++;
      return number(0x65);
    }
    if (kind !== 0x64 && kind !== 0x6c) return string();
    at++;
    const entries = new Map<string, unknown>();
    while (payload[at] !== 0x65) {
      const key = kind === 0x64 ? string() : String(entries.size);
      entries.set(key, value(depth + 1));
    }
    at++;
    return entries;
  };

  try {
    const dictionary = payload[0] === 0x64 ? value(0) : undefined;
    if (!(dictionary instanceof Map)) return undefined;
    const m = new Map<string, number>();
    const told: unknown = dictionary.get('m');
    if (told instanceof Map) {
      for (const [name, id] of told) if (typeof id === 'number' && id > 0 && id < 256) m.set(name, id);
    }
    const v: unknown = dictionary.get('v');
    const reqq: unknown = dictionary.get('reqq');
    return {
      m,
      v: typeof v === 'string' ? v : '',
      reqq: typeof reqq === 'number' && reqq > 0 ? reqq : undefined,
    };
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
