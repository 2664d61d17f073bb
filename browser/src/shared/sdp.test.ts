import assert from 'node:assert/strict';
import { test } from 'node:test';
import { maxCandidates, trimSdp } from './sdp.ts';

const head = ['v=0', 'o=- 1 2 IN IP4 127.0.0.1', 's=-', 't=0 0', 'm=application 9 UDP/DTLS/SCTP webrtc-datachannel'];
const sdp = (...lines: string[]): string => [...head, ...lines, ''].join('\r\n');
const host = (i: number): string => `a=candidate:${i} 1 udp 2122260223 10.0.0.${i} 5000 typ host`;
const srflx = (i: number): string => `a=candidate:${i} 1 UDP 1686052607 192.0.2.${i} 5000 typ srflx raddr 0.0.0.0 rport 0`;
const candidates = (text: string | undefined): string[] => (text ?? '').match(/^a=candidate:.*$/gm) ?? [];
const many = (make: (i: number) => string, count: number): string[] => Array.from({ length: count }, (_, i) => make(i));

test('an ordinary description stays as it is', () => {
  const text = sdp('a=mid:0', host(1), srflx(2), 'a=end-of-candidates');
  assert.equal(trimSdp(text), text);
});

test('candidates are few, and those that others can reach are among them', () => {
  const got = candidates(trimSdp(sdp(...many(host, 20), ...many(srflx, 20))));
  assert.equal(got.length, maxCandidates);
  assert.equal(got.filter((line) => line.includes('srflx')).length, 4);
  assert.equal(candidates(trimSdp(sdp(...many(srflx, 20)))).length, maxCandidates);
  assert.equal(candidates(trimSdp(sdp(...many(host, 20), srflx(1)))).length, maxCandidates);
  assert.equal(candidates(trimSdp(sdp(...many(() => host(1), 20)))).length <= maxCandidates, true);
});

test('TCP and garbled candidates go', () => {
  assert.deepEqual(candidates(trimSdp(sdp('a=candidate:1 1 tcp 1 10.0.0.1 9 typ host tcptype active', 'a=candidate:x'))), []);
});

test('only a description of one data channel is taken', () => {
  assert.equal(trimSdp(''), undefined);
  assert.equal(trimSdp('x'.repeat(1000)), undefined);
  assert.equal(trimSdp(head.slice(0, 4).join('\r\n')), undefined);
  assert.equal(trimSdp(sdp('m=audio 9 UDP/TLS/RTP/SAVPF 111')), undefined);
  assert.equal(trimSdp(sdp(head[4]!)), undefined);
});
