import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
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

// One character a byte; `|` marks where the tag goes, and a page without it is left alone.
const cases: { name: string; page: string }[] = JSON.parse(
  readFileSync(new URL('../../../testdata/vectors/inject.json', import.meta.url), 'utf8'),
);

for (const { name, page } of cases) {
  test(`the tag: ${name}`, () => {
    const document = page.replace('|', '');
    const want = page.replace('|', () => tag);
    for (const step of [1, 2, 3, 4, 5, 7, 11, 64, 1 << 20]) {
      assert.equal(inject(document, step), want, `in chunks of ${step}`);
    }
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
