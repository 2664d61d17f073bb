/**
 * The site that most tests load: several pages, style sheets, classic, deferred, inline and module scripts that count
 * their runs in `window.runs`, pictures of known content, names that break naive URLs, an empty file, duplicates, and
 * one large sound for ranges. The same seed makes the same bytes.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { noise, sha256 } from './bytes.ts';
import { temporaryFolder } from './cleanup.ts';
import type { Scope } from './cleanup.ts';
import { noisePng } from './png.ts';

export interface Site {
  dir: string;
  /** path → content, for every file that was written */
  files: Map<string, Buffer>;
  /** writes or replaces one file */
  write(path: string, content: string | Buffer): Promise<void>;
  hash(path: string): string;
  size(path: string): number;
}

/** File names that a naive URL, template or object gets wrong. All of them are pictures on odd.html. */
export const oddNames = [
  'odd/a space.png',
  'odd/100%.png',
  'odd/%2e%2e.png',
  'odd/what?.png',
  'odd/hash#tag.png',
  `odd/it's "quoted" & <b>.png`,
  'odd/ümlaut-日本-🐚.png',
  'odd/__proto__',
  'odd/constructor',
  `odd/${'deep/'.repeat(40)}end.png`,
];

/** The scripts of a page by the name under which each counts its runs. */
export const scripts = ['classic', 'deferred', 'inline', 'module', 'imported'] as const;

/** Pictures of index.html and gallery.html. */
export const frontPictures = ['img/front-0.png', 'img/front-1.png'];
export const galleryPictures = Array.from({ length: 12 }, (_, i) => `img/gallery-${i}.png`);
export const galleryBytes = (site: Site): number =>
  galleryPictures.reduce((total, path) => total + site.size(path), 0);

/** What every page of the site loads, and gallery.html with all that it does. */
export const pageLoads = ['css/site.css', ...['classic', 'deferred', 'module', 'imported'].map((name) => `js/${name}.js`)];
export const galleryLoads = ['gallery.html', ...pageLoads, ...galleryPictures];

/** The path of the large file: a WAV sound of 60 s, 5.3 MB. */
export const sound = 'media/tone.wav';

/** Each segment as it stands in a URL. */
export function urlPath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

/** Writes the site into a new folder. `pictureSide` sets the pictures' size: 3 * side² bytes each. */
export async function makeSite(
  scope: Scope,
  { seed = 'planktos', pictureSide = 160, large = true }: { seed?: string; pictureSide?: number; large?: boolean } = {},
): Promise<Site> {
  const dir = await temporaryFolder(scope);
  const files = new Map<string, Buffer>();
  const site: Site = {
    dir,
    files,
    write: async (path, content) => {
      const bytes = Buffer.from(content);
      const target = join(dir, path);
      await mkdir(dirname(target), { recursive: true });
      await writeFile(target, bytes);
      files.set(path, bytes);
    },
    hash: (path) => sha256(content(path)),
    size: (path) => content(path).length,
  };
  const content = (path: string): Buffer => {
    const bytes = files.get(path);
    if (bytes === undefined) throw new Error(`the fixture site has no ${path}`);
    return bytes;
  };

  for (const path of [...frontPictures, ...galleryPictures])
    await site.write(path, noisePng(`${seed} ${path}`, pictureSide));
  await site.write('img/copy of front-0.png', content('img/front-0.png'));
  for (const path of oddNames) await site.write(path, noisePng(`${seed} ${path}`, 24));
  await site.write('favicon.ico', noisePng(`${seed} icon`, 16));

  await site.write('css/site.css', 'body { font: 16px/1.5 sans-serif; color: rgb(1, 2, 3); }\n');
  await site.write('css/empty.css', '');
  await site.write('js/classic.js', `${count('classic')}\n`);
  await site.write('js/deferred.js', `${count('deferred')}\n`);
  await site.write(
    'js/module.js',
    `import { name } from './imported.js';\n${count('module')}\nwindow.imported = name;\n`,
  );
  await site.write('js/imported.js', `export const name = 'imported.js';\n${count('imported')}\n`);

  await site.write('index.html', page('Front', frontPictures));
  await site.write('gallery.html', page('Gallery', galleryPictures));
  await site.write('second.html', page('Second', ['img/copy of front-0.png']));
  await site.write('odd.html', page('Odd names', oddNames));
  await site.write(`it's here.html`, page('Apostrophe', []));
  await site.write('sub/index.html', page('Sub', ['img/front-1.png'], '../'));
  await site.write('404.html', page('Not found', [], '/'));
  if (large) await site.write(sound, wav(seed, 60));
  return site;
}

