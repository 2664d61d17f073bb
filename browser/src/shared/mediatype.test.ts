import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { compressible, mediaType } from './mediatype.ts';

const cases: { name: string; type: string; compressible: boolean }[] = JSON.parse(
  readFileSync(new URL('../../../testdata/vectors/mediatype.json', import.meta.url), 'utf8'),
);

test('the type of every extension', () => {
  assert.ok(cases.length > 50);
  for (const { name, type } of cases) assert.equal(mediaType(name), type, name);
});

test('what is worth compressing', () => {
  for (const { type, compressible: want } of cases) assert.equal(compressible(type), want, type);
});
