/** Reading parts of a content that is stored whole. */
import type { SyncHandle } from './files.ts';
import { nameOf, type ContentId, type Store } from './store.ts';

/** In dedicated workers; where handles have a `mode`, they may share a file. */
declare const FileSystemSyncAccessHandle: { prototype: object };

/** A content that is open. */
export interface Reader {
  /** bytes [start, end); undefined if the file was deleted, or written to, since it was opened */
  read(start: number, end: number): Promise<Uint8Array<ArrayBuffer> | undefined>;
  close(): void;
}

/**
 * Opens a content: by a synchronous handle where such may be shared (Chromium, in dedicated workers), which keeps the
 * file from being deleted meanwhile; else as a Blob, each read of which waits for other processes. Undefined if it is
 * not there.
 */
export async function openReader(store: Store, content: ContentId): Promise<Reader | undefined> {
  const blob = await store.get(content);
  if (!blob) return undefined;
  let handle: SyncHandle | undefined;
  try {
    if ('mode' in FileSystemSyncAccessHandle.prototype) {
      const file = await store.directory.getFileHandle(nameOf(content));
      handle = await file.createSyncAccessHandle?.({ mode: 'read-only' });
    }
  } catch {
    // Somebody is moving it, or there are no handles in this thread.
  }
  return {
    async read(start, end) {
      try {
        if (!handle) return new Uint8Array(await blob.slice(start, end).arrayBuffer());
        const data = new Uint8Array(end - start);
        return handle.read(data, { at: start }) === data.length ? data : undefined;
      } catch {
        return undefined;
      }
    },
    close: () => handle?.close(),
  };
}
