/**
 * A data channel at a distance, for browsers that cannot transfer one: the page keeps the channel (`relay`), and the
 * core's stand-in (`relayedChannel`) has the part of its interface that the swarm uses. Between them goes a
 * MessagePort: binary data as ArrayBuffer in both directions, all else as `Note`.
 */

/** What is held in the channel itself; the rest waits in the page until the channel has sent it. */
const channelBytes = 256 * 1024;

type Note =
  /** the channel is open */
  | { type: 'open' }
  /** the channel is, or is to be, closed */
  | { type: 'close' }
  /** so many bytes have been handed to the network stack */
  | { type: 'sent'; bytes: number };

/** The page's side: passes everything between the channel and the port. */
export function relay(channel: RTCDataChannel, port: MessagePort): void {
  const waiting: ArrayBuffer[] = [];
  const note = (message: Note): void => port.postMessage(message);
  function flush(): void {
    let bytes = 0;
    try {
      while (waiting.length && channel.bufferedAmount < channelBytes) {
        const data = waiting[0]!;
        channel.send(data);
        bytes += data.byteLength;
        waiting.shift();
      }
    } catch {
      channel.close();
    }
    if (bytes) note({ type: 'sent', bytes });
  }
  channel.binaryType = 'arraybuffer';
  channel.bufferedAmountLowThreshold = channelBytes / 2;
  channel.onbufferedamountlow = flush;
  channel.onopen = () => note({ type: 'open' });
  channel.onclose = () => note({ type: 'close' });
  channel.onmessage = ({ data }: MessageEvent<unknown>) => {
    if (data instanceof ArrayBuffer) port.postMessage(data, [data]);
  };
  port.onmessage = ({ data }: MessageEvent<ArrayBuffer | Note>) => {
    if (data instanceof ArrayBuffer) {
      waiting.push(data);
      flush();
    } else if (data.type === 'close') {
      channel.close();
    }
  };
  if (channel.readyState === 'open') note({ type: 'open' });
}

/** The core's side, as far as the swarm uses a channel. */
class RelayedChannel extends EventTarget {
  binaryType: BinaryType = 'arraybuffer';
  readyState: RTCDataChannelState = 'connecting';
  bufferedAmount = 0;
  bufferedAmountLowThreshold = 0;
  onopen: ((event: Event) => void) | null = null;
  onclose: ((event: Event) => void) | null = null;
  onmessage: ((event: MessageEvent) => void) | null = null;
  onbufferedamountlow: ((event: Event) => void) | null = null;
  onerror: ((event: Event) => void) | null = null;
  #port: MessagePort;

  constructor(port: MessagePort) {
    super();
    this.#port = port;
    port.onmessage = ({ data }: MessageEvent<ArrayBuffer | Note>) => this.#receive(data);
  }

  send(data: ArrayBuffer | ArrayBufferView): void {
    if (this.readyState !== 'open') throw new DOMException('the channel is not open', 'InvalidStateError');
    const bytes = ArrayBuffer.isView(data)
      ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      : new Uint8Array(data);
    const copy = bytes.slice().buffer; // the caller keeps its buffer
    this.bufferedAmount += copy.byteLength;
    this.#port.postMessage(copy, [copy]);
  }

  close(): void {
    if (this.readyState === 'closed') return;
    this.#port.postMessage({ type: 'close' } satisfies Note);
    this.#closed();
  }

  override dispatchEvent(event: Event): boolean {
    const handler = this[`on${event.type}` as 'onopen'];
    handler?.call(this, event);
    return super.dispatchEvent(event);
  }

  #receive(data: ArrayBuffer | Note): void {
    if (this.readyState === 'closed') {
      if (!(data instanceof ArrayBuffer) && data.type === 'close') this.#port.close();
      return;
    }
    if (data instanceof ArrayBuffer) {
      this.dispatchEvent(new MessageEvent('message', { data }));
      return;
    }
    switch (data.type) {
      case 'open':
        if (this.readyState !== 'connecting') return;
        this.readyState = 'open';
        this.dispatchEvent(new Event('open'));
        return;
      case 'close':
        this.#port.close();
        this.#closed();
        return;
      case 'sent': {
        const before = this.bufferedAmount;
        this.bufferedAmount = Math.max(0, before - data.bytes);
        const threshold = this.bufferedAmountLowThreshold;
        if (before > threshold && this.bufferedAmount <= threshold) this.dispatchEvent(new Event('bufferedamountlow'));
        return;
      }
      default:
        data satisfies never;
    }
  }

  #closed(): void {
    this.readyState = 'closed';
    this.dispatchEvent(new Event('close'));
  }
}

export function relayedChannel(port: MessagePort): RTCDataChannel {
  return new RelayedChannel(port) as unknown as RTCDataChannel;
}
