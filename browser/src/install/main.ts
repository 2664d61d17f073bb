/**
 * `planktos/install.js`: all that a page adds, and all that most pages load. It registers the service worker, greets
 * it, and defines `window.planktos` (planktos.d.ts), whose methods, like all else that a page may have to do, are in
 * the engine's script. Included twice it runs once.
 */
import type { EngineModule } from '../shared/messages.ts';
import { install } from './install.ts';

// An element whose id is `planktos` is a property of the window, too.
if (!window.planktos?.ready) {
  // A module has no currentScript.
  const script = document.currentScript ?? document.querySelector('[src*="planktos/install"]');
  window.planktos = install(window, script as HTMLScriptElement, (url) => import(url) as Promise<EngineModule>);
}
