/** A directory in memory, of this realm alone, where the browser has no file system for the site. */
import type { Directory, FileHandle, WritableFile } from './files.ts';
import { sizeOf, type Data } from './writer.ts';

/** The most that all files of a directory hold, in bytes. */
export const memoryBytes = 64 << 20;

export class MemoryDirectory implements Directory {
  readonly #files = new Map<string, Blob>();

  async *keys(): AsyncGenerator<string> {
    yield* [...this.#files.keys()];
  }

  async removeEntry(name: string): Promise<void> {
    this.#files.delete(name);
  }

  async getFileHandle(first: string, { create = false } = {}): Promise<FileHandle> {
    const files = this.#files;
    let name = first;
    if (!files.has(name)) {
      if (!create) throw new DOMException(name, 'NotFoundError');
      files.set(name, new Blob());
    }
    return {
      getFile: async () => files.get(name)!,
      createWritable: async (): Promise<WritableFile> => {
        const parts: Data[] = [];
        const reserve = async (size: number): Promise<void> => {
          for (const file of files.values()) size += file.size;
          if (size > memoryBytes) throw new DOMException('memory', 'QuotaExceededError');
        };
        return {
          truncate: reserve,
          write: async (data) => reserve(sizeOf(data)).then(() => void parts.push(data)),
          close: async () => void files.set(name, new Blob(parts)),
          abort: async () => {},
        };
      },
      async move(to) {
        files.set(to, files.get(name)!);
        files.delete(name);
        name = to;
      },
    };
  }
}
