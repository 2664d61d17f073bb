/**
 * Sites that nobody here wrote, out of npm packages, served unchanged by `planktos serve` and loaded by two visitors:
 * they look right, and say on the console nothing but what they say over plain HTTP.
 */
import assert from 'node:assert/strict';
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { Page } from 'puppeteer-core';
import { launchAll, visitor } from './harness/browsers.ts';
import type { Launched } from './harness/browsers.ts';
import { temporaryFolder } from './harness/cleanup.ts';
import type { Scope } from './harness/cleanup.ts';
import { connected, explained, open } from './harness/page.ts';
import { root, serve } from './harness/planktos.ts';
import { staticHost } from './harness/static.ts';
import { until } from './harness/wait.ts';

const browsers = launchAll({ after });

interface RealSite {
  name: string;
  /** copies the site into a folder */
  make(dir: string): Promise<void>;
  /** pages to load, in order */
  pages: string[];
  /** a condition, run in the page, that holds when the page works */
  works: string;
}

interface Console {
  page: Page;
  errors(): string[];
}

const packages = join(root, 'node_modules');
const sites: RealSite[] = [
  {
    name: 'swagger-ui',
    make: (dir) => cp(join(packages, 'swagger-ui-dist'), dir, { recursive: true }),
    pages: ['', 'index.html'],
    works: "document.querySelector('#swagger-ui .topbar') !== null",
  },
  {
    name: 'reveal.js',
    make: (dir) => cp(join(packages, 'reveal.js'), dir, { recursive: true }),
    pages: ['index.html', 'demo.html', 'index.html'],
    works: "document.querySelector('.reveal.ready .slides section.present') !== null",
  },
  {
    // The package has the viewer's parts and no page: this one is its documentation's, over a document of one page.
    name: 'pdf.js',
    make: async (dir) => {
      await cp(join(packages, 'pdfjs-dist'), dir, { recursive: true });
      await writeFile(join(dir, 'one.pdf'), onePagePdf());
      await writeFile(join(dir, 'index.html'), pdfPage);
    },
    pages: ['', ''],
    works: "document.querySelector('.pdfViewer .page .textLayer')?.textContent === 'Plankton'",
  },
];

for (const [kind, browser] of browsers) {
  describe(kind, () => {
    for (const site of sites) {
      test(site.name, { timeout: 300_000 }, async (t) => {
        const dir = await temporaryFolder(t, site.name);
        await site.make(dir);
        const plain = await consoleOf(t, browser, await staticHost(t, dir), site, false);
        const { url } = await serve(t, dir);
        const first = await consoleOf(t, browser, url, site, true);
        const second = await consoleOf(t, browser, url, site, true);
        const own = ({ errors }: Console): string[] => errors().filter((line) => !plain.errors().includes(line));
        // What a page says of itself it may say later over plain HTTP than it did to them.
        const nothing = (): boolean => own(first).length + own(second).length === 0;
        await until('what was said to be said over plain HTTP, too', nothing).catch(() => undefined);
        assert.deepEqual(own(first), [], 'the first visitor');
        assert.deepEqual(own(second), [], 'the second visitor');
        await Promise.all([connected(first.page), connected(second.page)]);
      });
    }
  });
}

/** Loads the site's pages and tells the errors they had so far, with the host's own address left out. */
async function consoleOf(
  scope: Scope,
  browser: Launched,
  url: string,
  site: RealSite,
  planktos: boolean,
): Promise<Console> {
  const who = await visitor(scope, browser);
  await explained([who], async () => {
    for (const path of site.pages) {
      const mode = await open(who.page, url + path);
      if (planktos) assert.equal(mode, 'peers');
      const works = async (): Promise<boolean> => (await who.page.evaluate(site.works)) === true;
      await until(`${path} to work`, works, { timeoutMs: 45_000 });
    }
  });
  const errors = (): string[] => {
    const lines = who.errors.map((line) => line.replaceAll(new URL(url).origin, 'ORIGIN'));
    // For an icon that no page names the browser asks by itself, when it likes: before this is read, or after.
    return lines.filter((line) => !line.includes('ORIGIN/favicon.ico'));
  };
  return { page: who.page, errors };
}

const pdfPage = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>pdf.js</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="web/pdf_viewer.css">
<style>#container { position: absolute; inset: 0; overflow: auto }</style></head>
<body><div id="container"><div id="viewer" class="pdfViewer"></div></div>
<script type="module">
import * as pdfjs from './build/pdf.min.mjs';
globalThis.pdfjsLib = pdfjs;
const { EventBus, PDFLinkService, PDFViewer } = await import('./web/pdf_viewer.mjs');
pdfjs.GlobalWorkerOptions.workerSrc = 'build/pdf.worker.min.mjs';
const eventBus = new EventBus();
const linkService = new PDFLinkService({ eventBus });
const viewer = new PDFViewer({ container: document.getElementById('container'), eventBus, linkService });
linkService.setViewer(viewer);
viewer.setDocument(await pdfjs.getDocument({ url: 'one.pdf', standardFontDataUrl: 'standard_fonts/' }).promise);
</script></body></html>
`;

/** A PDF (ISO 32000) of one page that says "Plankton". */
function onePagePdf(): string {
  const text = 'BT /F1 24 Tf 72 700 Td (Plankton) Tj ET';
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    '<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
    '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>',
    `<< /Length ${text.length} >>\nstream\n${text}\nendstream`,
    '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>',
  ];
  let out = '%PDF-1.4\n';
  const offsets: number[] = [];
  objects.forEach((object, index) => {
    offsets.push(out.length);
    out += `${index + 1} 0 obj\n${object}\nendobj\n`;
  });
  const table = offsets.map((offset) => `${String(offset).padStart(10, '0')} 00000 n \n`).join('');
  const trailer = `trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n${out.length}\n%%EOF\n`;
  return `${out}xref\n0 6\n0000000000 65535 f \n${table}${trailer}`;
}
