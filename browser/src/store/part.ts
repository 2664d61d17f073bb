/**
 * Contents being put together: random access, one owner, and no name that anybody else would read (store.ts).
 *
 * In a dedicated worker a part is a file under a synchronous access handle, the fastest way to disk a browser has; the
 * handle locks it against everyone else. A part that its owner left behind is there for the next one, who believes
 * nothing in it without its hash. Elsewhere, and for what is small, a part is memory, within a budget that all parts of
 * this realm share.
 *
 * Offsets and sizes are in bytes.
 */
import type { FileHandle, SyncHandle } from './files.ts';
import { nameOf, temporaryName, type ContentId, type Store } from './store.ts';

export interface Part {
  /** whether a former owner wrote here, notes included */
  readonly resumed: boolean;
  /** @throws if the bytes cannot be had; what was never written reads as anything */
  read(start: number, end: number): Uint8Array<ArrayBuffer>;
  /** @throws if they cannot be written: no space */
  write(start: number, data: Uint8Array<ArrayBuffer>): void;
  /** Writes notes beyond the content's end, where there is room for them: for a later owner. */
  note(offset: number, data: Uint8Array<ArrayBuffer>): void;
  /** Moves the part, verified and complete, into the store. False if it is not there then: the part stays readable. */
  finish(): Promise<boolean>;
  /** Gives the part up, and deletes it unless a later owner is to `keep` it. Also safe after `finish`. */
  close(keep: boolean): void;
}

/** Where the parts of one site are made. */
export interface Parts {
  /** Undefined if there is no room for such a content. */
  open(content: ContentId): Promise<Part | undefined>;
}

/** A part up to this size is memory: a file costs more than it saves. */
const smallBytes = 1 << 20;
export const memoryBudgetBytes = 64 << 20;
/** A page that is being left lets go of its parts soon: how often, and after how long, they are asked for again. */
const tries = 5;
const retryMs = 50;

export function openParts(store: Store): Parts {
  const budget = { left: memoryBudgetBytes };
  return {
    open: async (content) =>
      (content.size > smallBytes ? await openFile(store, content) : undefined) ?? openMemory(store, content, budget),
  };
}

function openMemory(store: Store, content: ContentId, budget: { left: number }): Part | undefined {
  if (content.size > budget.left) return undefined;
  budget.left -= content.size;
  let data: Uint8Array<ArrayBuffer> | undefined = new Uint8Array(content.size);
  const close = () => {
    if (data) budget.left += content.size;
    data = undefined;
  };
  return {
    resumed: false,
    // Both throw once it is closed.
    read: (start, end) => data!.slice(start, end),
    write: (start, piece) => data!.set(piece, start),
    note() {},
    close,
    async finish() {
      // By a handle, where there are such: half of what a stream costs.
      let stored = await store.has(content);
      const file = stored ? undefined : await openFile(store, content);
      try {
        file?.write(0, data!);
        stored ||= !!(await file?.finish());
      } catch {
        // No space.
      }
      if (!stored) {
        file?.close(false);
        stored = await stream(store, content, data!);
      }
      if (stored) close();
      return stored;
    },
  };
}

/** Stores a whole content where there are no handles, or another writer has one. */
async function stream(store: Store, content: ContentId, data: Uint8Array<ArrayBuffer>): Promise<boolean> {
  const name = temporaryName(content);
  try {
    const file = await store.directory.getFileHandle(name, { create: true });
    const writable = await file.createWritable();
    // What fails, fails to close too, and is dropped with the file.
    await writable.write(data).finally(() => writable.close());
    await store.publish(content, file, name);
  } catch {
    await store.delete({ ...content, name });
  }
  return store.has(content);
}

async function openFile(store: Store, content: ContentId): Promise<Part | undefined> {
  const name = nameOf(content) + '.part';
  const { size } = content;
  let file: FileHandle;
  /** none once it is closed: what needs it throws then */
  let handle: SyncHandle | undefined;
  const close = (keep: boolean) => {
    handle?.close();
    handle = undefined;
    if (!keep) void store.delete({ ...content, name });
  };
  const write = (start: number, data: Uint8Array<ArrayBuffer>) => {
    if (handle!.write(data, { at: start }) !== data.length) throw new Error('no space');
  };

  if (size > smallBytes && size > (await store.limit())) return undefined;
  for (let i = 0; !handle; i++) {
    try {
      file = await store.directory.getFileHandle(name, { create: true });
      if (!file.createSyncAccessHandle) {
        close(false);
        return undefined;
      }
      handle = await file.createSyncAccessHandle();
    } catch (error) {
      // There may be no room for so much as the file's name.
      const full = (error as Error).name === 'QuotaExceededError';
      if (i >= (full ? 1 : tries)) return undefined;
      await (full ? store.makeRoom(size) : new Promise((resolve) => setTimeout(resolve, retryMs)));
    }
  }
  const resumed = handle.getSize() > size;
  for (let i = 0; !resumed; i++) {
    try {
      handle.truncate(size);
    } catch {
      // Where there is no room; Chromium says so by the size alone.
    }
    // Room for all of it, or for nothing.
    if (handle.getSize() === size) break;
    if (i) {
      close(false);
      return undefined;
    }
    await store.makeRoom(size);
  }
  return {
    resumed,
    write,
    close,
    read(start, end) {
      const data = new Uint8Array(end - start);
      if (handle!.read(data, { at: start }) !== data.length) throw new Error('short');
      return data;
    },
    note(offset, data) {
      try {
        write(size + offset, data);
      } catch {
        // A later owner finds less.
      }
    },
    async finish() {
      try {
        handle!.truncate(size);
        handle!.flush();
        close(true);
        await store.publish(content, file, name);
      } catch {
        // No space to move it, or another writer came first: what stands under the final name decides.
      }
      const stored = await store.has(content);
      if (stored) close(false);
      else handle = await file.createSyncAccessHandle?.().catch(() => undefined);
      return stored;
    },
  };
}
