/**
 * A directory that behaves as the origin private file system does, and fails where it would. (A test file by name
 * alone, so that no build takes it up.)
 */
import assert from 'node:assert/strict';
import type { Directory, FileHandle, SyncHandle, WritableFile } from './files.ts';

export class FakeDirectory implements Directory {
  readonly files = new Map<string, Blob>();
  /** names that a handle or a stream is open on: a handle is alone, but for others that read only */
  readonly locked = new Map<string, 'handle' | 'stream' | 'readers'>();
  /** bytes that all files together may have */
  room = Infinity;
  /** whether a handle says that there is no room as Chromium's do: without an exception */
  quiet = false;
  /** how often something was written by a stream */
  streams = 0;
  /** whether files have synchronous handles, as in a dedicated worker */
  readonly sync: boolean;
  /** how many handles read a file */
  readonly #readers = new Map<string, number>();

  constructor(sync = false) {
    this.sync = sync;
  }

  get names(): string[] {
    return [...this.files.keys()];
  }

  async *keys(): AsyncGenerator<string> {
    yield* this.names;
  }

  async removeEntry(name: string): Promise<void> {
    if (this.locked.has(name)) throw new DOMException(name, 'NoModificationAllowedError');
    if (!this.files.delete(name)) throw new DOMException(name, 'NotFoundError');
  }

  async getFileHandle(first: string, { create = false } = {}): Promise<FileHandle> {
    let name = first;
    if (!this.files.has(name)) {
      if (!create) throw new DOMException(name, 'NotFoundError');
      this.files.set(name, new Blob());
    }
    return {
      getFile: async () => this.files.get(name)!,
      createWritable: async () => this.#writable(name),
      move: async (to) => {
        if (this.locked.has(name) || this.locked.has(to)) throw new DOMException(to, 'NoModificationAllowedError');
        this.files.set(to, this.files.get(name)!);
        this.files.delete(name);
        name = to;
      },
      ...(this.sync && { createSyncAccessHandle: (options) => this.#handle(name, options?.mode === 'read-only') }),
    };
  }

  #reserve(name: string, size: number): void {
    const others = [...this.files].reduce((sum, [other, file]) => sum + (other === name ? 0 : file.size), 0);
    if (others + size > this.room) throw new DOMException('full', 'QuotaExceededError');
  }

  #writable(name: string): WritableFile {
    if (['handle', 'readers'].includes(this.locked.get(name)!)) throw new DOMException(name, 'NoModificationAllowedError');
    this.locked.set(name, 'stream');
    this.streams++;
    let written = new Blob();
    let size = 0;
    let open = true;
    const finish = () => {
      assert.ok(open, 'closed twice');
      open = false;
      this.locked.delete(name);
    };
    return {
      truncate: async (to) => {
        this.#reserve(name, to);
        size = to;
      },
      write: async (data) => {
        assert.ok(open, 'written after close');
        const longer = new Blob([written, data]);
        this.#reserve(name, Math.max(size, longer.size));
        written = longer;
      },
      close: async () => {
        finish();
        this.files.set(name, new Blob([written, new Uint8Array(Math.max(0, size - written.size))]));
      },
      abort: async () => finish(),
    };
  }

  async #handle(name: string, readOnly: boolean): Promise<SyncHandle> {
    const kind = readOnly ? 'readers' : 'handle';
    if (this.locked.has(name) && !(readOnly && this.locked.get(name) === kind)) {
      throw new DOMException(name, 'NoModificationAllowedError');
    }
    this.locked.set(name, kind);
    const readers = (this.#readers.get(name) ?? 0) + 1;
    if (readOnly) this.#readers.set(name, readers);
    let open = true;
    let bytes = new Uint8Array(await this.files.get(name)!.arrayBuffer());
    const resize = (size: number) => {
      try {
        this.#reserve(name, size);
      } catch (error) {
        if (this.quiet) return;
        throw error;
      }
      const resized = new Uint8Array(size);
      resized.set(bytes.subarray(0, size));
      bytes = resized;
      this.files.set(name, new Blob([bytes]));
    };
    return {
      getSize: () => bytes.length,
      truncate: resize,
      read: (into, { at }) => {
        assert.ok(open, 'read after close');
        const part = bytes.subarray(at, at + into.length);
        into.set(part);
        return part.length;
      },
      write: (from, { at }) => {
        assert.ok(!readOnly, 'written by a reader');
        if (at + from.length > bytes.length) resize(at + from.length);
        if (at + from.length > bytes.length) return 2 ** 32 - 8; // net::ERR_FILE_NO_SPACE, unsigned
        bytes.set(from, at);
        return from.length;
      },
      flush() {},
      close: () => {
        if (!open) return;
        open = false;
        if (!readOnly) this.files.set(name, new Blob([bytes]));
        const left = readOnly ? this.#readers.get(name)! - 1 : 0;
        this.#readers.set(name, left);
        if (!left) this.locked.delete(name);
      },
    };
  }
}
