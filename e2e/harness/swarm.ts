/** What a packed site says of its swarm, read from outside. */
import type { Swarm } from './peer.ts';

interface RootDocument {
  snapshot: string;
  trackers: string[];
  webSeeds: string[];
  torrent: { infoHash: string; pieces: number; pieceLength: number };
  /** rows: path, hash, size, first piece */
  files: Array<[string, string, number, number]>;
}

/** The site's manifest, as JSON. */
export async function manifest(site: string): Promise<RootDocument> {
  return (await (await fetch(`${site}planktos/manifest.json`)).json()) as RootDocument;
}

/** The swarm of a site that `planktos serve` carries the tracker of. */
export async function swarmOf(site: string): Promise<Swarm> {
  const { torrent, files } = await manifest(site);
  const tracker = new URL('planktos/tracker', site.replace(/^http/, 'ws')).href;
  const { infoHash, pieces, pieceLength } = torrent;
  const starts = files.filter(([, , size]) => size > 0).map(([path, , , piece]): [string, number] => [path, piece]);
  return { tracker, infoHash, pieces, pieceLength, files: starts.sort((a, b) => a[1] - b[1]) };
}
