/**
 * The content store: one immutable file per content in the origin private file system, shared by worker and engine.
 *
 *     planktos/<encodeURIComponent(scope path)>/<hash>-<size>      a complete content
 *                                              /tmp-<random>       a content being written here
 *                                              /…                  what others keep beside it, such as parts
 *
 * A content is written under a temporary name, closed, and only then moved to its final name, so that whoever opens a
 * final name reads a file that nobody writes any more (in Chromium a `File` taken before a further write rejects with
 * NotReadableError). Writers of the same content tolerate each other: the first to finish wins, and the bytes are equal.
 *
 * The store does not hash: callers commit only what they have verified, and verify again what they read where it
 * matters, since any script of the origin can write here.
 *
 * Nothing here throws for want of space, of permission or of the file system itself: a read finds nothing, a write
 * does not happen. Where the file system is missing, contents live in memory, in this realm alone.
 */

/** What names a content; the manifest's `Content` is one. `size` is in bytes. */
export interface ContentId {
  hash: string;
  size: number;
}

export type Data = Blob | Uint8Array<ArrayBuffer>;

export interface Writer {
  /** Appends bytes. A failed write is remembered, and makes `commit` return false. */
  write(data: Data): Promise<void>;
  /** Publishes the content, which the caller has verified. False if it is not in the store afterwards. */
  commit(): Promise<boolean>;
  /** Drops what has been written. Also safe after `commit`. */
  abort(): Promise<void>;
}

export interface Store {
  /** Whether contents outlive this realm, and are seen by the others. */
  readonly shared: boolean;
  has(content: ContentId): Promise<boolean>;
  /** The content as a Blob that reads lazily; undefined if it is not stored whole. */
  get(content: ContentId): Promise<Blob | undefined>;
  /** Begins a content. Undefined if nothing can be written. */
  writer(content: ContentId): Promise<Writer | undefined>;
  /** Writes a whole content, verified by the caller. */
  put(content: ContentId, data: Data): Promise<boolean>;
  /** Complete contents, at most `limit` of them. */
  list(limit?: number): Promise<ContentId[]>;
  delete(content: ContentId): Promise<void>;
  /** Deletes temporary files that no living writer can still need. */
  sweep(): Promise<void>;
  /** Deletes everything of this scope. */
  clear(): Promise<void>;
}

/** A file handle that can be renamed in place: in every browser with `createWritable`, but not in the type library. */
interface MovableHandle extends FileSystemFileHandle {
  move?(name: string): Promise<void>;
}

const namePattern = /^([0-9a-f]{64})-(0|[1-9]\d{0,15})$/;
const listLimit = 200_000;
/** Written at once; a content up to this size touches the disk only when it is committed. */
const bufferBytes = 1 << 20;
/** A temporary file this old belongs to nobody: no response streams for a day. */
const staleMs = 24 * 3600 * 1000;
const memoryBytes = 64 << 20;

export const nameOf = (content: ContentId): string => `${content.hash}-${content.size}`;

/** The content that a file name stands for. */
export function parseName(name: string): ContentId | undefined {
  const match = namePattern.exec(name);
  return match ? { hash: match[1]!, size: Number(match[2]) } : undefined;
}

/**
 * The directory of a site's contents, made if missing; undefined where there is no such file system.
 * `scope` is the site's root URL, ending in `/`.
 */
export async function openDirectory(scope: string): Promise<FileSystemDirectoryHandle | undefined> {
  try {
    const root = await navigator.storage.getDirectory();
    const all = await root.getDirectoryHandle('planktos', { create: true });
    return await all.getDirectoryHandle(encodeURIComponent(new URL(scope).pathname), { create: true });
  } catch {
    return undefined;
  }
}

/** Opens the store of the site at `scope`. Never rejects. */
export async function openStore(scope: string): Promise<Store> {
  const directory = await openDirectory(scope);
  // Without createWritable (older WebKit) only a dedicated worker could write: memory serves everyone alike.
  const writable = typeof FileSystemFileHandle === 'function' && 'createWritable' in FileSystemFileHandle.prototype;
  return directory && writable ? new FileStore(directory) : new MemoryStore();
}

/** What every store does by its reader and its writer. */
abstract class Base {
  abstract get(content: ContentId): Promise<Blob | undefined>;
  abstract writer(content: ContentId): Promise<Writer | undefined>;

  async has(content: ContentId): Promise<boolean> {
    return !!(await this.get(content));
  }

  async put(content: ContentId, data: Data): Promise<boolean> {
    const writer = await this.writer(content);
    await writer?.write(data);
    return !!(await writer?.commit());
  }
}

/** The store over a directory handle. Exported for tests; use `openStore`. */
export class FileStore extends Base implements Store {
  readonly shared = true;
  readonly #directory: FileSystemDirectoryHandle;

  constructor(directory: FileSystemDirectoryHandle) {
    super();
    this.#directory = directory;
  }

