/**
 * `planktos/install.js`: all that a page adds. It registers the service worker, runs the engine when there is a reason
 * to, and defines `window.planktos` (planktos.d.ts). Included twice it runs once; `?planktos=off` keeps it from doing
 * anything.
 */
import type { EngineModule } from '../shared/messages.ts';
import { PagePlanktos } from './page.ts';
import { locate, type Place } from './site.ts';

const mark = Symbol.for('planktos');
if (!(mark in window)) {
  Object.defineProperty(window, mark, { value: true });
  const off = new URLSearchParams(location.search).get('planktos') === 'off';
  const load = (url: string): Promise<EngineModule> => import(url) as Promise<EngineModule>;
  let place: Place | undefined;
  try {
    place = off ? undefined : locate(window);
  } catch {
    // a URL that is none
  }
  window.planktos = new PagePlanktos(window, place, load);
}
