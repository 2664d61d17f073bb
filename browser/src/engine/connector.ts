/** The core's end of the way to the host (rtc.ts): says what torrents to meet, and gives the swarm what connects. */
import type { CreateConnector, FromHost, Link } from './rtc.ts';

/** How long a host that has not told anything of a torrent yet is hoped to find somebody. */
const hopeMs = 2_000;
/** Messages that are kept of a channel that nobody takes yet: a greeting, and what follows it. */
const maxHeard = 100;

/** One torrent that is met. */
interface Meeting {
  sinceMs: number;
  /** what the host was told last */
  peers: number;
  /** what it told last */
  coming?: number;
}

export const createConnector: CreateConnector = (post, onLink) => {
  const meetings = new Map<string, Meeting>();
  const channels = new Map<string, RTCDataChannel>();

  /**
   * Channels that nobody has taken yet, by id, with what they have heard: the other side's first words may come before
   * the event that says that ours is open, and before the core meets the torrent, since hosts offer to the peers of the
   * last page unasked.
   */
  const early = new Map<string, { link: Link; open: boolean; heard: MessageEvent[] }>();

  function channelMade({ id, infoHash, ours, channel }: Extract<FromHost, { type: 'channel' }>): void {
    const link = { id, infoHash, channel, close: () => post({ type: 'close', id }) };
    const heard: MessageEvent[] = [];
    // The other side's comes when the connection stands.
    const waiting = { link, open: !ours || channel.readyState !== 'connecting', heard };
    channels.set(id, channel);
    early.set(id, waiting);
    channel.onmessage = (event) => void (heard.push(event) > maxHeard && link.close());
    channel.onopen = () => {
      waiting.open = true;
      give();
    };
    give();
  }

  function give(): void {
    for (const [id, { link, open, heard }] of early) {
      if (!open || !meetings.has(link.infoHash)) continue;
      early.delete(id);
      onLink(link);
      for (const event of heard) link.channel.onmessage?.(event);
    }
  }

  return {
    meet(torrent) {
      const { infoHash, peers } = torrent;
      const known = meetings.get(infoHash);
      if (known?.peers === peers) return;
      meetings.set(infoHash, { sinceMs: Date.now(), ...known, peers });
      post({ type: 'meet', torrent });
      give();
    },
    leave(infoHash) {
      if (meetings.delete(infoHash)) post({ type: 'leave', infoHash });
    },
    coming(infoHash) {
      const meeting = meetings.get(infoHash);
      if (!meeting) return 0;
      return meeting.coming ?? (Date.now() - meeting.sinceMs < hopeMs ? 1 : 0);
    },
    onHost(message) {
      switch (message.type) {
        case 'channel':
          return channelMade(message);
        case 'closed':
          // A connection that is closed under its channel fires no event at this side.
          channels.get(message.id)?.dispatchEvent(new Event('close'));
          channels.delete(message.id);
          early.delete(message.id);
          return;
        case 'coming': {
          const meeting = meetings.get(message.infoHash);
          if (meeting) meeting.coming = message.peers;
          return;
        }
        default:
          message.type satisfies 'port' | 'beat' | 'offers' | 'introduced' | 'stop';
      }
    },
  };
};
