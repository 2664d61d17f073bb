/**
 * Whether this page runs the site's engine. One page of a browser does: the holder of a Web Lock that nobody waits for
 * (a held or awaited lock costs Firefox its back/forward cache). Without Web Locks every page may.
 */
import { protocol, type EngineHandle, type EngineModule, type PageMessage } from '../shared/messages.ts';
import type { Page, Place } from './site.ts';

/** A page that leaves lets go of the lock a moment after it has said so: retries after 250 ms, 500 ms, … 4 s. */
const firstRetryMs = 250;
const retries = 5;

/**
 * Whether this visitor may share as far as the page can tell: WebRTC is there, no Save-Data, and no Global Privacy
 * Control unless consent was given.
 */
export function canShare(page: Page, granted: boolean): boolean {
  type Wishes = { connection?: { saveData?: boolean }; globalPrivacyControl?: boolean };
  const { connection, globalPrivacyControl } = page.navigator as Navigator & Wishes;
  return !!page.RTCPeerConnection && !connection?.saveData && (granted || !globalPrivacyControl);
}

export class Sharing {
  #page: Page;
  #place: Place;
  #post: (message: PageMessage, transfer?: Transferable[]) => void;
  #load: (url: string) => Promise<EngineModule>;
  #allowed = false;
  #engine: EngineHandle | undefined;
  /** the engine is asked for or runs, until this is called */
  #release: (() => void) | undefined;
  #running = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    page: Page,
    place: Place,
    post: (message: PageMessage, transfer?: Transferable[]) => void,
    load: (url: string) => Promise<EngineModule>,
  ) {
    this.#page = page;
    this.#place = place;
    this.#post = post;
    this.#load = load;
  }

  allow(allowed: boolean): void {
    this.#allowed = allowed;
    if (allowed) this.wanted();
    else this.stop();
  }

  /** The worker has no engine: hand it ours, or try to run one. */
  wanted(attempt = 0): void {
    clearTimeout(this.#timer);
    if (!this.#allowed) return;
    if (this.#running) this.#engine!.reconnect();
    else if (!this.#release) void this.#start(attempt);
  }

  /** Ends the engine's connections and lets go of the lock, synchronously: the page may be on its way out. */
  stop(): void {
    clearTimeout(this.#timer);
    if (this.#running) {
      this.#running = false;
      this.#engine!.close();
      this.#post({ type: 'bye' });
    }
    this.#release?.();
    this.#release = undefined;
  }

  async #start(attempt: number): Promise<void> {
    let release = (): void => {};
    const released = new Promise<void>((resolve) => (release = resolve));
    this.#release = release;
    const current = (): boolean => this.#release === release;
    const run = async (lock: unknown): Promise<void> => {
      if (!current()) return;
      if (lock) {
        const module = this.#engine ? undefined : await this.#load(this.#place.engine);
        if (!current()) return;
        this.#running = true;
        if (module) this.#engine = module.start({ script: this.#place.engine, connect: (port) => this.#connect(port) });
        else this.#engine!.reconnect();
        return released;
      }
      this.#release = undefined;
      const retry = (): void => this.wanted(attempt + 1);
      if (attempt < retries) this.#timer = setTimeout(retry, firstRetryMs * 2 ** attempt);
    };
    try {
      const { locks } = this.#page.navigator;
      await (locks ? locks.request(`planktos:${this.#place.scope}`, { ifAvailable: true }, run) : run(true));
    } catch {
      // No locks here (opaque origin), or the engine's script did not come: the next `welcome` tries again.
      if (current()) this.#release = undefined;
    }
  }

  #connect(port: unknown): void {
    this.#post({ type: 'engine', protocol }, [port as MessagePort]);
  }
}
