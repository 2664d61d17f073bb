/** The methods of `window.planktos` (planktos.d.ts). */
import type { CallReply, Calls, Consent, Method, Mode, PageMessage, Totals } from '../shared/messages.ts';
import type { PlanktosFile } from './planktos.d.ts';

const callTimeoutMs = 30_000;
const none: Totals = { origin: 0, peers: 0, store: 0, uploaded: 0 };

/** `window.planktos` as install.js made it. */
export type Own = EventTarget & { readonly ready: Promise<Mode>; readonly consent: { state: Consent } };

export function methodsOf(planktos: Own, page: Window & typeof globalThis, scope: string) {
  /** What the worker answers; `otherwise` on a page as over plain HTTP. */
  async function call<M extends Method>(
    method: M,
    args: Calls[M]['args'],
    otherwise: Calls[M]['result'],
  ): Promise<Calls[M]['result']> {
    if ((await planktos.ready) === 'http') return otherwise;
    const reply = await ask(page.navigator.serviceWorker, { type: 'call', method, args } as PageMessage);
    if (!reply?.ok) throw new Error(`planktos: ${reply?.error ?? 'the worker does not answer'}`);
    return reply.value as Calls[M]['result'];
  }

  const pause = async (paused: boolean): Promise<void> => {
    await call('pause', { paused }, paused);
  };
  const answer = async (consent: Consent): Promise<void> => {
    planktos.consent.state = await call('consent', { consent }, planktos.consent.state);
  };

  return {
    stats: () => call('stats', {}, { ...none, page: { ...none } }),
    pause: () => pause(true),
    resume: () => pause(false),
    grant: () => answer('granted'),
    deny: () => answer('denied'),
    revoke: () => answer('unset'),
    async getFile(path: string): Promise<PlanktosFile> {
      const file = await call('file', { path }, undefined);
      if (!file) throw new DOMException(`planktos: no file ${path}`, 'NotFoundError');
      const get = async (): Promise<Response> => {
        const response = await page.fetch(file.url);
        if (!response.ok) throw new DOMException(`planktos: ${path}: status ${response.status}`, 'NetworkError');
        return response;
      };
      return {
        length: file.length,
        getStream: async () => (await get()).body ?? new Blob([]).stream(),
        getBlob: async () => (await get()).blob(),
      };
    },
    fetch: async (request: RequestInfo | URL, init?: RequestInit) =>
      page.fetch(typeof request === 'string' ? new URL(request, scope) : request, init),
    update: () => call('update', {}, ''),
    getAllSnapshots: () => call('snapshots', {}, []),
    removeSnapshot: (id: string) => call('removeSnapshot', { id }, false),
  };
}

/** Posts a message with a port for its reply, to whichever worker is in control by now: undefined if none comes. */
function ask(container: ServiceWorkerContainer, message: PageMessage): Promise<CallReply | undefined> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    const done = (reply?: CallReply): void => {
      clearTimeout(timer);
      port1.close();
      resolve(reply);
    };
    const timer = setTimeout(done, container.controller ? callTimeoutMs : 0);
    port1.onmessage = ({ data }) => done(data);
    container.controller?.postMessage(message, [port2]);
  });
}
