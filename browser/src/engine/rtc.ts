/**
 * What the engine's two halves say to each other. The core (swarm, verification, store) runs in a dedicated worker
 * where the browser lets data channels move there; the host is the page, the only place where an RTCPeerConnection can
 * be made. Without that the core runs in the page, and the same messages go over a local MessageChannel.
 *
 * `id` names one peer connection, chosen by the core: 20 random bytes in hex, which is also the offer_id on the
 * tracker.
 */

/** core → host */
export type ToHost =
  /** the core runs. The host keeps everything until it hears this, so that nothing is lost where a dedicated worker
   * cannot start (CSP) and the core runs in the page instead */
  | { type: 'ready' }
  /** make a connection that offers; answered by `offer` or `closed` */
  | { type: 'offer'; id: string; ice: RTCIceServer[] }
  /** make a connection from a remote offer; answered by `answer` or `closed` */
  | { type: 'accept'; id: string; ice: RTCIceServer[]; sdp: string }
  /** the remote answer to our offer */
  | { type: 'answered'; id: string; sdp: string }
  | { type: 'close'; id: string };

/** host → core */
export type FromHost =
  | { type: 'offer'; id: string; sdp: string }
  | { type: 'answer'; id: string; sdp: string }
  /** the data channel, transferred (to a dedicated worker) or passed along (in the page); binaryType arraybuffer */
  | { type: 'channel'; id: string; channel: RTCDataChannel }
  /** the same, where the browser cannot transfer a channel: its data goes through this port (relay.ts) */
  | { type: 'relay'; id: string; port: MessagePort }
  | { type: 'closed'; id: string }
  /** a port to the service worker (transferred to a dedicated worker): the core speaks ToEngine/FromEngine on it. A
   * further one replaces the former: the service worker was restarted */
  | { type: 'port'; port: MessagePort }
  /** the page is about to be left or frozen: every connection is closed already */
  | { type: 'suspended' }
  /** the page is back from the back/forward cache */
  | { type: 'resumed' };

/**
 * A connected channel, as the connector (tracker and WebRTC) gives it to the swarm (peer wire). The swarm sets the
 * channel's handlers synchronously on receiving it. The channel's `close` event fires however the connection ends
 * (page left, connection failed), perhaps twice.
 */
export interface Link {
  id: string;
  infoHash: string;
  /** how the other side names itself on the tracker, 40 hex digits */
  peerId: string;
  channel: RTCDataChannel;
  /** closes the connection, and tells the host */
  close(): void;
}

/** A torrent to join. */
export interface Joined {
  /** 40 hex digits */
  infoHash: string;
  /** ws: and wss: URLs */
  trackers: string[];
  ice: RTCIceServer[];
  /** what an announcement says of us, in bytes (BEP 3's `left`: 0 when complete) */
  progress(): { left: number; uploaded: number; downloaded: number };
}

/** What the connector does for the swarm. One for the engine, whatever the number of torrents. */
export interface Connector {
  /** announces to the torrent's trackers and connects to peers; idempotent */
  join(torrent: Joined): void;
  leave(infoHash: string): void;
  /** how many further peers are useful now, 0 to 8; 0 makes no offers */
  want(infoHash: string, peers: number): void;
  /** peers that are not connected yet and may be: whether waiting for one makes sense */
  coming(infoHash: string): number;
  close(): void;
}
export type OnLink = (link: Link) => void;

/**
 * One side of the way between core and host, as the core sees it: `post` and `postMessage` of the dedicated worker, or
 * plain calls where the core runs in the page (so that a channel which cannot be transferred is passed as it is).
 * The core calls `listen` synchronously, before anything can arrive.
 */
export interface HostPort {
  post(message: ToHost): void;
  listen(handler: (message: FromHost) => void): void;
}

/** `startCore` of core.ts. Never throws; runs until the host's worker or page ends. */
export type StartCore = (host: HostPort) => void;

/**
 * `createConnector` of connector.ts. The core passes it every message of the host through `onHost`, `suspended` and
 * `resumed` included, except `port`.
 */
export type CreateConnector = (
  post: (message: ToHost) => void,
  onLink: OnLink,
  /** `peerId`: how we name ourselves on the trackers, 40 hex digits (BEP 3 peer_id); random if absent */
  options?: { peerId?: string },
) => Connector & { onHost(message: FromHost): void };