/** The site with 300 pages more, in 30 folders, each with a picture: `f15/p155.html`. Its file table is sharded. */
export async function makeLargeSite(scope: Scope): Promise<Site> {
  const site = await makeSite(scope, { pictureSide: 48, large: false });
  const picture = site.files.get('img/front-0.png')!;
  for (let i = 0; i < 300; i++) {
    const [folder, name] = [`f${String(Math.floor(i / 10)).padStart(2, '0')}`, `p${i}`];
    const head = `<!doctype html><html><head><title>${name}</title></head>`;
    await site.write(`${folder}/${name}.html`, `${head}<body><h1>${name}</h1><img src="${name}.png"></body></html>`);
    await site.write(`${folder}/${name}.png`, Buffer.concat([picture, Buffer.from(name)]));
  }
  return site;
}

/** A page whose links and files are relative to `up`. */
export function page(title: string, pictures: readonly string[], up = ''): string {
  const images = pictures.map((path) => `<img alt="" src="${attribute(up + urlPath(path))}">`).join('\n');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>${title}</title>
<link rel="icon" href="${up}favicon.ico">
<link rel="stylesheet" href="${up}css/site.css">
<link rel="stylesheet" href="${up}css/empty.css">
<script src="${up}js/classic.js"></script>
<script src="${up}js/deferred.js" defer></script>
<script>${count('inline')}</script>
<script src="${up}js/module.js" type="module"></script>
</head>
<body>
<h1>${title}</h1>
<nav>
<a id="front" href="${up}index.html">front</a>
<a id="second" href="${up}second.html">second</a>
<a id="gallery" href="${up}gallery.html">gallery</a>
<a id="blank" href="${up}second.html" target="_blank">second, in a new tab</a>
</nav>
${images}
</body>
</html>
`;
}

function count(name: (typeof scripts)[number]): string {
  return `(window.runs ??= {}).${name} = (window.runs.${name} ?? 0) + 1;`;
}

function attribute(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
}

/** RIFF/WAVE, PCM 16 bit: quiet noise, so that every second differs from the others. `rate` is in Hz. */
export function wav(seed: string, seconds: number, { rate = 44_100, channels = 1 } = {}): Buffer {
  const frame = 2 * channels;
  const samples = noise(`${seed} sound`, rate * frame * seconds);
  // Quiet: only the low bits of each sample.
  for (let i = 1; i < samples.length; i += 2) samples[i] = samples[i]! & 0x03;
  const header = Buffer.alloc(44);
  header.write('RIFF', 0, 'latin1');
  header.writeUInt32LE(36 + samples.length, 4);
  header.write('WAVEfmt ', 8, 'latin1');
  header.writeUInt32LE(16, 16); // size of the format chunk
  header.writeUInt16LE(1, 20); // PCM
  header.writeUInt16LE(channels, 22);
  header.writeUInt32LE(rate, 24);
  header.writeUInt32LE(rate * frame, 28); // bytes a second
  header.writeUInt16LE(frame, 32);
  header.writeUInt16LE(16, 34); // bits a sample
  header.write('data', 36, 'latin1');
  header.writeUInt32LE(samples.length, 40);
  return Buffer.concat([header, samples]);
}
