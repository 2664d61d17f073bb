/** What the page says to its service worker, and the replies that it waits for, never for ever. */
import type { PageMessage } from '../shared/messages.ts';

/** The container as far as it is used, so that a message goes to whichever worker is in control by then. */
type Container = Pick<ServiceWorkerContainer, 'controller'>;

export function post(container: Container, message: PageMessage, transfer: Transferable[] = []): void {
  container.controller?.postMessage(message, transfer);
}

/** Posts a message with a port for its reply: undefined if none comes in time. */
export function ask(container: Container, message: PageMessage, timeoutMs: number): Promise<unknown> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    const done = (value?: unknown): void => {
      clearTimeout(timer);
      port1.close();
      resolve(value);
    };
    const timer = setTimeout(done, container.controller ? timeoutMs : 0);
    port1.onmessage = ({ data }) => done(data);
    post(container, message, [port2]);
  });
}
