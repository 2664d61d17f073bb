import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allowsScript } from './csp.ts';

const script = 'https://a.example/docs/planktos/install.js';
for (const [policy, want] of [
  [null, true],
  ['', true],
  ["img-src 'none'", true],
  ["default-src 'self'", true],
  ["default-src 'none'", false],
  ["default-src 'none'; script-src 'self'", true],
  ["script-src 'self'; script-src-elem 'none'", false],
  ["script-src 'none'; script-src-elem 'self'", true],
  ["script-src 'self', script-src 'none'", false],
  ["script-src 'self', default-src *", true],
  ["script-src 'nonce-abc'", false],
  ["script-src 'sha256-abc='", false],
  ["script-src 'nonce-abc' 'self'", true],
  ["script-src 'nonce-abc' 'strict-dynamic' 'self'", false],
  ["script-src 'unsafe-inline'", false],
  ["SCRIPT-SRC 'SELF'", true],
  ['script-src https:', true],
  ['script-src http:', true],
  ['script-src wss:', false],
  ['script-src data:', false],
  ['script-src a.example', true],
  ['script-src https://a.example', true],
  ['script-src http://a.example', true],
  ['script-src https://a.example:443', true],
  ['script-src https://a.example:8443', false],
  ['script-src https://a.example:*', true],
  ['script-src b.example', false],
  ['script-src *.example', true],
  ['script-src *.a.example', false],
  ['script-src https://a.example/docs/', true],
  ['script-src https://a.example/docs/planktos/install.js', true],
  ['script-src https://a.example/docs', false],
  ['script-src https://a.example/other/', false],
  ['script-src', false],
  ['sandbox allow-scripts', false],
  ["require-trusted-types-for 'script'", false],
] as const) {
  test(`${policy} ${want ? 'allows' : 'forbids'} the script`, () => assert.equal(allowsScript(policy, script), want));
}

test('ports count', () => {
  assert.ok(allowsScript('script-src http://127.0.0.1:8080', 'http://127.0.0.1:8080/x.js'));
  assert.ok(!allowsScript('script-src http://127.0.0.1', 'http://127.0.0.1:8080/x.js'));
});
