/** The downloads that are open, one a content: some that requests wait for, and some kept for what they hold. */
import { nameOf, type ContentId } from '../store/store.ts';
import type { Download } from './download.ts';

const maxDownloads = 64;
/** downloads that nobody waits for */
const maxIdle = 16;

export class Downloads {
  readonly #make: (content: ContentId) => Promise<Download | undefined>;
  readonly #opening = new Map<string, Promise<Download | undefined>>();
  readonly #open = new Map<string, Download>();

  /** @param make opens the download of a content, if it can */
  constructor(make: (content: ContentId) => Promise<Download | undefined>) {
    this.#make = make;
  }

  [Symbol.iterator](): Iterator<Download> {
    return [...this.#open.values()][Symbol.iterator]();
  }

  get(content: ContentId): Download | undefined {
    return this.#open.get(nameOf(content));
  }

  /** The content's download, opened if need be; undefined if there is no room for it. */
  open({ hash, size }: ContentId): Promise<Download | undefined> {
    const content = { hash, size };
    const name = nameOf(content);
    const known = this.#opening.get(name);
    if (known) return known;
    if (this.#opening.size >= maxDownloads) return Promise.resolve(undefined);
    const opening = this.#make(content).catch(() => undefined);
    this.#opening.set(name, opening);
    void opening.then((download) => {
      if (download) this.#open.set(name, download);
      else this.#opening.delete(name);
    });
    return opening;
  }

  /** Those that are waited for, the most urgent first. */
  wanted(): Download[] {
    return [...this].filter((download) => download.requests.size > 0).sort((a, b) => a.dueMs - b.dueMs);
  }

  /** Those that nobody waits for and that are too many, the longest idle ones. */
  surplus(): Download[] {
    const idle = [...this].filter((download) => download.requests.size === 0 && download.idleMs > 0);
    return idle.sort((a, b) => b.idleMs - a.idleMs).slice(maxIdle);
  }

  forget({ content }: Download): void {
    this.#open.delete(nameOf(content));
    this.#opening.delete(nameOf(content));
  }
}
