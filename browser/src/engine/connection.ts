/**
 * One of the page's peer connections (W3C WebRTC 1.0). Its description carries its candidates, since WebTorrent's
 * trackers pass on one message each way.
 */
import { answerMs } from '../shared/offers.ts';
import { trimSdp } from '../shared/sdp.ts';

/** All gathering ends after this time. */
const gatherMs = 4_000;
/** Local addresses come within a few ms of the first, though the browser takes its time to say that they are all. */
const gatherHostMs = 20;
/** How long STUN and TURN servers may take once there are local addresses: they may be out of reach. */
const gatherRemoteMs = 500;
/** How long the others of them may take once one has told an address. */
const gatherMoreMs = 100;
/** How long a connection may take from both descriptions to an open channel, and a description to be made. */
const connectMs = 15_000;

/**
 *     making ─▶ offered ─▶ connecting ─▶ open      our offer: described, with the tracker, answered
 *     making ────────────▶ connecting ─▶ open      a remote offer: answered
 */
export type State = 'making' | 'offered' | 'connecting' | 'open';

/** What a connection tells; every call names it. */
export interface ConnectionOwner {
  /** its channel has come to be; only synchronously here may it be transferred */
  channel(connection: Connection, channel: RTCDataChannel): void;
  /** it is open */
  opened(connection: Connection): void;
  /** nothing comes any more; it may come back, or fail */
  wavers(connection: Connection): void;
  /** it has ended, however that came; once */
  ended(connection: Connection): void;
}

export class Connection {
  /** the offer_id */
  readonly id: string;
  /** whether we make the offer */
  readonly ours: boolean;
  /** how the other side names itself on the tracker; unknown until it answers */
  peerId: string | undefined;
  state: State = 'making';
  /** when it came into its state, ms since the epoch */
  sinceMs = 0;
  #owner: ConnectionOwner;
  #connection: RTCPeerConnection;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ended = false;
  /** ends `describe` */
  #settle: (sdp: string | undefined) => void = () => {};

  /** @throws where the ICE servers are none, or the page has too many connections */
  constructor(owner: ConnectionOwner, id: string, configuration: RTCConfiguration, peerId?: string) {
    this.#owner = owner;
    this.id = id;
    this.ours = peerId === undefined;
    this.peerId = peerId;
    const connection = (this.#connection = new RTCPeerConnection(configuration));
    connection.onconnectionstatechange = () => {
      const { connectionState } = connection;
      if (connectionState === 'failed') this.close();
      else if (connectionState === 'disconnected') owner.wavers(this);
      else if (connectionState === 'connected' && this.ours) this.#opened();
    };
    connection.ondatachannel = ({ channel }) => {
      if (this.ours || this.state === 'open') return channel.close();
      owner.channel(this, channel);
      this.#opened();
    };
    this.#enter('making', connectMs);
  }

  /** Nothing comes any more; it may come back. */
  get silent(): boolean {
    return this.#connection.connectionState === 'disconnected';
  }

  /** How long it has been in its state. */
  get ageMs(): number {
    return Date.now() - this.sinceMs;
  }

  /**
   * Makes our offer, or the answer to `offer`, in which `rewrite` may change something; undefined if the connection has
   * ended instead.
   */
  describe(offer?: string, rewrite?: (answer: string) => string): Promise<string | undefined> {
    return new Promise((resolve) => {
      this.#settle = resolve;
      this.#describe(offer, rewrite).then(
        (sdp) => {
          // Without an address nobody would find us.
          if (!sdp?.includes('\na=candidate')) return this.close();
          if (this.#ended) return;
          // One that was agreed on in advance may have opened meanwhile.
          if (this.state === 'making') this.#enter(this.ours ? 'offered' : 'connecting', this.ours ? answerMs : connectMs);
          resolve(sdp);
        },
        () => this.close(),
      );
    });
  }

  async #describe(offer?: string, rewrite?: (answer: string) => string): Promise<string | undefined> {
    const connection = this.#connection;
    if (offer === undefined) this.#owner.channel(this, connection.createDataChannel(this.id));
    else await connection.setRemoteDescription({ type: 'offer', sdp: offer });
    const candidates = gathered(connection);
    if (rewrite) {
      const { sdp } = await connection.createAnswer();
      await connection.setLocalDescription({ type: 'answer', sdp: rewrite(sdp!) });
    } else await connection.setLocalDescription();
    await candidates;
    return trimSdp(connection.localDescription?.sdp ?? '');
  }

  /** Has our offer wait for its answer for so long. */
  keep(ms: number): void {
    this.#enter('offered', ms);
  }

  /** The answer to our offer. The connection may take `ms` to open. */
  answered(peerId: string, sdp: string, ms = connectMs): void {
    this.peerId = peerId;
    this.#enter('connecting', ms);
    this.#connection.setRemoteDescription({ type: 'answer', sdp }).catch(() => this.close());
  }

  /** Ends the connection, wherever it stands. Idempotent. */
  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    const connection = this.#connection;
    connection.onconnectionstatechange = connection.ondatachannel = null;
    connection.close();
    this.#settle(undefined);
    this.#owner.ended(this);
  }

  #opened(): void {
    if (this.state === 'open') return;
    this.#enter('open');
    this.#owner.opened(this);
  }

  #enter(state: State, timeoutMs?: number): void {
    this.state = state;
    this.sinceMs = Date.now();
    clearTimeout(this.#timer);
    if (timeoutMs !== undefined) this.#timer = setTimeout(() => this.close(), timeoutMs);
  }
}

/** Resolves once a description's candidates are all there, or enough of them, or it takes too long. */
function gathered(connection: RTCPeerConnection): Promise<void> {
  return new Promise((resolve) => {
    const servers = connection.getConfiguration().iceServers?.length;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const within = (ms: number): void => {
      clearTimeout(timer);
      timer = setTimeout(resolve, ms);
    };
    within(gatherMs);
    let first = true;
    connection.onicecandidate = ({ candidate }) => {
      // The end is told by null, or by an empty candidate before it (RFC 8838).
      const text = candidate?.candidate;
      if (!text) within(0);
      else if (!text.includes(' typ host')) within(gatherMoreMs);
      else if (first) within(servers ? gatherRemoteMs : gatherHostMs);
      first = false;
    };
  });
}
