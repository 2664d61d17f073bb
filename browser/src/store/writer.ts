/** A content that is written to the store from its beginning to its end, by one of perhaps several at once. */
import type { FileHandle, WritableFile } from './files.ts';
import { temporaryName, type ContentId, type Store } from './store.ts';

export type Data = Blob | Uint8Array<ArrayBuffer>;

/** in bytes */
export const sizeOf = (data: Data): number => (data instanceof Uint8Array ? data.length : data.size);

/** Written at once; a content up to this size touches the disk only when it is committed. */
const bufferBytes = 1 << 20;

/**
 * Writers of the same content tolerate each other: the first to finish wins, and the bytes are equal. Room for all of a
 * content is reserved before the first of it is written; where there is none, nothing is stored.
 */
export class Writer {
  readonly #store: Store;
  readonly #content: ContentId;
  readonly #name: string;
  #pending: Data[] = [];
  #pendingBytes = 0;
  #missing: number;
  #file: FileHandle | undefined;
  #stream: WritableFile | undefined;
  #flushing: Promise<void> | undefined;
  #failed = false;

  constructor(store: Store, content: ContentId) {
    this.#store = store;
    this.#content = content;
    this.#missing = content.size;
    this.#name = temporaryName(content);
  }

  /** Appends bytes; the caller may reuse its buffer. A failed write is remembered, and makes `commit` return false. */
  async write(data: Data): Promise<void> {
    const size = sizeOf(data);
    this.#missing -= size;
    this.#failed ||= this.#missing < 0;
    if (this.#failed) return;
    this.#pending.push(data instanceof Uint8Array ? data.slice() : data);
    this.#pendingBytes += size;
    if (this.#pendingBytes < bufferBytes || !this.#missing) return;
    // One buffer is on its way to the disk while the next is filled.
    await this.#flushing;
    this.#flushing = this.#flush();
  }

  async #flush(): Promise<void> {
    // To make a Blob is to wait for the browser's process.
    const data = this.#pending.length === 1 ? this.#pending[0]! : new Blob(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
    const { size } = this.#content;
    try {
      if (this.#stream) return await this.#stream.write(data);
      if (size > bufferBytes && size > (await this.#store.limit())) throw new Error('too large');
      await this.#begin(data).catch(async (error: Error) => {
        if (error.name !== 'QuotaExceededError') throw error;
        await this.#store.makeRoom(size);
        await this.#begin(data);
      });
    } catch {
      this.#failed = true;
    }
  }

  async #begin(data: Data): Promise<void> {
    this.#file ??= await this.#store.directory.getFileHandle(this.#name, { create: true });
    const stream = await this.#file.createWritable();
    try {
      if (sizeOf(data) < this.#content.size) await stream.truncate(this.#content.size);
      await stream.write(data);
      this.#stream = stream;
    } catch (error) {
      await stream.abort();
      throw error;
    }
  }

  /** Publishes the content, which the caller has verified. False if it is not in the store afterwards. */
  async commit(): Promise<boolean> {
    const store = this.#store;
    let published = await store.has(this.#content);
    if (!published && !this.#missing && !this.#failed) {
      await this.#flushing;
      await this.#flush();
      try {
        await this.#stream!.close();
        this.#stream = undefined;
        await store.publish(this.#content, this.#file!, this.#name);
        this.#file = undefined;
        published = true;
      } catch {
        // Out of space, or another writer came first: what stands under the final name decides.
        published = await store.has(this.#content);
      }
    }
    await this.abort();
    return published;
  }

  /** Drops what has been written. Also safe after `commit`. */
  async abort(): Promise<void> {
    this.#failed = true;
    this.#pending = [];
    await this.#flushing;
    await this.#stream?.abort().catch(() => {});
    if (this.#file) await this.#store.delete({ ...this.#content, name: this.#name });
  }
}

/** Writes a whole content, verified by the caller. False if it is not in the store afterwards. */
export async function put(store: Store, content: ContentId, data: Data): Promise<boolean> {
  const writer = new Writer(store, content);
  await writer.write(data);
  return writer.commit();
}