  async get(content: ContentId): Promise<Blob | undefined> {
    try {
      const file = await (await this.#directory.getFileHandle(nameOf(content))).getFile();
      return file.size === content.size ? file : undefined;
    } catch {
      return undefined;
    }
  }

  async writer(content: ContentId): Promise<Writer> {
    return new FileWriter(this.#directory, content, this);
  }

  async list(limit = listLimit): Promise<ContentId[]> {
    return (await this.#names()).flatMap((name) => parseName(name) ?? []).slice(0, limit);
  }

  async delete(content: ContentId): Promise<void> {
    await remove(this.#directory, nameOf(content));
  }

  async sweep(): Promise<void> {
    for (const name of await this.#names()) {
      if (!name.startsWith('tmp-')) continue;
      const file = await this.#directory.getFileHandle(name).then((handle) => handle.getFile(), () => undefined);
      if (file && Date.now() - file.lastModified > staleMs) await remove(this.#directory, name);
    }
  }

  async clear(): Promise<void> {
    for (const name of await this.#names()) await remove(this.#directory, name);
  }

  /** As many names as can be had, and as a site can have. */
  async #names(): Promise<string[]> {
    const names: string[] = [];
    try {
      for await (const name of this.#directory.keys()) if (names.push(name) >= listLimit) break;
    } catch {
      // The directory is gone: what was found before is as much as can be said.
    }
    return names;
  }
}

async function remove(directory: FileSystemDirectoryHandle, name: string): Promise<void> {
  await directory.removeEntry(name).catch(() => {});
}

class FileWriter implements Writer {
  readonly #directory: FileSystemDirectoryHandle;
  readonly #content: ContentId;
  readonly #store: FileStore;
  readonly #name = `tmp-${crypto.randomUUID()}`;
  #pending: Data[] = [];
  #pendingBytes = 0;
  #missing: number;
  #handle: MovableHandle | undefined;
  #stream: FileSystemWritableFileStream | undefined;
  #failed = false;
  #done = false;

  constructor(directory: FileSystemDirectoryHandle, content: ContentId, store: FileStore) {
    this.#directory = directory;
    this.#content = content;
    this.#store = store;
    this.#missing = content.size;
  }

  async write(data: Data): Promise<void> {
    const size = sizeOf(data);
    this.#missing -= size;
    this.#failed ||= this.#missing < 0;
    if (this.#failed || this.#done) return;
    // The caller may reuse its buffer.
    this.#pending.push(new Blob([data]));
    this.#pendingBytes += size;
    if (this.#pendingBytes >= bufferBytes && this.#missing) await this.#flush();
  }

  async #flush(): Promise<void> {
    const data = new Blob(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
    try {
      this.#handle ??= await this.#directory.getFileHandle(this.#name, { create: true });
      this.#stream ??= await this.#handle.createWritable();
      await this.#stream.write(data);
    } catch {
      this.#failed = true;
    }
  }

  async commit(): Promise<boolean> {
    if (this.#done) return false;
    let published = await this.#store.has(this.#content);
    if (!published && !this.#failed && !this.#missing) {
      await this.#flush();
      try {
        await this.#stream?.close();
        this.#stream = undefined;
        if (!this.#failed) await this.#handle?.move?.(nameOf(this.#content));
      } catch {
        // Out of space, or another writer came first: what stands under the final name decides.
      }
      published = await this.#store.has(this.#content);
    }
    await this.abort();
    return published;
  }

  async abort(): Promise<void> {
    if (this.#done) return;
    this.#done = true;
    this.#pending = [];
    await this.#stream?.abort().catch(() => {});
    if (this.#handle) await remove(this.#directory, this.#name);
  }
}

/** Contents in memory, the longest unread dropped first. */
export class MemoryStore extends Base implements Store {
  readonly shared = false;
  readonly #contents = new Map<string, Blob>();
  readonly #limit: number;
  #bytes = 0;

  constructor(limitBytes = memoryBytes) {
    super();
    this.#limit = limitBytes;
  }

  async get(content: ContentId): Promise<Blob | undefined> {
    const name = nameOf(content);
    const blob = this.#contents.get(name);
    if (blob) {
      this.#contents.delete(name);
      this.#contents.set(name, blob);
    }
    return blob;
  }

  async writer(content: ContentId): Promise<Writer | undefined> {
    if (content.size > this.#limit) return undefined;
    let parts: Blob[] | undefined = [];
    let missing = content.size;
    return {
      write: async (data) => {
        missing -= sizeOf(data);
        if (missing >= 0) parts?.push(new Blob([data]));
      },
      commit: async () => {
        if (!parts || missing) return false;
        await this.delete(content);
        this.#contents.set(nameOf(content), new Blob(parts));
        this.#bytes += content.size;
        for (const name of this.#contents.keys()) if (this.#bytes > this.#limit) await this.delete(parseName(name)!);
        return true;
      },
      abort: async () => void (parts = undefined),
    };
  }

  async list(limit = listLimit): Promise<ContentId[]> {
    return [...this.#contents.keys()].slice(0, limit).map((name) => parseName(name)!);
  }

  async delete(content: ContentId): Promise<void> {
    if (this.#contents.delete(nameOf(content))) this.#bytes -= content.size;
  }

  async sweep(): Promise<void> {}

  async clear(): Promise<void> {
    this.#contents.clear();
    this.#bytes = 0;
  }
}

const sizeOf = (data: Data): number => (data instanceof Blob ? data.size : data.length);
