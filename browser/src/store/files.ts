/** The part of the File System API (WHATWG) that the store uses; some of it is missing in the type library. */

export interface Directory {
  keys(): AsyncIterable<string>;
  /** @throws NotFoundError, unless `create` */
  getFileHandle(name: string, options?: { create?: boolean }): Promise<FileHandle>;
  /** @throws NotFoundError; NoModificationAllowedError while somebody writes the file */
  removeEntry(name: string): Promise<void>;
}

export interface FileHandle {
  getFile(): Promise<Blob>;
  createWritable(): Promise<WritableFile>;
  /** renames in place, over what has the name */
  move(name: string): Promise<void>;
  /** in dedicated workers only; locks the file, `read-only` (where there is that mode) against writers alone */
  createSyncAccessHandle?(options?: { mode: 'read-only' }): Promise<SyncHandle>;
}

/** Written beside the file, which takes it over when it is closed. */
export interface WritableFile {
  /** @throws QuotaExceededError, as `write` and `close` do */
  truncate(size: number): Promise<void>;
  write(data: Blob | Uint8Array<ArrayBuffer>): Promise<void>;
  close(): Promise<void>;
  abort(): Promise<void>;
}

export interface SyncHandle {
  getSize(): number;
  truncate(size: number): void;
  read(buffer: Uint8Array<ArrayBuffer>, options: { at: number }): number;
  write(buffer: Uint8Array<ArrayBuffer>, options: { at: number }): number;
  flush(): void;
  close(): void;
}
