import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { verify, type Ed25519 } from './signature.ts';

const { subtle } = crypto;
const ed25519: Ed25519 = async (key, signature, text) =>
  subtle.verify('Ed25519', await subtle.importKey('raw', key, 'Ed25519', false, ['verify']), signature, text);

interface Case {
  name: string;
  key: string;
  document: string;
}
const vectors: { valid: (Case & { sequence: number; expires?: number })[]; refused: Case[] } = JSON.parse(
  readFileSync(new URL('../../../testdata/vectors/signature.json', import.meta.url), 'utf8'),
);

for (const { name, key, document, sequence, expires } of vectors.valid) {
  test(`signed: ${name}`, async () => {
    assert.deepEqual(await verify(document, key, ed25519), { sequence, ...(expires && { expires }) });
  });
}

for (const { name, key, document } of vectors.refused) {
  test(`refused: ${name}`, async () => assert.equal(await verify(document, key, ed25519), undefined));
}

test('without Ed25519 nothing is believed', async () => {
  const { document, key } = vectors.valid[0]!;
  const none: Ed25519 = () => Promise.reject(new DOMException('', 'NotSupportedError'));
  assert.equal(await verify(document, key, none), undefined);
});

test('a document that is cut short anywhere, or altered anywhere, is refused', async () => {
  const { document, key } = vectors.valid[0]!;
  for (let at = 0; at < document.length; at += 7) {
    assert.equal(await verify(document.slice(0, at), key, ed25519), undefined, `cut at ${at}`);
    const altered = document.slice(0, at) + (document[at] === '1' ? '2' : '1') + document.slice(at + 1);
    assert.equal(await verify(altered, key, ed25519), undefined, `altered at ${at}`);
  }
});
