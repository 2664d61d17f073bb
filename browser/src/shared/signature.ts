/**
 * Signed manifests (docs/manifest.md): a document that ends in its signature, by Ed25519 (RFC 8032), with a sequence
 * number and perhaps an expiry. `internal/manifest/signature.go` is the same in Go, and `testdata/vectors/signature.json`
 * what both are held to.
 */
import { unhex, type Bytes } from './bytes.ts';

/** What a signed manifest says of its place among releases. */
export interface Seal {
  /** higher than that of any release before; 1 to 2^53 - 1 */
  sequence: number;
  /** from when on nobody but the origin is to be believed that this release is current, in seconds since 1970 */
  expires?: number;
}

/** Whether a signature is that of a text by a public key. Rejects where Ed25519 is not known. */
export type Ed25519 = (key: Bytes, signature: Bytes, text: Bytes) => Promise<boolean>;

/** `,"signature":"`, 128 hex digits and `"}` */
const endLength = 144;

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/**
 * What was signed with a manifest's document, if it was signed by the key (64 hex digits). Undefined also where the
 * browser has no Ed25519: nobody is believed there but the origin.
 */
export async function verify(document: string, key: string, ed25519: Ed25519): Promise<Seal | undefined> {
  const [, signature] = /^,"signature":"([\da-f]{128})"}$/.exec(document.slice(-endLength)) ?? [];
  if (!signature) return undefined;
  const signed = document.slice(0, -endLength) + '}';
  try {
    const { sequence, expires } = JSON.parse(signed) as Record<string, unknown>;
    if (!isCount(sequence) || !sequence || !(expires === undefined || isCount(expires))) return undefined;
    const text = new TextEncoder().encode('planktos manifest 1\n' + signed);
    const good = await ed25519(unhex(key), unhex(signature), text);
    return good ? { sequence, ...(expires !== undefined && { expires }) } : undefined;
  } catch {
    // No JSON, no key, or no Ed25519 here.
    return undefined;
  }
}
