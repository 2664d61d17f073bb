/**
 * The page's RTCPeerConnections (W3C WebRTC 1.0), made when the core asks and not before. Session descriptions carry
 * their candidates, since WebTorrent's trackers pass on one message each way.
 */
import { reach } from '../shared/sdp.ts';
import type { FromHost, ToHost } from './rtc.ts';

/** All gathering ends after this time, and this long after the first candidate: STUN servers may be out of reach. */
const gatherMs = 4_000;
const gatherAfterFirstMs = 1_000;
/** Once others can reach us, further candidates are waited for so long. */
const gatherAfterRemoteMs = 100;

/**
 * Takes a channel, `ours` or the other side's. Called synchronously where a channel comes to be: only there may it be
 * transferred.
 */
type Give = (id: string, channel: RTCDataChannel, ours: boolean) => void;

export class Connections {
  #connections = new Map<string, RTCPeerConnection>();
  #post: (message: FromHost) => void;
  #give: Give;

  constructor(post: (message: FromHost) => void, give: Give) {
    this.#post = post;
    this.#give = give;
  }

  handle(message: ToHost): void {
    switch (message.type) {
      case 'ready':
        return;
      case 'offer':
        void this.#attempt(message.id, () => this.#offer(message.id, message.ice));
        return;
      case 'accept':
        void this.#attempt(message.id, () => this.#accept(message.id, message.ice, message.sdp));
        return;
      case 'answered':
        void this.#attempt(message.id, async () => {
          await this.#connections.get(message.id)?.setRemoteDescription({ type: 'answer', sdp: message.sdp });
        });
        return;
      case 'close':
        this.#drop(message.id);
        return;
      default:
        message satisfies never;
    }
  }

  /** Closes them all, at once: an open connection keeps the page out of the back/forward cache. */
  closeAll(): void {
    for (const id of [...this.#connections.keys()]) this.#drop(id);
  }

  async #attempt(id: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch {
      // Not a session description, not an ICE server, too many connections, or closed meanwhile.
      this.#drop(id);
    }
  }

  async #offer(id: string, ice: RTCIceServer[]): Promise<void> {
    const connection = this.#connect(id, ice);
    this.#give(id, connection.createDataChannel(id), true);
    await connection.setLocalDescription(await connection.createOffer());
    const sdp = await gathered(connection);
    if (this.#connections.get(id) === connection) this.#post({ type: 'offer', id, sdp });
  }

  async #accept(id: string, ice: RTCIceServer[], offer: string): Promise<void> {
    const connection = this.#connect(id, ice);
    connection.ondatachannel = ({ channel }) => {
      connection.ondatachannel = ({ channel: further }) => further.close();
      this.#give(id, channel, false);
    };
    await connection.setRemoteDescription({ type: 'offer', sdp: offer });
    await connection.setLocalDescription(await connection.createAnswer());
    const sdp = await gathered(connection);
    if (this.#connections.get(id) === connection) this.#post({ type: 'answer', id, sdp });
  }

  #connect(id: string, iceServers: RTCIceServer[]): RTCPeerConnection {
    if (this.#connections.has(id)) throw new Error('the connection exists');
    const connection = new RTCPeerConnection({ iceServers });
    this.#connections.set(id, connection);
    connection.onconnectionstatechange = () => {
      if (connection.connectionState === 'failed' || connection.connectionState === 'closed') this.#drop(id);
    };
    return connection;
  }

  #drop(id: string): void {
    const connection = this.#connections.get(id);
    this.#connections.delete(id);
    if (connection) {
      connection.onconnectionstatechange = connection.ondatachannel = null;
      connection.close();
    }
    this.#post({ type: 'closed', id });
  }
}

/** The local description once its candidates are all there, or enough of them, or it takes too long. */
function gathered(connection: RTCPeerConnection): Promise<string> {
  const sdp = (): string => connection.localDescription?.sdp ?? '';
  return new Promise((resolve) => {
    let timer = setTimeout(done, gatherMs);
    let seen: 'none' | 'host' | 'remote' = 'none';
    function done(): void {
      clearTimeout(timer);
      connection.onicecandidate = connection.onicegatheringstatechange = null;
      resolve(sdp());
    }
    function check(): void {
      if (connection.iceGatheringState === 'complete' || connection.signalingState === 'closed') return done();
      const now = reach(sdp());
      if (now === seen) return;
      seen = now;
      clearTimeout(timer);
      timer = setTimeout(done, now === 'remote' ? gatherAfterRemoteMs : gatherAfterFirstMs);
    }
    connection.onicecandidate = check;
    connection.onicegatheringstatechange = check;
    check();
  });
}
