/**
 * The engine's half in the page: makes the peer connections that the core asks for, and runs the core, in a dedicated
 * worker where the browser and the page's CSP allow one, else in the page.
 */
import type { EngineHandle, EngineOptions } from '../shared/messages.ts';
import { Connections } from './connections.ts';
import { startCore } from './core.ts';
import { relay } from './relay.ts';
import type { FromHost, ToHost } from './rtc.ts';

/** A worker that has not spoken by then does not run. */
const workerStartMs = 10_000;

export function startHost(options: EngineOptions): EngineHandle {
  /** what the core has not been told yet, since it does not run yet */
  let waiting: [FromHost, Transferable[]][] | undefined = [];
  let deliver: (message: FromHost, transfer: Transferable[]) => void = () => {};
  let transfers = true;
  let suspended = false;

  function post(message: FromHost, transfer: Transferable[] = []): void {
    if (waiting) waiting.push([message, transfer]);
    else deliver(message, transfer);
  }

  const connections = new Connections(post, (id, channel, ours) => {
    // What the other side sends while its channel moves to the worker is lost (Chromium), and it may send at once. A
    // channel of ours opens only after it has moved.
    if (transfers && ours) {
      try {
        post({ type: 'channel', id, channel }, [channel as unknown as Transferable]);
        return;
      } catch {
        transfers = false; // DataCloneError: this browser's channels stay where they are
      }
    }
    const { port1, port2 } = new MessageChannel();
    relay(channel, port1);
    post({ type: 'relay', id, port: port2 }, [port2]);
  });

  function receive(message: ToHost): void {
    if (message.type === 'ready' && waiting) {
      const kept = waiting;
      waiting = undefined;
      for (const [kind, transfer] of kept) deliver(kind, transfer);
    }
    if (!suspended) connections.handle(message);
    else if (message.type !== 'ready' && message.type !== 'close') post({ type: 'closed', id: message.id });
  }

  function startInPage(): void {
    // Each a turn later, as from a worker; order is kept.
    startCore({
      post: (message) => queueMicrotask(() => receive(message)),
      listen: (handler) => (deliver = (message) => queueMicrotask(() => handler(message))),
    });
    receive({ type: 'ready' });
  }

  function startInWorker(): void {
    const worker = new Worker(options.script, { type: 'module', name: 'planktos' });
    let spoke = false;
    const giveUp = (): void => {
      clearTimeout(timer);
      if (spoke) return;
      worker.onmessage = worker.onerror = null;
      worker.terminate();
      startInPage();
    };
    const timer = setTimeout(giveUp, workerStartMs);
    worker.onerror = (event) => {
      event.preventDefault();
      giveUp();
    };
    worker.onmessage = ({ data }: MessageEvent<ToHost>) => {
      if (!spoke) {
        spoke = true;
        clearTimeout(timer);
        deliver = (message, transfer) => worker.postMessage(message, transfer);
        if (data.type !== 'ready') receive({ type: 'ready' });
      }
      receive(data);
    };
  }

  function connect(): void {
    const { port1, port2 } = new MessageChannel();
    post({ type: 'port', port: port1 }, [port1]);
    options.connect(port2);
  }

  try {
    startInWorker();
  } catch {
    startInPage();
  }
  connect();
  return {
    reconnect() {
      if (suspended) {
        suspended = false;
        post({ type: 'resumed' });
      }
      connect();
    },
    close() {
      if (suspended) return;
      suspended = true;
      connections.closeAll();
      post({ type: 'suspended' });
    },
  };
}
