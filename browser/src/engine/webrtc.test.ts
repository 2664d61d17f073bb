/**
 * WebSockets and peer connections played by the test: in time that the test moves, and failing the test on misuse. (A
 * test file by name alone, so that no build takes it up.)
 */
import assert from 'node:assert/strict';
import { mock } from 'node:test';

/** what a browser needs to gather candidates, to find that they are all, and two of them to connect */
export const gatherMs = 10;
export const gatheredMs = 120;
export const connectMs = 50;
export const networkMs = 20;

/** Begins to mock timers, dates and chance; `socket` takes the place of WebSocket. */
export function setUp(socket: unknown, random: () => number): void {
  FakePeerConnection.all.clear();
  FakePeerConnection.made = 0;
  Object.assign(globalThis, { WebSocket: socket, RTCPeerConnection: FakePeerConnection });
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  mock.method(Math, 'random', random);
}

export function tearDown(): void {
  mock.timers.reset();
  mock.restoreAll();
}

/** Everything that is due now happens. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Time passes. In small steps, since a timer that is set by a timer counts from the end of the step. */
export async function pass(ms: number): Promise<void> {
  const stepMs = ms > 1000 ? 20 : 10;
  await settled();
  for (let at = 0; at < ms; at += stepMs) {
    mock.timers.tick(Math.min(stepMs, ms - at));
    await settled();
  }
}

export class FakeChannel extends EventTarget {
  readyState: RTCDataChannelState = 'connecting';
  onopen: (() => void) | null = null;
  open(): void {
    this.readyState = 'open';
    this.onopen?.();
  }
  fail(): void {
    if (this.readyState === 'closed') return;
    this.readyState = 'closed';
    this.dispatchEvent(new Event('close'));
  }
  close(): void {
    this.readyState = 'closed';
  }
}

const media = 'm=application 9 UDP/DTLS/SCTP webrtc-datachannel';
const candidate = 'candidate:1 1 udp 1 10.0.0.1 9 typ host';

/** A session description as a browser makes it; `id` names the connection's end, as its ufrag does. */
export function sdpOf(id: number | string, candidates = 1): string {
  const lines = Array.from({ length: candidates }, (_, i) => `a=${candidate.replace('0.1', `0.${i}`)}`);
  const credentials = [`a=ice-ufrag:${id}`, `a=ice-pwd:secret${id}`];
  return ['v=0', `o=- ${id} 2 IN IP4 127.0.0.1`, media, ...credentials, ...lines, ''].join('\r\n');
}

/** Both names by which the ends know each other, as one. */
function credentialsOf(sdp: string): string {
  return sdp.match(/^a=ice-.*/gm)!.join();
}

export class FakePeerConnection {
  static all = new Map<string, FakePeerConnection>();
  static made = 0;
  /** false: no network, and so no candidates */
  static online = true;
  connectionState: RTCPeerConnectionState = 'new';
  localDescription: { sdp: string } | null = null;
  onconnectionstatechange: (() => void) | null = null;
  ondatachannel: ((event: { channel: FakeChannel }) => void) | null = null;
  onicecandidate: ((event: { candidate: { candidate: string } | null }) => void) | null = null;
  readonly id: string;
  readonly #configuration: RTCConfiguration;
  #remote = '';
  #fingerprint: string | undefined;
  #other: FakePeerConnection | undefined;
  /** by which certificate it is known to the other end */
  #certificate: string;
  #channel: FakeChannel | undefined;

  constructor(configuration: RTCConfiguration) {
    for (const { urls } of configuration.iceServers ?? []) assert.match(String(urls), /^(stun|turns?):/);
    this.#configuration = configuration;
    this.#certificate = (configuration.certificates?.[0] as unknown as string) ?? '';
    this.id = String(++FakePeerConnection.made);
    FakePeerConnection.all.set(this.id, this);
  }

  getConfiguration(): RTCConfiguration {
    return this.#configuration;
  }

  createDataChannel(): FakeChannel {
    assert.equal(this.#channel, undefined);
    return (this.#channel = new FakeChannel());
  }

  static certificates = 0;
  static async generateCertificate(): Promise<string> {
    return `certificate ${++FakePeerConnection.certificates}`;
  }

  async createAnswer(): Promise<{ sdp: string }> {
    assert.ok(this.#remote && !this.#channel, 'there is no offer');
    return { sdp: `${sdpOf(this.id, 0)}a=fingerprint:${this.#certificate}\r\n` };
  }

  async setLocalDescription(description?: { type: 'answer'; sdp: string }): Promise<void> {
    assert.ok(this.#channel || this.#remote, 'describes a connection without a channel');
    this.localDescription = description ?? { sdp: sdpOf(this.id, 0) };
    if (this.#remote) setTimeout(() => FakePeerConnection.meet(this.#remote), connectMs);
    const gather = (text: string | null): void => {
      if (this.connectionState === 'closed') return;
      if (text) this.localDescription = { sdp: `${this.localDescription!.sdp}a=${text}\r\n` };
      this.onicecandidate?.({ candidate: text ? { candidate: text } : null });
    };
    if (FakePeerConnection.online) setTimeout(() => gather(candidate), gatherMs);
    setTimeout(() => gather(null), gatheredMs);
  }

  async setRemoteDescription({ type, sdp }: { type: 'offer' | 'answer'; sdp: string }): Promise<void> {
    assert.equal(this.localDescription === null, type === 'offer', `${type} at the wrong time`);
    assert.equal(this.#remote, '');
    this.#remote = credentialsOf(sdp);
    this.#fingerprint = /^a=fingerprint:(.*)/m.exec(sdp)?.[1];
    if (type === 'offer') return;
    setTimeout(() => this.#meet(), connectMs);
  }

  static meet(credentials: string): void {
    const offering = FakePeerConnection.at(credentials);
    if (offering) offering.#meet();
  }

  /** The end that is open to these credentials. */
  static at(credentials: string): FakePeerConnection | undefined {
    return [...FakePeerConnection.all.values()].find(({ localDescription, connectionState }) => {
      return localDescription && connectionState !== 'closed' && credentialsOf(localDescription.sdp) === credentials;
    });
  }

  #meet(): void {
    const other = FakePeerConnection.at(this.#remote);
    if (!other || other.#remote !== credentialsOf(this.localDescription!.sdp) || this.#other) return;
    if (this.connectionState === 'closed') return;
    if (this.#fingerprint !== undefined && this.#fingerprint !== other.#certificate) return;
    const theirs = (other.#channel = new FakeChannel());
    [this.#other, other.#other] = [other, this];
    theirs.open();
    this.#channel!.open();
    for (const each of [this, other]) {
      each.connectionState = 'connected';
      each.onconnectionstatechange?.();
    }
    other.ondatachannel!({ channel: theirs });
  }

  fail(): void {
    this.connectionState = 'failed';
    this.onconnectionstatechange?.();
  }

  close(): void {
    assert.notEqual(this.connectionState, 'closed', 'closed twice');
    this.connectionState = 'closed';
    const other = this.#other;
    if (other) setTimeout(() => other.#channel!.fail(), networkMs);
  }
}
