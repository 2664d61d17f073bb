/**
 * A tab among those of its site, one of which runs the engine: the holder of a Web Lock that nobody waits for (an
 * awaited lock costs Firefox its back/forward cache). The worker asks for an engine when it has none, and has a better
 * tab steal the lock from one that hangs or is hidden. Without Web Locks every tab that is asked may run one.
 */
import type { EngineHandle, Heard, PageMessage, Posted, StartEngine } from '../shared/messages.ts';
import { protocol } from '../shared/messages.ts';

/** Firefox ends a worker's response stream after 30 s without other events. */
const pingMs = 10_000;
/** An origin that is down is to be seen within half a minute when it is up again. */
const probeMs = 10_000;
/** A tab that has been looked at, or not, for so long stays so. */
const settleMs = 3_000;

export class Tab {
  #page: Window & typeof globalThis;
  #lock: string;
  #startEngine: () => EngineHandle;
  #engine: EngineHandle | undefined;
  /** tells the worker that the engine is gone */
  #bye: MessagePort | undefined;
  /** lets go of the lock; undefined while it is neither held nor asked for */
  #release: (() => void) | undefined;
  #pings: ReturnType<typeof setInterval> | undefined;
  #probes: ReturnType<typeof setTimeout> | undefined;
  #settling: ReturnType<typeof setTimeout> | undefined;

  /** @param script URL of the engine's script, which stands beside install.js */
  constructor(page: Window & typeof globalThis, script: string, start: StartEngine) {
    const { document } = page;
    this.#page = page;
    this.#lock = 'planktos:' + new URL('..', script).href;
    const connect = (port: unknown): void => {
      const { port1, port2 } = new MessageChannel();
      this.#bye = port1;
      this.post({ type: 'engine', protocol }, [port as MessagePort, port2]);
    };
    const wake = (): void => this.post({ type: 'ping' });
    const heard = (release: Heard): void => this.post({ type: 'release', ...release });
    this.#startEngine = () => start({ script, connect, wake, heard });
    // The page may be on its way out: all at once. The worker asks again when it is back.
    const leave = (): void => {
      clearInterval(this.#pings);
      clearTimeout(this.#probes);
      this.#stop(true);
    };
    page.addEventListener('pagehide', leave);
    document.addEventListener('freeze', leave);
    document.addEventListener('visibilitychange', () => this.#settle());
    document.addEventListener('resume', () => this.#settle());
  }

  post(message: PageMessage, transfer: Transferable[] = []): void {
    this.#page.navigator.serviceWorker.controller?.postMessage(message, transfer);
  }

  /** Does what the worker asks; never rejects. */
  async hear({ planktos: type, detail }: Posted): Promise<void> {
    if (type === 'stream') {
      clearInterval(this.#pings);
      if (detail.active) this.#pings = setInterval(() => this.post({ type: 'ping' }), pingMs);
    } else if (type === 'origin' || type === 'welcome') {
      clearTimeout(this.#probes);
      if ((type === 'origin' ? detail.state : detail.originState) === 'down') this.#probe();
      // The worker may be stopped before it has an engine of anybody.
      if (type === 'welcome' && detail.mode === 'peers') this.#settle();
    } else if (type === 'engine') {
      if (detail.act === 'stop') this.#stop();
      else await this.#run(detail.act === 'steal');
    }
  }

  #settle(): void {
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => this.post({ type: 'settled' }), settleMs);
  }

  /** Keeps time for the worker, which cannot: not all browsers at once. */
  #probe(): void {
    this.#probes = setTimeout(() => {
      this.post({ type: 'probe' });
      this.#probe();
    }, probeMs * (0.7 + 0.5 * Math.random()));
  }

  async #run(steal: boolean): Promise<void> {
    if (this.#engine) return this.#engine.reconnect();
    if (this.#release && !steal) return;
    let release = (): void => {};
    const released = new Promise<void>((resolve) => (release = resolve));
    this.#release = release;
    const hold = (lock: unknown): Promise<void> | undefined => {
      if (!lock || this.#release !== release) return undefined;
      this.#engine = this.#startEngine();
      return released;
    };
    try {
      const { locks } = this.#page.navigator;
      await (locks ? locks.request(this.#lock, steal ? { steal } : { ifAvailable: true }, hold) : hold(true));
    } catch {
      // Stolen; or there are no locks here (opaque origin).
    }
    if (this.#release === release) this.#stop();
  }

  /** Ends the engine's connections and lets go of the lock, synchronously. */
  #stop(leaves = false): void {
    this.#release?.();
    this.#release = undefined;
    if (!this.#engine) return;
    this.#engine.close();
    this.#engine = undefined;
    this.#bye?.postMessage(leaves);
  }
}
