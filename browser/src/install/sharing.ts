/**
 * Whether this page runs the site's engine. One page of a browser does: the holder of a Web Lock that nobody waits for
 * (a held or awaited lock costs Firefox its back/forward cache). Without Web Locks every page may.
 */
import { protocol, type EngineHandle, type EngineModule, type PageMessage } from '../shared/messages.ts';
import type { Page, Place } from './site.ts';

/** A page that leaves lets go of the lock a moment after it has said so. */
const retriesMs = [250, 500, 1000, 2000, 4000];

/**
 * Whether this visitor may share as far as the page can tell: WebRTC is there, no Save-Data, and no Global Privacy
 * Control unless consent was given.
 */
export function canShare(page: Page, granted: boolean): boolean {
  type Wishes = { connection?: { saveData?: boolean }; globalPrivacyControl?: boolean };
  const navigator = page.navigator as Navigator & Wishes;
  if (typeof page.RTCPeerConnection !== 'function' || navigator.connection?.saveData) return false;
  return granted || !navigator.globalPrivacyControl;
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
    if (!allowed) this.stop();
    else this.wanted();
  }

  /** The worker has no engine: hand it ours, or try to run one. */
  wanted(attempt = 0): void {
    clearTimeout(this.#timer);
    if (!this.#allowed) return;
    if (this.#running) this.#engine?.reconnect();
    else if (!this.#release) void this.#start(attempt);
  }

  /** Ends the engine's connections and lets go of the lock, synchronously: the page may be on its way out. */
  stop(): void {
    clearTimeout(this.#timer);
    if (this.#running) {
      this.#running = false;
      this.#engine?.close();
      this.#post({ type: 'bye' });
    }
    this.#release?.();
    this.#release = undefined;
  }

  async #start(attempt: number): Promise<void> {
    const { locks } = this.#page.navigator;
    let release = (): void => {};
    const released = new Promise<void>((resolve) => (release = resolve));
    this.#release = release;
    const current = (): boolean => this.#release === release;
    try {
      if (!locks) return await this.#run(current);
      await locks.request(`planktos:${this.#place.scope}`, { ifAvailable: true }, async (lock) => {
        if (!lock) {
          if (current()) this.#later(attempt);
          return;
        }
        await this.#run(current);
        await released;
      });
    } catch {
      // No locks here (opaque origin), or the engine's script did not come: the next `welcome` tries again.
      if (current()) this.#release = undefined;
    }
  }

  #later(attempt: number): void {
    this.#release = undefined;
    const delayMs = retriesMs[attempt];
    if (delayMs !== undefined) this.#timer = setTimeout(() => this.wanted(attempt + 1), delayMs);
  }

  async #run(current: () => boolean): Promise<void> {
    if (!current()) return;
    if (!this.#engine) {
      const module = await this.#load(this.#place.engine);
      if (!current()) return;
      this.#running = true;
      this.#engine = module.start({
        script: this.#place.engine,
        connect: (port) => this.#post({ type: 'engine', protocol }, [port as MessagePort]),
      });
    } else {
      this.#running = true;
      this.#engine.reconnect();
    }
  }
}
