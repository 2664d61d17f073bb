/**
 * What the engine's two halves say to each other. The core (swarm, verification, store) runs in a dedicated worker
 * where the browser lets data channels move there; the host is the page, the only place where an RTCPeerConnection can
 * be made, and so meets the peers. Without that the core runs in the page, and the same messages are plain calls.
 *
 *     core ──meet, leave, close──▶ host ──▶ trackers, RTCPeerConnections
 *          ◀─channel, closed, coming─
 *
 * Peers introduce each other, too, by what passes between the wire, which is the core's, and the connections:
 *
 *     core ──acquainted, strangers, introduced──▶ host
 *          ◀─────────offers, introduced──────────
 *
 * `id` names one connection on both ends of it: its offer_id, 20 random bytes in hex.
 */
import type { Introduction } from '../shared/extended.ts';
import type { Progress } from '../shared/signal.ts';

/** A torrent to meet the peers of. */
export interface Joined {
  /** 40 hex digits */
  infoHash: string;
  /** ws: and wss: URLs */
  trackers: string[];
  ice: RTCIceServer[];
  /** how many connections are useful in all; 0 makes no offers, and answers those of others */
  peers: number;
  /** what announcements say of us */
  progress: Progress;
}

/** A session description that comes or goes by way of the peer at the other end of connection `via` (`pk_meet`). */
export interface Introduced extends Omit<Introduction, 'sdp'> {
  infoHash: string;
  via: string;
  sdp: string;
}

/** Offers for strangers that our peers know, each for another. */
export interface Offers {
  infoHash: string;
  offers: { id: string; sdp: string }[];
}

/** core → host */
export type ToHost =
  /** announce to the torrent's trackers and connect to peers, or as before but for `peers` and `progress` */
  | { type: 'meet'; torrent: Joined }
  | { type: 'leave'; infoHash: string }
  | { type: 'close'; id: string }
  /** the peer at the other end of the connection speaks `pk_meet` */
  | { type: 'acquainted'; infoHash: string; id: string }
  /** how many peers our peers know that we are not connected to */
  | { type: 'strangers'; infoHash: string; peers: number }
  | { type: 'introduced'; introduced: Introduced }
  /** the core runs; answered in kind: the page lives */
  | { type: 'beat' }
  /** the worker is to run: if it was stopped it has forgotten us, and asks for a port anew */
  | { type: 'wake' };

/** host → core */
export type FromHost =
  | { type: 'beat' }
  /**
   * a data channel, transferred (to a dedicated worker) or passed along (in the page). Of a connection that we offered
   * it opens later, or never; the other side's (`ours` false) may receive before its `open` event
   */
  | { type: 'channel'; id: string; infoHash: string; ours: boolean; channel: RTCDataChannel }
  | { type: 'closed'; id: string }
  /** peers that are not connected yet and may be */
  | { type: 'coming'; infoHash: string; peers: number }
  | ({ type: 'offers' } & Offers)
  | { type: 'introduced'; introduced: Introduced }
  /** a port to the service worker (transferred to a dedicated worker): the core speaks ToEngine/FromEngine on it. A
   * further one replaces the former: the service worker was restarted */
  | { type: 'port'; port: MessagePort }
  /** the engine ends, in the page; a dedicated worker is terminated instead */
  | { type: 'stop' };

/**
 * A channel, as the connector gives it to the swarm (peer wire). The swarm sets the channel's handlers synchronously on
 * receiving it: messages may come before its `open` event does. Its `close` event fires however the connection ends
 * (page left, connection failed), perhaps twice.
 */
export interface Link {
  id: string;
  infoHash: string;
  channel: RTCDataChannel;
  /** closes the connection, by the host */
  close(): void;
}

/** What the host does for the swarm. One for the engine, whatever the number of torrents. */
export interface Connector {
  /** to be called whenever `peers` or `progress` may have changed */
  meet(torrent: Joined): void;
  leave(infoHash: string): void;
  /** peers that are not connected yet and may be: whether waiting for one makes sense */
  coming(infoHash: string): number;
}
export type OnLink = (link: Link) => void;

/**
 * One side of the way between core and host, as the core sees it: `post` and `postMessage` of the dedicated worker, or
 * plain calls where the core runs in the page. The core calls `listen` synchronously, before anything can arrive.
 */
export interface HostPort {
  /** how we name ourselves to trackers and peers (BEP 3 peer_id), 40 hex digits */
  peerId: string;
  post(message: ToHost): void;
  listen(handler: (message: FromHost) => void): void;
}

/** `startCore` of core.ts. Never throws; runs until the host's worker or page ends. */
export type StartCore = (host: HostPort) => void;

/** `createConnector` of connector.ts. The core passes it every message of the host through `onHost`. */
export type CreateConnector = (
  post: (message: ToHost) => void,
  onLink: OnLink,
) => Connector & { onHost(message: FromHost): void };
