/**
 * The content store: one immutable file per content in the origin private file system, shared by worker and engine.
 *
 *     planktos/<encodeURIComponent(scope path)>/<hash>-<size>                a complete content
 *                                              /<hash>-<size>.part           one being put together (part.ts)
 *                                              /<hash>-<size>.<ms>.<random>.tmp  one being written in order (writer.ts)
 *
 * What is not complete has a name that nobody reads: it is closed, and only then moved to its final name, so that
 * whoever opens a final name reads a file that nobody writes any more (in Chromium a `File` taken before a further
 * write rejects with NotReadableError). A browser that dies leaves complete contents, and others that say so.
 *
 * The store does not hash: callers commit only what they have verified, and verify again what they read where it
 * matters, since any script of the origin can write here.
 *
 * Nothing here throws for want of space, of permission or of the file system itself: a read finds nothing, a write
 * does not happen. Where the file system is missing, contents live in memory, in this realm alone.
 */
import type { Directory, FileHandle } from './files.ts';
import { memoryBytes, MemoryDirectory } from './memory.ts';

/** What names a content; the manifest's `Content` is one. `size` is in bytes. */
export interface ContentId {
  hash: string;
  size: number;
}

/** A file of the store. */
export interface Entry extends ContentId {
  /** the file's name */
  name: string;
  /** '' if it is complete, else `.part` or `.….tmp` */
  suffix: string;
}

/** The most that a site may keep: a quarter of what the browser allows its origin, and this. */
const limitBytes = 4 * 2 ** 30;
const listLimit = 200_000;

export const nameOf = (content: ContentId): string => `${content.hash}-${content.size}`;

/** For a file that is being written in order. */
export const temporaryName = (content: ContentId): string =>
  `${nameOf(content)}.${Date.now()}.${crypto.randomUUID()}.tmp`;

export function parseName(name: string): Entry | undefined {
  const match = /^([0-9a-f]{64})-(0|[1-9]\d{0,15})(\.part|\..+\.tmp|)$/.exec(name);
  return match ? { hash: match[1]!, size: Number(match[2]), name, suffix: match[3]! } : undefined;
}

export class Store {
  readonly directory: Directory;

  /** @param directory of the site's contents; without it they live in memory */
  constructor(directory: Directory = new MemoryDirectory()) {
    this.directory = directory;
  }

  /** Whether contents outlive this realm, and are seen by the others. */
  get shared(): boolean {
    return !(this.directory instanceof MemoryDirectory);
  }

  /** Told when a content of so many bytes finds no room, before it is tried once more. May be replaced. */
  makeRoom = async (_bytes: number): Promise<void> => {};

  /** The content as a Blob that reads lazily; undefined if it is not stored whole. */
  async get(content: ContentId): Promise<Blob | undefined> {
    try {
      const file = await (await this.directory.getFileHandle(nameOf(content))).getFile();
      return file.size === content.size ? file : undefined;
    } catch {
      return undefined;
    }
  }

  async has(content: ContentId): Promise<boolean> {
    return !!(await this.get(content));
  }

  /**
   * Gives a finished file its content's name, or deletes it where the content is there already: a file that somebody
   * may be reading is never replaced, for then the reader has nothing more of it.
   *
   * @param name the file's own
   * @throws if there is no space, or the file is being written
   */
  async publish(content: ContentId, file: FileHandle, name: string): Promise<void> {
    const settle = async (): Promise<void> => {
      if (await this.has(content)) await this.delete({ ...content, name });
      else await file.move(nameOf(content));
    };
    const locks = this.shared && globalThis.navigator?.locks;
    await (locks ? locks.request('planktos ' + nameOf(content), settle) : settle());
  }

  /** The store's files: as many as can be had, and as a site can have. This takes time: 40 µs a file in Chromium. */
  async list(): Promise<Entry[]> {
    const entries: Entry[] = [];
    try {
      for await (const name of this.directory.keys()) {
        const entry = parseName(name);
        if (entry && entries.push(entry) >= listLimit) break;
      }
    } catch {
      // The directory is gone: what was found before is as much as can be said.
    }
    return entries;
  }

  /** Deletes a content, or a file of `list`. False if there is none, or somebody is writing it. */
  delete(content: ContentId & { name?: string }): Promise<boolean> {
    return this.directory.removeEntry(content.name ?? nameOf(content)).then(
      () => true,
      () => false,
    );
  }

  /** Deletes everything of this site; what an engine is writing that has been told to end, once it lets go of it. */
  async clear(entries?: Entry[], tries = 20): Promise<void> {
    const locked: Entry[] = [];
    for (const entry of entries ?? (await this.list())) if (!(await this.delete(entry))) locked.push(entry);
    if (locked.length && tries) setTimeout(() => void this.clear(locked, tries - 1), 250);
  }

  /** The most that the store should hold, in bytes; one content may take it all. */
  async limit(): Promise<number> {
    if (!this.shared) return memoryBytes;
    const { quota = 0 } = await navigator.storage.estimate().catch(() => ({ quota: 0 }));
    return Math.min(limitBytes, quota / 4);
  }
}

/** Opens the store of the site at `scope`, its root URL, ending in `/`. Never rejects. */
export async function openStore(scope: string): Promise<Store> {
  try {
    const root = await navigator.storage.getDirectory();
    const all = await root.getDirectoryHandle('planktos', { create: true });
    const own = await all.getDirectoryHandle(encodeURIComponent(new URL(scope).pathname), { create: true });
    // Without createWritable (older WebKit) only a dedicated worker could write: memory serves everyone alike.
    if ('createWritable' in FileSystemFileHandle.prototype) return new Store(own as unknown as Directory);
  } catch {
    // No file system: in some browsers' private windows.
  }
  return new Store();
}
