/** The sites that the benchmarks load: made from a seed, or real ones out of npm packages. */
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { noise } from '../../e2e/harness/bytes.ts';
import { temporaryFolder } from '../../e2e/harness/cleanup.ts';
import type { Scope } from '../../e2e/harness/cleanup.ts';
import { root } from '../../e2e/harness/planktos.ts';
import { noisePng } from '../../e2e/harness/png.ts';
import { wav } from '../../e2e/harness/site.ts';

export interface Site {
  name: string;
  dir: string;
  /** path of the page that is measured, and of one that loads nothing */
  page: string;
  tiny: string;
  /** path → size in bytes of all that the page loads, itself left out */
  resources: Map<string, number>;
  /** path of what the page plays; it has arrived when that has ended */
  media?: string;
}

export type SiteName = 'pictures' | 'small' | 'text' | 'reveal' | 'video' | 'hundred';
export const siteNames: readonly SiteName[] = ['pictures', 'small', 'text', 'reveal', 'video'];

const tiny = '<!doctype html><html><head><meta charset="utf-8"><link rel="icon" href="data:,"></head><body>tiny</body>';

export async function makeSite(scope: Scope, name: SiteName): Promise<Site> {
  const dir = await temporaryFolder(scope, `bench-${name}`);
  const site = await makers[name](dir);
  await writeFile(join(dir, site.tiny), tiny);
  return site;
}

const makers: Record<SiteName, (dir: string) => Promise<Site>> = { pictures, small, text, reveal, video, hundred };

/** 40 files, 4.0 MB that nothing compresses: a page of 39 pictures. */
async function pictures(dir: string): Promise<Site> {
  return gallery(dir, 'pictures', 'crowd', 39, 185);
}

/** 150 pictures of 3 kB. */
async function small(dir: string): Promise<Site> {
  return gallery(dir, 'small', 'small', 150, 32);
}

/** A hundred pictures of 40 KB: 1 % of the site is one of them. */
async function hundred(dir: string): Promise<Site> {
  return gallery(dir, 'hundred', 'hundred', 100, 115);
}

/** A page of pictures with sides of so many pixels. */
async function gallery(dir: string, name: SiteName, seed: string, count: number, pixels: number): Promise<Site> {
  const files = new Map<string, Buffer>();
  for (let i = 0; i < count; i++) files.set(`img/${i}.png`, noisePng(`${seed} ${i}`, pixels));
  const body = [...files.keys()].map((path) => `<img alt="" width="64" height="64" src="${path}">`).join('\n');
  return write(dir, name, files, page('', body));
}

export interface Walk {
  dir: string;
  /** each page's resources, as those of a site */
  pages: Map<string, Map<string, number>>;
}

/** A site of several pages, each with ten pictures of its own (0.5 MB), and a style sheet and a script for all. */
export async function makeWalk(scope: Scope, count: number): Promise<Walk> {
  const dir = await temporaryFolder(scope, 'bench-walk');
  const shared = new Map([
    ['site.css', Buffer.from(styles('walk', 20_000))],
    ['site.js', Buffer.from(script('walk', 20_000))],
  ]);
  const pages = new Map<string, Map<string, number>>();
  for (let i = 1; i <= count; i++) {
    const own = new Map<string, Buffer>();
    for (let k = 0; k < 10; k++) own.set(`img/${i}-${k}.png`, noisePng(`walk ${i} ${k}`, 130));
    const images = [...own.keys()].map((path) => `<img alt="" width="64" height="64" src="${path}">`).join('\n');
    const head = '<link rel="stylesheet" href="site.css">\n<script defer src="site.js"></script>';
    const next = `<nav><a href="page-${(i % count) + 1}.html">next</a></nav>`;
    const html = page(head, `${next}\n${images}`);
    const site = await write(dir, 'walk', new Map([...shared, ...own]), html, `page-${i}.html`);
    pages.set(site.page, site.resources);
  }
  return { dir, pages };
}

