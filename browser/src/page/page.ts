/** What a page does beyond install.js, which loads this when there is a reason to. */
import type { EngineModule, Posted, StartEngine } from '../shared/messages.ts';
import { nameLinks } from './links.ts';
import { methodsOf, type Own } from './methods.ts';
import { Tab } from './tab.ts';

/** @param script URL of the engine's script */
export function pageModule(page: Window & typeof globalThis, script: string, start: StartEngine): EngineModule {
  let methods: Record<string, (...args: never[]) => Promise<unknown>> | undefined;
  return {
    async call(planktos, method, args) {
      methods ??= open(planktos as Own);
      return methods[method]!(...(args as never[]));
    },
  };
  function open(planktos: Own) {
    const scope = new URL('..', script).href;
    const tab = new Tab(page, script, start);
    let names = false;
    return {
      ...methodsOf(planktos, page, scope),
      async hear(message: Posted): Promise<void> {
        if (message.planktos === 'welcome' && message.detail.mode === 'peers' && !names) {
          names = true;
          nameLinks(page, scope, (wish) => tab.post(wish));
        }
        await tab.hear(message);
      },
    };
  }
}
