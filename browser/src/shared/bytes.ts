/** Byte strings. */

export type Bytes = Uint8Array<ArrayBuffer>;

/** The parts, one after the other. One that is alone is returned itself. */
export function join(parts: Uint8Array[]): Bytes {
  const [first] = parts;
  if (first && parts.length === 1) return first as Bytes;
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The value modulo 2^32, big-endian. */
export const uint32 = (value: number): Bytes => Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** @param text an even number of hex digits */
export function unhex(text: string): Bytes {
  return Uint8Array.from(text.match(/../g) ?? [], (byte) => parseInt(byte, 16));
}
