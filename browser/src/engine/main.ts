/**
 * The engine's script, `planktos/engine.min.js`, in its two roles: a module that the page imports (`EngineModule`), and
 * the dedicated worker that it starts from the same URL.
 */
import type { EngineHandle, EngineOptions } from '../shared/messages.ts';
import { startCore } from './core.ts';
import { startHost } from './host.ts';
import type { FromHost, ToHost } from './rtc.ts';

export function start(options: EngineOptions): EngineHandle {
  return startHost(options);
}

if (typeof document === 'undefined') {
  startCore({
    post: (message) => self.postMessage(message),
    // Messages sent before the script ran wait in the worker's queue.
    listen: (handler) => {
      self.onmessage = (event: MessageEvent<FromHost>) => handler(event.data);
    },
  });
  self.postMessage({ type: 'ready' } satisfies ToHost);
}
