/** What the page says to its service worker, and the replies that it waits for, never for ever. */
import { protocol } from '../shared/messages.ts';
import type { CallReply, Calls, Method, PageMessage, Welcome } from '../shared/messages.ts';

/** The worker may have to ask the origin for the manifest before it can answer. */
const helloTimeoutMs = 15_000;
const callTimeoutMs = 30_000;

export class Link {
  #container: ServiceWorkerContainer;

  constructor(container: ServiceWorkerContainer) {
    this.#container = container;
  }

  post(message: PageMessage, transfer: Transferable[] = []): void {
    this.#container.controller?.postMessage(message, transfer);
  }

  /** Undefined if no worker answers, or one that does not speak our protocol. */
  async hello(canShare: boolean): Promise<Welcome | undefined> {
    const reply = (await this.#ask({ type: 'hello', protocol, canShare }, helloTimeoutMs)) as Welcome | undefined;
    return typeof reply?.mode === 'string' ? reply : undefined;
  }

  /** Rejects if the worker says so, or says nothing. */
  async call<M extends Method>(method: M, args: Calls[M]['args']): Promise<Calls[M]['result']> {
    const message = { type: 'call', method, args } as PageMessage;
    const reply = (await this.#ask(message, callTimeoutMs)) as CallReply | undefined;
    if (!reply?.ok) throw new Error(`planktos: ${reply?.error ?? 'the worker does not answer'}`);
    return reply.value as Calls[M]['result'];
  }

  #ask(message: PageMessage, timeoutMs: number): Promise<unknown> {
    return new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      const done = (value?: unknown): void => {
        clearTimeout(timer);
        port1.close();
        resolve(value);
      };
      const timer = setTimeout(done, timeoutMs);
      port1.onmessage = ({ data }) => done(data);
      if (this.#container.controller) this.post(message, [port2]);
      else done();
    });
  }
}
