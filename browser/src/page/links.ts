/** Idle prefetch, the page's part: it tells the worker what the links lead to that the visitor sees. */
import type { PageMessage } from '../shared/messages.ts';
import { mayPrefetch, type NetworkInformation } from '../shared/prefetch.ts';

/** The most documents that one page names. */
const limit = 20;

/** What the type library does not know of a browser. */
type Told = Navigator & { connection?: NetworkInformation; userAgentData?: { mobile: boolean } };

/** Names visible links within the scope, each once, in idle time after the page has loaded. */
export function nameLinks(
  page: Window & typeof globalThis,
  scope: string,
  post: (message: PageMessage) => void,
): void {
  const { connection = {}, userAgentData, userAgent }: Told = page.navigator;
  const phone = userAgentData ? userAgentData.mobile : /Mobi/.test(userAgent);
  if (!mayPrefetch(connection, phone)) return;
  const { document } = page;
  const bare = (url: string): string => url.replace(/#.*/s, '');
  const urls = new Set<string>();
  let idle = false;
  const name = (): void => {
    if (idle) return;
    idle = true;
    // Safari has no idle callbacks.
    (page.requestIdleCallback ?? setTimeout)(() => {
      idle = false;
      post({ type: 'prefetch', urls: [...urls] });
    });
  };
  const observer = new page.IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      const url = bare((target as HTMLAnchorElement).href);
      const known = url === bare(page.location.href) || urls.has(url) || urls.size >= limit;
      if (!isIntersecting || known || !url.startsWith(scope)) continue;
      urls.add(url);
      name();
    }
  });
  const observe = (): void => {
    for (const link of document.links) observer.observe(link);
  };
  if (document.readyState === 'complete') observe();
  else page.addEventListener('load', observe);
}
