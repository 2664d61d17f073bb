/** A page for the tests of this folder: its worker, and its locks, of which nobody waits. */
import assert from 'node:assert/strict';
import { receiveMessageOnPort } from 'node:worker_threads';
import type { MessagePort as NodePort } from 'node:worker_threads';
import type { PageMessage } from '../shared/messages.ts';

/** Lets everything that is already due run; timers are the test's own. */
export const turns = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
};

export class FakeLocks {
  /** ends the holder's request as stolen */
  #steal: (() => void) | undefined;

  get held(): boolean {
    return this.#steal !== undefined;
  }

  async request(
    _: string,
    options: { ifAvailable?: boolean; steal?: boolean },
    work: (lock: object | null) => unknown,
  ): Promise<unknown> {
    assert.ok(options.ifAvailable || options.steal, 'nobody waits for the lock');
    if (this.#steal && !options.steal) return work(null);
    this.#steal?.();
    let steal!: () => void;
    const stolen = new Promise<never>((_, reject) => {
      steal = () => reject(new DOMException('stolen', 'AbortError'));
    });
    this.#steal = steal;
    try {
      return await Promise.race([work({}), stolen]);
    } finally {
      if (this.#steal === steal) this.#steal = undefined;
    }
  }
}

/** @param reply what the worker answers on the port of a message that has one */
export function fakePage(reply: (message: PageMessage) => unknown = () => undefined, locks?: FakeLocks) {
  const heard: PageMessage[] = [];
  const byes: MessagePort[] = [];
  /** what the page has said of its engines' ends, in their order, since it was last asked */
  const ends = (): unknown[] =>
    byes.flatMap((port) => receiveMessageOnPort(port as unknown as NodePort)?.message ?? []);
  const serviceWorker = {
    controller: {
      postMessage(message: PageMessage, [port, bye]: MessagePort[] = []) {
        heard.push(message);
        if (bye) byes.push(bye);
        const answer = reply(message);
        if (port && answer !== undefined) port.postMessage(answer);
      },
    },
  };
  const page = Object.assign(new EventTarget(), {
    navigator: { serviceWorker, locks },
    document: new EventTarget(),
    fetch: async (url: RequestInfo | URL) => new Response(`body of ${String(url)}`, { status: /none/.test(String(url)) ? 404 : 200 }),
  });
  return { page: page as unknown as Window & typeof globalThis, document: page.document, heard, ends };
}
