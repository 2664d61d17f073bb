import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameLinks } from './links.ts';

const scope = 'https://site.test/docs/';

function page(hrefs: string[], navigator: object = {}, readyState = 'complete') {
  let report: (entries: object[]) => void = () => {};
  const observed: object[] = [];
  const idle: (() => void)[] = [];
  const posted: string[][] = [];
  const self = Object.assign(new EventTarget(), {
    navigator: { userAgent: 'Desktop', ...navigator },
    location: { href: `${scope}here.html#part` },
    document: { readyState, links: hrefs.map((href) => ({ href })) },
    requestIdleCallback: (work: () => void) => idle.push(work),
    IntersectionObserver: class {
      constructor(callback: typeof report) {
        report = callback;
      }
      observe = (link: object): number => observed.push(link);
    },
  });
  nameLinks(self as unknown as Window & typeof globalThis, scope, (message) => {
    if (message.type === 'prefetch') posted.push(message.urls);
  });
  /** links come into view, and the browser has time */
  const show = (...urls: string[]): void => {
    report(urls.map((href) => ({ isIntersecting: true, target: { href } })));
    for (const work of idle.splice(0)) work();
  };
  return { self, observed, posted, show, report: (entries: object[]) => report(entries), idle };
}

test('visible links of the site, each once, without fragments', () => {
  const { observed, posted, show } = page([`${scope}a`, `${scope}b`]);
  assert.equal(observed.length, 2);
  show(`${scope}a#x`, `${scope}a`, `${scope}here.html#y`, 'https://site.test/other', 'mailto:a@site.test');
  assert.deepEqual(posted, [[`${scope}a`]]);
  show(`${scope}a`);
  assert.equal(posted.length, 1, 'nothing is new');
  show(`${scope}b?q`);
  assert.deepEqual(posted[1], [`${scope}a`, `${scope}b?q`]);
});

test('what is out of view is not named, and no more than a score', () => {
  const { posted, report, show } = page([]);
  report([{ isIntersecting: false, target: { href: `${scope}far` } }]);
  show(...Array.from({ length: 50 }, (_, i) => `${scope}${i}`));
  assert.equal(posted.length, 1);
  assert.equal(posted[0]!.length, 20);
});

test('the page loads first', () => {
  const { self, observed } = page([`${scope}a`], {}, 'interactive');
  assert.equal(observed.length, 0);
  self.dispatchEvent(new Event('load'));
  assert.equal(observed.length, 1);
});

test('not on Save-Data, nor on a phone whose connection is unknown', () => {
  const links = [`${scope}a`];
  assert.equal(page(links, { connection: { saveData: true } }).observed.length, 0);
  assert.equal(page(links, { userAgent: 'Mozilla/5.0 (Android 16; Mobile; rv:153.0)' }).observed.length, 0);
  assert.equal(page(links, { userAgentData: { mobile: true } }).observed.length, 0);
  assert.equal(page(links, { userAgentData: { mobile: true }, connection: { type: 'wifi' } }).observed.length, 1);
});
