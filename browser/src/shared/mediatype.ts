/**
 * A file's Content-Type from its name, by one table that does not depend on the machine: `internal/mediatype` is the
 * same in Go, and `testdata/vectors/mediatype.json` holds both to it.
 */

/** Type, then its subtypes, each with its extensions; one that is its own extension stands alone. */
const table = [
  'application|atom+xml atom,epub+zip epub,geo+json geojson,gzip gz tgz,json json map topojson,ld+json jsonld,' +
    'manifest+json webmanifest,pdf,rss+xml rss,vnd.apple.mpegurl m3u8,wasm,x-tar tar,xhtml+xml xhtml xht,' +
    'xml xml xsl xslt,zip',
  'audio|aac,flac,mp4 m4a,mpeg mp3,ogg ogg oga opus,wav,webm weba',
  'font|otf,ttf,woff,woff2',
  'image|apng,avif,bmp,gif,jpeg jpg jpeg jfif,jxl,png,svg+xml svg,tiff tif tiff,webp,x-icon ico cur',
  'model|gltf+json gltf,gltf-binary glb',
  'text|calendar ics,css,csv,html html htm,javascript js mjs cjs,markdown md markdown,plain txt text log,vtt',
  'video|mp2t ts m2ts,mp4 mp4 m4v,mpeg mpeg mpg,ogg ogv,quicktime mov,webm,x-matroska mkv',
];

const byExtension = new Map<string, string>();
for (const line of table) {
  const [type, subtypes] = line.split('|') as [string, string];
  for (const entry of subtypes.split(',')) {
    const [subtype = '', ...extensions] = entry.split(' ');
    const value = `${type}/${subtype}${type === 'text' ? '; charset=utf-8' : ''}`;
    for (const extension of extensions.length ? extensions : [subtype]) byExtension.set(extension, value);
  }
}

/** The Content-Type of a file by the extension of its name, whatever its case. Text is UTF-8. */
export function mediaType(name: string): string {
  const extension = /\.([^./]*)$/.exec(name)?.[1] ?? '';
  return byExtension.get(extension.toLowerCase()) ?? 'application/octet-stream';
}

/** Whether content of this Content-Type becomes notably smaller by compression. */
export function compressible(type: string): boolean {
  return /^(text\/|font\/[ot]tf|image\/(bmp|x-icon)|application\/(json|xml|wasm|x-tar)|[^;]*\+(json|xml))/.test(type);
}
