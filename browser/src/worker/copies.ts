/** A large content, or a part of it, out of hashed copies, a stretch at a time: it is not fetched whole to be verified. */
import { hex, type Bytes } from '../shared/bytes.ts';
import type { FileRow } from '../shared/manifest.ts';
import { hashBytes, height, pieceRoot, verifyLayer } from '../shared/merkle.ts';
import type { ByteRange } from '../shared/ranges.ts';
import { fetchFrom, fromHosts, sha256 } from './content.ts';
import type { Site } from './site.ts';
import type { Snapshot } from './snapshots.ts';
import { begun } from './streams.ts';
import type { Delivery } from './streams.ts';

/** Up to this size a content is fetched whole, which also stores it. */
const smallBytes = 4 << 20;
/** Of a larger one, this much at a time. */
const stretchBytes = 1 << 20;

/**
 * Bytes [start, end) of a large content, verified, from `hosts` and the others that carry the site, the healthy ones
 * first; once the first of them are there. Undefined if they cannot be had so: a host may have no copies, or no ranges.
 */
export async function fromCopies(
  site: Site,
  snapshot: Snapshot,
  [, root, size]: FileRow,
  { start, end }: ByteRange,
  hosts = [site.scope],
): Promise<Delivery | undefined> {
  const { copies, torrent } = snapshot.root;
  const { pieceLength } = torrent;
  if (!copies || size <= Math.max(smallBytes, pieceLength)) return undefined;
  const abort = new AbortController();
  const { signal } = abort;
  const get = (name: string, range: string, bytes: number, isGood: (data: Bytes) => Promise<boolean>) =>
    fromHosts(site, snapshot, hosts, bytes, async (host) => {
      const response = await fetchFrom(site, host, 'planktos/' + name, { signal, headers: range ? { range } : {} });
      if (response.status !== (range ? 206 : 200)) return void response.body?.cancel();
      const data = new Uint8Array(await response.arrayBuffer());
      return (await isGood(data)) ? data : undefined;
    });
  const layer = await get(`${root}.layer`, '', 0, (data) => verifyLayer(sha256, root, size, pieceLength, data));
  if (!layer) return undefined;

  let at = Math.floor(start / pieceLength) * pieceLength;
  const next = async (): Promise<Bytes | undefined> => {
    if (at >= end) return undefined;
    const from = at;
    const to = Math.min(size, from + Math.max(stretchBytes, pieceLength), Math.ceil(end / pieceLength) * pieceLength);
    at = to;
    const stretch = await get(root, `bytes=${from}-${to - 1}`, to - from, async (data) => {
      for (let piece = 0; piece < data.length; piece += pieceLength) {
        const node = await pieceRoot(sha256, data.slice(piece, piece + pieceLength), height(pieceLength));
        const leaf = ((from + piece) / pieceLength) * hashBytes;
        if (hex(node) !== hex(layer.subarray(leaf, leaf + hashBytes))) return false;
      }
      return data.length === to - from;
    });
    if (!stretch) throw new Error('no host');
    return stretch.subarray(Math.max(0, start - from), end - from);
  };
  const first = await next().catch(() => undefined);
  return first && begun(first, next, () => abort.abort());
}
