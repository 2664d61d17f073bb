/**
 * A tracker's WebSocket (docs/tracker.md), shared by the torrents that announce there. It is open while there is a
 * torrent; when it is lost it is opened again, later each time.
 */
import { decodeTrackerMessage, type TrackerMessage } from '../shared/signal.ts';

const connectTimeoutMs = 15_000;
const firstRetryMs = 2_000;
const lastRetryMs = 5 * 60_000;
/** What may wait in the socket: beyond it the tracker does not read, and is left. */
const maxBufferedBytes = 1024 * 1024;

/** One torrent, as its tracker sees it. */
export interface Announces {
  /** The socket is open, for the first time or again: introduce yourself. */
  opened(): void;
  /** The socket is lost; `opened` follows, or not. */
  lost(): void;
  received(message: TrackerMessage): void;
}

export class Tracker {
  readonly url: string;
  /** What the tracker calls us (`trackerid`), to be sent with every message. */
  trackerId: string | undefined;
  #torrents = new Map<string, Announces>();
  #socket: WebSocket | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;

  constructor(url: string) {
    this.url = url;
  }

  add(infoHash: string, torrent: Announces): void {
    this.#torrents.set(infoHash, torrent);
    if (this.#socket?.readyState === 1) torrent.opened();
    else if (!this.#socket && this.#timer === undefined) this.#connect();
  }

  /** Forgets a torrent; without any the socket is closed, once what was sent has gone out. */
  remove(infoHash: string): void {
    this.#torrents.delete(infoHash);
    if (!this.#torrents.size) this.#disconnect();
  }

  get unused(): boolean {
    return !this.#torrents.size;
  }

  /** Whether the message was handed to an open socket. */
  send(text: string): boolean {
    const socket = this.#socket;
    if (socket?.readyState !== 1) return false;
    if (socket.bufferedAmount > maxBufferedBytes) {
      this.fail();
      return false;
    }
    socket.send(text);
    return true;
  }

  /** Gives the socket up, as broken as it is silent, and tries again later. */
  fail(): void {
    this.#disconnect();
    const backOffMs = Math.min(lastRetryMs, firstRetryMs * 2 ** Math.min(this.#failures++, 16));
    const delayMs = backOffMs * (0.75 + Math.random() / 2);
    for (const torrent of [...this.#torrents.values()]) torrent.lost();
    if (this.#torrents.size) this.#timer = setTimeout(() => this.#connect(), delayMs);
  }

  #connect(): void {
    this.#timer = undefined;
    let socket: WebSocket;
    try {
      socket = new WebSocket(this.url);
    } catch {
      this.fail(); // not a WebSocket URL, or one that the page's CSP forbids
      return;
    }
    this.#socket = socket;
    this.#timer = setTimeout(() => this.fail(), connectTimeoutMs);
    socket.onopen = () => {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      for (const torrent of [...this.#torrents.values()]) torrent.opened();
    };
    socket.onclose = () => this.fail();
    socket.onmessage = (event) => {
      const message = typeof event.data === 'string' && decodeTrackerMessage(event.data);
      if (message) this.#receive(message);
    };
  }

  #receive(message: TrackerMessage): void {
    if (message.type === 'announced') {
      this.#failures = 0;
      if (message.trackerId !== undefined) this.trackerId = message.trackerId;
    }
    if (message.infoHash !== undefined) this.#torrents.get(message.infoHash)?.received(message);
    else for (const torrent of [...this.#torrents.values()]) torrent.received(message);
  }

  #disconnect(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = undefined;
    socket.onopen = socket.onclose = socket.onmessage = null;
    try {
      socket.close();
    } catch {
      // it never opened
    }
  }
}
