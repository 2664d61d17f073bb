import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lookaheadBytes, TagInjector } from './html.ts';

const tag = '<script src="/planktos/install.js"></script>';
const latin1 = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(text, (c) => c.charCodeAt(0));

/** The document after injection, pushed in chunks of `step` bytes. */
function inject(document: string, step: number): string {
  const injector = new TagInjector(tag);
  const bytes = latin1(document);
  const out: Uint8Array[] = [];
  for (let i = 0; i < bytes.length; i += step) out.push(...injector.push(bytes.subarray(i, i + step)));
  out.push(...injector.push(undefined));
  return Buffer.concat(out).toString('latin1');
}

// `|` marks where the tag goes; without one the document is left alone.
for (const marked of [
  '<!DOCTYPE html><html><head>|<title>a</title></head><body></body></html>',
  '<html lang="a>b"><head data-x=\'>\'>|<meta charset=utf-8></head>',
  '<!-- <head> --><!doctype html><head>|</head>',
  '<!DOCTYPE html><html>|<body><header>x</header></body>',
  '<!DOCTYPE html>|<p>hi',
  '<html>|<header>x</header>',
  '|<p>hi',
  '|just text',
  '\xef\xbb\xbf|<p>hi',
  '<HEAD>|<TITLE><head></TITLE></HEAD>',
  '<head>|<script>"<script src=planktos/install.js>"</script></head>',
  '<head>|<!-- <script src="/planktos/install.js"></script> --></head>',
  '<head>|<script src="/planktos/install.js.map"></script></head>',
  '<head>|<script data-src="/planktos/install.js"></script></head>',
  '<head>|<style>a{}</style>',
  '<head>|<title>never ends',
  '<head>|<!-- never ends',
  '<!DOCTYPE html><head>|<p title="unclosed',
  '<head><script src="/planktos/install.js"></script></head>',
  '<head><SCRIPT async SRC=../planktos/install.js></SCRIPT></head>',
  "<head><script defer src='/docs/planktos/install.js?v=1'></script></head>",
  '\xff\xfe<\0h\0e\0a\0d\0>\0',
  '\xfe\xff\0<\0h\0e\0a\0d\0>',
  '<\0h\0e\0a\0d\0>\0<\0p\0>\0',
  '',
]) {
  test(`tag in ${JSON.stringify(marked)}`, () => {
    const document = marked.replace('|', '');
    const want = marked.includes('|') ? marked.replace('|', () => tag) : document;
    for (const step of [1, 2, 3, 7, 64, 1 << 20]) assert.equal(inject(document, step), want, `in chunks of ${step}`);
  });
}

test('a document flows on once its head is read', () => {
  const injector = new TagInjector(tag);
  assert.deepEqual(injector.push(latin1('<html><he')), []);
  assert.notDeepEqual(injector.push(latin1('ad></head><body>')), []);
  const rest = latin1('x'.repeat(1000));
  assert.deepEqual(injector.push(rest), [rest]);
});

test('no more than the lookahead is held back, whatever the head', () => {
  const injector = new TagInjector(tag);
  let held = 0;
  for (const piece of ['<head>', ...Array<string>(100).fill('<!-- ' + '<'.repeat(1000))]) {
    const out = injector.push(latin1(piece));
    held = out.length ? 0 : held + piece.length;
    assert.ok(held <= lookaheadBytes + 1100);
  }
});
