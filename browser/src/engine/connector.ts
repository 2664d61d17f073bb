/**
 * Connects the swarm to its peers: WebTorrent trackers introduce them (tracker.ts, announcer.ts), the page makes the
 * connections (host.ts), and meeting.ts brings the two together for each torrent. Runs in the core.
 */
import { Announcer } from './announcer.ts';
import { Meeting, randomId } from './meeting.ts';
import { relayedChannel } from './relay.ts';
import type { Connector, CreateConnector, FromHost } from './rtc.ts';
import { Tracker } from './tracker.ts';

/** Trackers of one torrent that are used; more would only cost connections. */
const maxTrackers = 4;

export const createConnector: CreateConnector = (post, onLink, options = {}) => {
  const peerId = options.peerId ?? randomId();
  const meetings = new Map<string, { meeting: Meeting; trackers: string[] }>();
  const trackers = new Map<string, Tracker>();
  let suspended = false;
  let closed = false;

  function start(meeting: Meeting, urls: string[]): void {
    for (const url of urls) {
      const tracker = trackers.get(url) ?? new Tracker(url);
      trackers.set(url, tracker);
      meeting.announcers.push(new Announcer(tracker, meeting));
    }
  }

  function stop(meeting: Meeting): void {
    for (const announcer of meeting.announcers.splice(0)) announcer.stop();
    meeting.clear();
    for (const [url, tracker] of trackers) if (tracker.unused) trackers.delete(url);
  }

  function stopAll(): void {
    for (const { meeting } of meetings.values()) stop(meeting);
  }

  function onHost(message: FromHost): void {
    switch (message.type) {
      case 'suspended':
        suspended = true;
        stopAll();
        return;
      case 'resumed':
        if (!suspended || closed) return;
        suspended = false;
        for (const { meeting, trackers: urls } of meetings.values()) start(meeting, urls);
        return;
      case 'port':
        return;
      default: {
        let channel: RTCDataChannel | undefined;
        if (message.type === 'channel') channel = message.channel;
        if (message.type === 'relay') channel = relayedChannel(message.port);
        const owner = [...meetings.values()].find(({ meeting }) => meeting.has(message.id));
        if (owner) owner.meeting.onHost(message, channel);
        else channel?.close(); // of a connection given up meanwhile
      }
    }
  }

  const connector: Connector = {
    join(torrent) {
      const { infoHash, trackers: given } = torrent;
      if (closed || meetings.has(infoHash) || !/^[0-9a-f]{40}$/.test(infoHash)) return;
      const urls = [...new Set(given)].filter((url) => /^wss?:\/\//.test(url)).slice(0, maxTrackers);
      const meeting = new Meeting(torrent, peerId, post, onLink);
      meetings.set(infoHash, { meeting, trackers: urls });
      if (!suspended) start(meeting, urls);
    },
    leave(infoHash) {
      const joined = meetings.get(infoHash);
      if (!joined) return;
      meetings.delete(infoHash);
      stop(joined.meeting);
    },
    want: (infoHash, peers) => meetings.get(infoHash)?.meeting.want(peers),
    coming: (infoHash) => meetings.get(infoHash)?.meeting.coming ?? 0,
    close() {
      closed = true;
      stopAll();
      meetings.clear();
    },
  };
  return { ...connector, onHost };
};
