/** What a packed site says of its swarm, read from outside. */
import type { Swarm } from './liar.ts';

interface RootDocument {
  snapshot: string;
  trackers: string[];
  webSeeds: string[];
  torrent: { infoHash: string; pieces: number; pieceLength: number };
}

/** The site's manifest, as JSON. */
export async function manifest(site: string): Promise<RootDocument> {
  return (await (await fetch(`${site}planktos/manifest.json`)).json()) as RootDocument;
}

/** The swarm of a site that `planktos serve` carries the tracker of. */
export async function swarmOf(site: string): Promise<Swarm> {
  const { torrent } = await manifest(site);
  const tracker = new URL('planktos/tracker', site.replace(/^http/, 'ws')).href;
  return { tracker, infoHash: torrent.infoHash, pieces: torrent.pieces };
}
