import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPrivate, keptHeaders, lifetimeMs, protectiveHeaders } from './headers.ts';

test('headers of one transfer are not kept', () => {
  const headers = new Headers({
    'Content-Type': 'text/html',
    'Content-Encoding': 'gzip',
    'Content-Length': '5',
    'Accept-Ranges': 'bytes',
    Age: '3',
    Date: 'now',
    Vary: 'accept-encoding',
    'Clear-Site-Data': '"*"',
    'X-Frame-Options': 'DENY',
  });
  assert.deepEqual(keptHeaders(headers), [
    ['content-type', 'text/html'],
    ['x-frame-options', 'DENY'],
  ]);
});

for (const [name, value, want] of [
  ['cache-control', 'private', true],
  ['cache-control', 'max-age=0, Private', true],
  ['cache-control', 'no-store', true],
  ['cache-control', 'max-age=5,no-store', true],
  ['cache-control', 'private="x"', true],
  ['cache-control', 'no-cache', false],
  ['cache-control', 'public, max-age=60', false],
  ['vary', '*', true],
  ['vary', 'Accept, Cookie', true],
  ['vary', 'Accept-Encoding', false],
] as const) {
  test(`${name}: ${value} ${want ? 'is' : 'is not'} private`, () => {
    assert.equal(isPrivate(new Headers({ [name]: value })), want);
  });
}

for (const [value, want] of [
  ['max-age=600', 600_000],
  ['public, Max-Age="60"', 60_000],
  ['s-maxage=600', 0],
  ['max-age=600, no-cache', 0],
  ['max-age=0, must-revalidate', 0],
  ['max-age=soon', 0],
] as const) {
  test(`a cache may give what says ${value} for ${want} ms`, () => {
    assert.equal(lifetimeMs([['etag', '"a"'], ['Cache-Control', value]]), want);
  });
}

test('a cache asks again for what says nothing of it', () => {
  assert.equal(lifetimeMs([['etag', '"max-age=600"']]), 0);
});

test('what protects a page is told from what describes it', () => {
  const protective: [string, string][] = [
    ['content-security-policy', 'x'],
    ['content-security-policy-report-only', 'x'],
    ['cross-origin-opener-policy', 'same-origin'],
    ['x-frame-options', 'DENY'],
  ];
  assert.deepEqual(protectiveHeaders([...protective, ['etag', '"a"'], ['link', '<a>'], ['x-frame', 'no']]), protective);
});
