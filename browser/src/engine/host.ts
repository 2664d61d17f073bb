/**
 * The engine's half in the page: meets the peers that the core wants, and runs the core, in a dedicated worker where the
 * browser and the page's CSP allow one, else in the page.
 */
import type { EngineHandle, EngineOptions } from '../shared/messages.ts';
import { startCore } from './core.ts';
import { Meeting, randomId } from './meeting.ts';
import { recall, remember, type Left } from './memory.ts';
import type { FromHost, Joined, ToHost } from './rtc.ts';

/** What the last page met is left again unless the core wants it by then. */
const adoptMs = 5_000;
/** A worker that has said nothing by then will not run: its script's request may have ended with the service worker. */
const startMs = 10_000;

export function startHost(options: EngineOptions): EngineHandle {
  const { script } = options;
  // Client id as by BEP 20's convention, `-PK0001-`, then random bytes.
  const peerId = `2d504b303030312d${randomId().slice(16)}`;
  const meetings = new Map<string, { torrent: Joined; meeting: Meeting }>();
  let post!: (message: FromHost, transfer?: Transferable[]) => void;
  let closed = false;
  let stopCore: () => void;

  function meet(torrent: Joined, left?: Left): void {
    const { infoHash, trackers } = torrent;
    const met = meetings.get(infoHash);
    if (met && String(met.torrent.trackers) === String(trackers)) {
      met.torrent = torrent;
      met.meeting.meet(torrent);
      return;
    }
    met?.meeting.stop();
    const meeting: Meeting = new Meeting(
      torrent,
      peerId,
      (message, transfer) => post(message, transfer),
      options.heard,
      () => keep(torrent, meeting.left),
    );
    meetings.set(infoHash, { torrent, meeting });
    meeting.start(left);
  }

  function keep(torrent: Joined, left: Left): void {
    if (left.peers.length) remember(script, { torrent, ...left });
  }

  function leave(infoHash: string): void {
    meetings.get(infoHash)?.meeting.stop();
    meetings.delete(infoHash);
  }

  function receive(message: ToHost): void {
    switch (message.type) {
      case 'meet':
        return meet(message.torrent);
      case 'leave':
        return leave(message.infoHash);
      case 'beat':
        return post(message);
      case 'wake':
        return closed ? undefined : options.wake();
      case 'close':
        for (const { meeting } of meetings.values()) meeting.close(message.id);
        return;
      case 'acquainted':
        return meetings.get(message.infoHash)?.meeting.acquainted(message.id);
      case 'strangers':
        return meetings.get(message.infoHash)?.meeting.knownToPeers(message.peers);
      case 'introduced':
        return meetings.get(message.introduced.infoHash)?.meeting.introduced(message.introduced);
      default:
        message satisfies never;
    }
  }

  function startInPage(): void {
    let handler: (message: FromHost) => void;
    stopCore = () => post({ type: 'stop' });
    // Each a turn later, as from a worker; order is kept.
    post = (message) => queueMicrotask(() => handler(message));
    startCore({
      peerId,
      post: (message) => queueMicrotask(() => receive(message)),
      listen: (listener) => (handler = listener),
    });
  }

  function startInWorker(): void {
    const worker = new Worker(script, { type: 'module', name: peerId });
    // A worker that is busy when the page goes into Chromium's back/forward cache is stopped in the midst of its script,
    // and what comes by a channel then runs it again, which ends the page's process. So no worker outlives the page.
    stopCore = () => worker.terminate();
    // What is posted before the script runs waits in the worker's queue.
    post = (message, transfer = []) => worker.postMessage(message, transfer);
    worker.onmessage = ({ data }: MessageEvent<ToHost>) => {
      clearTimeout(starting);
      worker.onerror = null; // it runs
      receive(data);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      fail();
    };
    const fail = (): void => {
      clearTimeout(starting);
      worker.terminate();
      if (closed) return;
      startInPage();
      // What the worker was sent is lost with it.
      for (const infoHash of [...meetings.keys()]) leave(infoHash);
      connect();
    };
    const starting = setTimeout(fail, startMs);
  }

  function connect(): void {
    const { port1, port2 } = new MessageChannel();
    post({ type: 'port', port: port1 }, [port1]);
    options.connect(port2);
  }

  try {
    startInWorker();
  } catch {
    startInPage();
  }
  connect();
  const last = recall(script);
  if (last) {
    // How many peers are wanted the core will say.
    const torrent = { ...last.torrent, peers: 0 };
    meet(torrent, last);
    setTimeout(() => {
      if (meetings.get(torrent.infoHash)?.torrent === torrent) leave(torrent.infoHash);
    }, adoptMs);
  }
  return {
    reconnect: connect,
    close() {
      if (closed) return;
      closed = true;
      stopCore();
      for (const { torrent, meeting } of meetings.values()) {
        keep(torrent, meeting.stop());
      }
    },
  };
}
