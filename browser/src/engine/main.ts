/**
 * The engine's script, `planktos/engine.min.js`, in its two roles: a module that a page imports (`EngineModule`), and
 * the dedicated worker that it starts from the same URL.
 */
import { pageModule } from '../page/page.ts';
import type { EngineModule } from '../shared/messages.ts';
import { startCore } from './core.ts';
import { startHost } from './host.ts';
import type { FromHost } from './rtc.ts';

export const { call }: EngineModule = pageModule(self as Window & typeof globalThis, import.meta.url, startHost);

if (typeof document === 'undefined') {
  // Without it data channels cannot move here (WebRTC Extensions: exposed to workers and transferable at once): the
  // host sees that the script failed, and runs the core in the page.
  if (!('RTCDataChannel' in self)) throw new Error('no data channels in workers');
  startCore({
    peerId: self.name,
    post: (message) => self.postMessage(message),
    // Messages sent before the script ran wait in the worker's queue.
    listen: (handler) => {
      self.onmessage = (event: MessageEvent<FromHost>) => handler(event.data);
    },
  });
}
