/**
 * What this browser has of the site's contents: those that it holds whole (`Library`) and those that it is fetching
 * (`Downloads`). The swarms are told of every piece that can be given on, and read it here.
 */
import type { FromEngine } from '../shared/messages.ts';
import type { Bytes } from '../shared/wire.ts';
import type { Part, Parts } from '../store/part.ts';
import type { ContentId, Store } from '../store/store.ts';
import type { Download } from './download.ts';
import { Downloads } from './downloads.ts';
import { Library } from './library.ts';
import type { Source } from './request.ts';
import type { Swarm } from './swarm.ts';
import type { Tree } from './tree.ts';

export interface ContentsOwner {
  readonly tree: Tree;
  swarms(): Iterable<Swarm>;
  /** of the torrent that has the content, in bytes; undefined if none has */
  pieceLength(content: ContentId): number | undefined;
  /** the content's first piece there */
  pieceOf(content: ContentId): number;
  newDownload(content: ContentId, pieceLength: number, part: Part): Download;
  post(message: FromEngine): void;
  /** there may be something to ask for, or to give */
  changed(): void;
}

export class Contents {
  readonly downloads = new Downloads((content) => this.#openDownload(content));
  readonly #owner: ContentsOwner;
  #library: Library | undefined;
  #parts: Parts | undefined;
  /** had, and not counted yet, by path */
  #counts = new Map<string | undefined, { origin: number; peers: number; size: number }>();

  constructor(owner: ContentsOwner) {
    this.#owner = owner;
  }

  async open(store: Store, parts: Parts): Promise<void> {
    this.#parts = parts;
    this.#library = new Library(store, this.#owner.tree);
    for (const entry of await store.list()) if (!entry.suffix) this.hold(entry);
    this.#owner.changed();
  }

  /** Whether it is stored whole; undefined while that is not known. */
  stored(content: ContentId): boolean | undefined {
    return this.#library?.has(content);
  }

  /** The content is in the store. */
  hold(content: ContentId): void {
    if (content.size === 0 || !this.#library?.add(content)) return;
    for (const swarm of this.#owner.swarms()) swarm.hold(content, 0, content.size);
    this.#owner.changed();
  }

  /** The content has left the store. */
  drop(content: ContentId): void {
    if (this.#library?.drop(content)) this.#release(content);
  }

  /** A swarm has got to know contents: what is here of them can be given. */
  tell(swarm: Swarm): void {
    for (const content of this.#library?.contents() ?? []) swarm.hold(content, 0, content.size);
    for (const download of this.downloads) {
      for (let start = 0; start < download.content.size; start += download.pieceLength) {
        const end = download.available(start);
        if (end > start) swarm.hold(download.content, start, end);
      }
    }
  }

  #release(content: ContentId): void {
    for (const swarm of this.#owner.swarms()) swarm.hold(content, 0, content.size, false);
  }

  /** A complete content as a source. */
  source(content: ContentId): Source {
    return {
      available: () => content.size,
      // A copy: it is transferred.
      read: async (start, end) => (await this.#read(content, start, end))?.slice(),
    };
  }

  /** Verified bytes of a complete content. */
  async #read(content: ContentId, start: number, end: number): Promise<Bytes | undefined> {
    const pieceLength = this.#owner.pieceLength(content);
    if (!this.#library || !pieceLength) return undefined;
    const data = await this.#library.read(content, pieceLength, start, end);
    if (!data && !this.stored(content)) this.#release(content);
    return data;
  }

  /** Verified bytes of a content for upload; undefined if they are not here. */
  async bytes(content: ContentId, start: number, end: number): Promise<Bytes | undefined> {
    const download = this.downloads.get(content);
    if (download && download.available(start) >= end) {
      const data = await download.read(start, end);
      if (data) return data;
    }
    return this.#read(content, start, end);
  }

  /** The content's piece layer, verified. */
  async layer(content: ContentId, pieceLength: number): Promise<Bytes | undefined> {
    const download = this.downloads.get(content);
    if (download?.layer && download.pieceLength === pieceLength) return download.layer;
    return this.#library?.layer(content, pieceLength);
  }

  async #openDownload(content: ContentId): Promise<Download | undefined> {
    const pieceLength = this.#owner.pieceLength(content);
    const part = pieceLength ? await this.#parts?.open(content) : undefined;
    const download = part && this.#owner.newDownload(content, pieceLength!, part);
    await download?.resume();
    return download;
  }

  /** A request has ended: of the downloads that nobody waits for only some are kept. */
  tidy(): void {
    for (const idle of this.downloads.surplus()) this.#close(idle);
  }

  closeAll(): void {
    for (const download of this.downloads) this.#close(download);
  }

  #close(download: Download): void {
    download.close();
    this.forget(download);
  }

  /** The download is closed. */
  forget(download: Download): void {
    this.downloads.forget(download);
    if (!this.stored(download.content)) this.#release(download.content);
  }

  /** A piece is verified, and can be read. */
  verified(download: Download, index: number, source: 'origin' | 'peers' | 'part', bytes: number): void {
    const { content, requests, pieceLength } = download;
    for (const swarm of this.#owner.swarms()) swarm.hold(content, index * pieceLength, index * pieceLength + bytes);
    // It was counted when it was had.
    if (source === 'part') return;
    const [request] = requests;
    const counts = this.#counts.get(request?.path) ?? { origin: 0, peers: 0, size: content.size };
    this.#counts.set(request?.path, counts);
    counts[source] += bytes;
  }

  /** Tells the worker what has been had since. */
  count(): void {
    const counted = this.#counts;
    this.#counts = new Map();
    for (const [path, { origin, peers, size }] of counted) {
      this.#owner.post({ type: 'count', origin, peers, uploaded: 0, ...(path !== undefined && { path, size }) });
    }
  }

  /** Every piece is verified; the content is in the store, or (`stored` false) stays in the part. */
  complete(download: Download, stored: boolean): void {
    const { content, requests, layer, pieceLength } = download;
    if (stored) {
      this.#library?.add(content);
      // A torrent with longer pieces could not give what came in shorter ones.
      for (const swarm of this.#owner.swarms()) swarm.hold(content, 0, content.size);
      if (layer) this.#library?.keep(content, pieceLength, layer, download.whole);
      const waiting = [...requests];
      for (const request of waiting) request.source = this.source(content);
      this.#close(download);
      for (const request of waiting) request.pump();
      this.#owner.post({ type: 'stored', content: { ...content, piece: this.#owner.pieceOf(content) } });
    }
    this.#owner.changed();
  }
}
