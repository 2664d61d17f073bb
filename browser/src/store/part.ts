/**
 * Contents being put together: random access, one owner, and no name that anybody else would open.
 *
 *     planktos/<scope>/<hash>-<size>.<random>.part
 *
 * In a dedicated worker a part is a file under a synchronous access handle, the fastest way to disk a browser has; the
 * handle locks it against everyone else. Elsewhere, and for what is small, it is memory, within a budget that all
 * parts of this realm share. Which pieces a part holds is known to its owner alone, so a part that its owner left
 * behind is worth nothing, and `sweepParts` deletes it.
 *
 * Offsets and sizes are in bytes.
 */
import { nameOf, type ContentId, type Store } from './store.ts';

export interface Part {
  /** @throws if the bytes cannot be had; what was never written reads as anything */
  read(start: number, end: number): Uint8Array<ArrayBuffer>;
  /** @throws if they cannot be written: no space */
  write(start: number, data: Uint8Array<ArrayBuffer>): void;
  /** Moves the part, verified and complete, into the store. False if it is not there then: the part stays readable. */
  finish(): Promise<boolean>;
  /** Closes and deletes the part. Also safe after `finish`. */
  discard(): void;
}

/** Where the parts of one site are made. */
export interface Parts {
  /** Undefined if there is no room for such a content. */
  open(content: ContentId): Promise<Part | undefined>;
}

/** A part up to this size is memory: a file costs more than it saves. */
const smallBytes = 1 << 20;
export const memoryBudgetBytes = 64 << 20;

/** What is missing in the type library outside dedicated workers, or everywhere (`move`). */
interface SyncHandle {
  read(buffer: Uint8Array<ArrayBuffer>, options: { at: number }): number;
  write(buffer: Uint8Array<ArrayBuffer>, options: { at: number }): number;
  flush(): void;
  close(): void;
}
interface PartHandle {
  createSyncAccessHandle?(): Promise<SyncHandle>;
  move?(name: string): Promise<void>;
}

/** @param directory of the site's contents (`openDirectory`); without it every part is memory */
export function openParts(store: Store, directory: FileSystemDirectoryHandle | undefined): Parts {
  const budget = { left: memoryBudgetBytes };
  return {
    async open(content) {
      if (content.size > smallBytes && directory) {
        const part = await openFile(store, directory, content);
        if (part) return part;
      }
      return openMemory(store, content, budget);
    },
  };
}

/** Deletes the parts that their owners left behind. One that is still owned is locked, and stays. */
export async function sweepParts(directory: FileSystemDirectoryHandle): Promise<void> {
  const names: string[] = [];
  try {
    for await (const name of directory.keys()) if (name.endsWith('.part')) names.push(name);
  } catch {
    // Whatever cannot be listed cannot be swept.
  }
  for (const name of names) await directory.removeEntry(name).catch(() => {});
}

function openMemory(store: Store, content: ContentId, budget: { left: number }): Part | undefined {
  if (content.size > budget.left) return undefined;
  budget.left -= content.size;
  let data: Uint8Array<ArrayBuffer> | undefined = new Uint8Array(content.size);
  const bytes = () => {
    if (!data) throw new Error('part is closed');
    return data;
  };
  const discard = () => {
    if (data) budget.left += content.size;
    data = undefined;
  };
  return {
    read: (start, end) => bytes().slice(start, end),
    write: (start, piece) => bytes().set(piece, start),
    discard,
    async finish() {
      const stored = await store.put(content, bytes());
      if (stored) discard();
      return stored;
    },
  };
}

async function openFile(
  store: Store,
  directory: FileSystemDirectoryHandle,
  content: ContentId,
): Promise<Part | undefined> {
  const name = `${nameOf(content)}.${crypto.randomUUID()}.part`;
  let file: PartHandle;
  let handle: SyncHandle | undefined;
  try {
    file = (await directory.getFileHandle(name, { create: true })) as PartHandle;
    handle = await file.createSyncAccessHandle?.();
  } catch {
    handle = undefined;
  }
  const remove = () => void directory.removeEntry(name).catch(() => {});
  if (!handle) {
    remove();
    return undefined;
  }
  const open = () => {
    if (!handle) throw new Error('part is closed');
    return handle;
  };
  const close = () => {
    handle?.close();
    handle = undefined;
  };
  return {
    read(start, end) {
      const data = new Uint8Array(end - start);
      if (open().read(data, { at: start }) !== data.length) throw new Error('part is short');
      return data;
    },
    write(start, data) {
      if (open().write(data, { at: start }) !== data.length) throw new Error('no space');
    },
    async finish() {
      try {
        open().flush();
        close();
        await file.move!(nameOf(content));
      } catch {
        // No space to move it, or another writer came first: what stands under the final name decides.
      }
      if (await store.has(content)) {
        remove();
        return true;
      }
      handle = await file.createSyncAccessHandle?.().catch(() => undefined);
      return false;
    },
    discard() {
      close();
      remove();
    },
  };
}
