/**
 * What the worker has told of the site: its snapshots, their torrents, and where each content may be had. Snapshots
 * may share a torrent (a file was renamed) and torrents may share contents (a file has stayed).
 */
import type { EngineSnapshot } from '../shared/messages.ts';
import type { FileRow, Root } from '../shared/manifest.ts';
import { Torrent } from './torrent.ts';
import type { Seed } from './webseed.ts';

interface Site {
  root: Root;
  torrent: Torrent;
}

export class Sites {
  readonly #sites = new Map<string, Site>();
  readonly #torrents = new Map<string, Torrent>();
  #scope = '';

  /** Takes the worker's whole view; returns the ids of the snapshots that are not in it. */
  configure(scope: string, snapshots: EngineSnapshot[]): string[] {
    this.#scope = scope;
    const ids = new Set(snapshots.map(({ id }) => id));
    return [...this.#sites.keys()].filter((id) => !ids.has(id));
  }

  /** Adds a snapshot (`root` given), or rows to one. Returns its torrent; undefined if the snapshot is unknown. */
  add(id: string, root: Root | undefined, rows: FileRow[]): Torrent | undefined {
    if (root) {
      const known = this.#torrents.get(root.torrent.infoHash);
      const torrent = known ?? new Torrent(root.torrent);
      this.#torrents.set(torrent.infoHash, torrent);
      this.#sites.set(id, { root, torrent });
      for (const [, hash, size, piece] of root.shards ?? []) torrent.add(hash, size, piece);
    }
    const torrent = this.#sites.get(id)?.torrent;
    if (torrent) for (const [, hash, size, piece] of rows) torrent.add(hash, size, piece);
    return torrent;
  }

  forget(id: string): void {
    const site = this.#sites.get(id);
    this.#sites.delete(id);
    if (site && !this.uses(site.torrent.infoHash)) this.#torrents.delete(site.torrent.infoHash);
  }

  /** Whether some snapshot has this torrent. */
  uses(infoHash: string): boolean {
    return [...this.#sites.values()].some(({ torrent }) => torrent.infoHash === infoHash);
  }

  /** A torrent that has the content; the newest if several have. */
  torrentOf(name: string): Torrent | undefined {
    return [...this.#torrents.values()].reverse().find((torrent) => torrent.get(name));
  }

  pieceOf(name: string): number {
    return this.torrentOf(name)?.get(name)?.piece ?? 0;
  }

  /** The web seeds of the snapshots that have the content: the origin first. */
  seeds(name: string): Seed[] {
    const seeds = new Map<string, Seed>();
    for (const { root, torrent } of [...this.#sites.values()].reverse()) {
      if (!torrent.get(name)) continue;
      for (const url of [this.#scope, ...root.webSeeds]) {
        if (!seeds.has(url)) seeds.set(url, { root: url, copies: root.copies });
      }
    }
    return [...seeds.values()];
  }

  /** Where the torrent's peers meet: trackers as absolute ws: and wss: URLs. */
  meeting(infoHash: string): { trackers: string[]; ice: RTCIceServer[] } {
    const trackers = new Set<string>();
    const ice = new Map<string, RTCIceServer>();
    for (const { root, torrent } of this.#sites.values()) {
      if (torrent.infoHash !== infoHash) continue;
      for (const tracker of root.trackers) trackers.add(new URL(tracker, this.#scope).href.replace(/^http/, 'ws'));
      for (const server of root.ice) ice.set(JSON.stringify(server), server);
    }
    return { trackers: [...trackers], ice: [...ice.values()] };
  }
}
