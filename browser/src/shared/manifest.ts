/**
 * The manifest, format 1: docs/manifest.md is the specification, `internal/manifest` the same in Go, and
 * `testdata/vectors/manifest.json` what both are held to.
 */

/** A byte string's identity: its BEP 52 pieces root (64 lower-case hex digits) and its size in bytes. */
export interface Content {
  hash: string;
  size: number;
  /** index of the torrent's first piece of this content, in the snapshot it is asked for */
  piece: number;
}

export type FileRow = [path: string, hash: string, size: number, piece: number];
export type ShardRow = [from: string, hash: string, size: number, piece: number];
export type HeaderRule = [pattern: string, headers: Record<string, string>];

export interface Policy {
  mode: 'auto' | 'ask' | 'off';
  prefer: 'speed' | 'offload';
}

export interface IceServer {
  urls: string[];
  username?: string;
  credential?: string;
}

export interface Torrent {
  /** 40 hex digits */
  infoHash: string;
  /** 64 hex digits */
  infoHashV2: string;
  pieceLength: number;
  pieces: number;
}

/** `planktos/manifest.json`, checked. */
export interface Root {
  format: 1;
  snapshot: string;
  policy: Policy;
  trackers: string[];
  ice: IceServer[];
  webSeeds: string[];
  torrent: Torrent;
  copies: boolean;
  headers: HeaderRule[];
  files?: FileRow[];
  shards?: ShardRow[];
}
