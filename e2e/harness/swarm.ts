/** What a packed site says of its swarm, read from outside. */
import type { Page } from 'puppeteer-core';
import type { Swarm } from './peer.ts';
import { until } from './wait.ts';

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

/** Waits until the tracker that `planktos serve` carries at `site` knows so many peers of its swarm. The page asks it. */
export async function atTracker(page: Page, site: string, peers: number): Promise<void> {
  const { tracker, infoHash } = await swarmOf(site);
  const hash = Buffer.from(infoHash, 'hex').toString('latin1');
  const count = async (url: string, info_hash: string): Promise<number> => {
    const socket = new WebSocket(url);
    const said = await new Promise<string>((answered, failed) => {
      socket.onopen = () => socket.send(JSON.stringify({ action: 'scrape', info_hash }));
      socket.onmessage = ({ data }: MessageEvent<string>) => answered(data);
      socket.onclose = () => failed(new Error('no answer'));
    });
    socket.close();
    const { files } = JSON.parse(said) as { files: Record<string, { complete: number; incomplete: number }> };
    return files[info_hash]!.complete + files[info_hash]!.incomplete;
  };
  const known = async (): Promise<boolean> => (await page.evaluate(count, tracker, hash)) === peers;
  await until(`${peers} peers at the tracker`, known, { timeoutMs: 45_000, everyMs: 100 });
}