/** 40 files, 4.0 MB of HTML, CSS and script, which compress about four times. */
async function text(dir: string): Promise<Site> {
  const files = new Map<string, Buffer>();
  for (let i = 0; i < 19; i++) files.set(`css/${i}.css`, Buffer.from(styles(`style ${i}`, 100_000)));
  for (let i = 0; i < 20; i++) files.set(`js/${i}.js`, Buffer.from(script(`script ${i}`, 100_000)));
  const head = [...files.keys()]
    .map((path) =>
      path.endsWith('.css') ? `<link rel="stylesheet" href="${path}">` : `<script defer src="${path}"></script>`,
    )
    .join('\n');
  return write(dir, 'text', files, page(head, prose('prose', 100_000)));
}

/** reveal.js's own demonstration, out of its npm package. */
async function reveal(dir: string): Promise<Site> {
  await cp(join(root, 'node_modules/reveal.js'), dir, { recursive: true });
  const resources = new Map<string, number>();
  const wanted = /(?:href|src)="((?:dist|css|js)\/[^"]+\.(?:css|js|mjs))"/g;
  for (const [, path] of (await readFile(join(dir, 'demo.html'), 'utf8')).matchAll(wanted)) {
    resources.set(path!, (await readFile(join(dir, path!))).length);
  }
  return { name: 'reveal', dir, page: 'demo.html', tiny: 'tiny.html', resources };
}

/**
 * 50 MB that a page plays from the start to the end, four times as fast as it was made to be: 33 s at 1.5 MB/s.
 * RIFF/WAVE can be made of noise, and is to a browser's media element a stream like any other.
 */
async function video(dir: string): Promise<Site> {
  const sound = wav('crowd', 131, { rate: 96_000, channels: 2 });
  await writeFile(join(dir, media), sound);
  await writeFile(join(dir, 'index.html'), page('', player(media)));
  return { name: 'video', dir, page: 'index.html', tiny: 'tiny.html', resources: new Map(), media };
}

const media = 'video.wav';

/** Markup that plays a URL. */
export const player = (url: string): string =>
  `<video muted autoplay src="${url}"></video><script>document.querySelector('video').playbackRate = 4;</script>`;

async function write(
  dir: string,
  name: string,
  files: Map<string, Buffer>,
  html: string,
  path = 'index.html',
): Promise<Site> {
  for (const [path, bytes] of files) {
    await mkdir(dirname(join(dir, path)), { recursive: true });
    await writeFile(join(dir, path), bytes);
  }
  await writeFile(join(dir, path), html);
  const resources = new Map([...files].map(([path, bytes]) => [path, bytes.length]));
  return { name, dir, page: path, tiny: 'tiny.html', resources };
}

function page(head: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Crowd</title>
<link rel="icon" href="data:,">
${head}
</head>
<body>
${body}
</body>
</html>
`;
}

/** Words drawn by a seed, some far more often than others, so that text compresses as text does. */
function* words(seed: string): Generator<string, never> {
  const letters = noise('words', 20_000);
  const vocabulary = Array.from({ length: 2_000 }, (_, i) =>
    [...letters.subarray(i * 8, i * 8 + 3 + (letters[i * 8 + 7]! % 6))]
      .map((byte) => String.fromCharCode(97 + (byte % 26)))
      .join(''),
  );
  for (let block = 0; ; block++) {
    const random = noise(`${seed} ${block}`, 4_096);
    for (let at = 0; at < random.length; at += 2) {
      const uniform = random.readUInt16LE(at) / 65_536;
      yield vocabulary[Math.floor(vocabulary.length * uniform ** 3)]!;
    }
  }
}

function grow(seed: string, sizeBytes: number, line: (word: () => string, index: number) => string): string {
  const source = words(seed);
  const word = (): string => source.next().value;
  let out = '';
  for (let i = 0; out.length < sizeBytes; i++) out += line(word, i);
  return out;
}

const styles = (seed: string, sizeBytes: number): string =>
  grow(seed, sizeBytes, (word) => `.${word()}-${word()} .${word()} { --${word()}: ${word()}; margin: 1px; }\n`);

function script(seed: string, sizeBytes: number): string {
  const line = (word: () => string, i: number): string =>
    `const ${word()}_${i} = '${word()} ${word()} ${word()} ${word()}';\n`;
  return `(() => {\n${grow(seed, sizeBytes, line)}})();\n`;
}

const prose = (seed: string, sizeBytes: number): string =>
  grow(seed, sizeBytes, (word) => `<p>${Array.from({ length: 40 }, word).join(' ')}.</p>\n`);
