/** Room in the store where the browser has none: the worker makes it, which alone knows what was unused the longest. */
import type { FromEngine } from '../shared/messages.ts';

/** The worker, or an older one that knows nothing of this, has so long: a page may be waiting. */
const roomMs = 1000;

export interface RoomOwner {
  post(message: FromEngine, transfer: MessagePort[]): void;
}

/** Asks the worker for room for so many bytes. Resolves when there is some, or none to be had. */
export const askForRoom = (owner: RoomOwner, bytes: number): Promise<void> =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    const end = (): void => {
      port1.close();
      resolve();
    };
    port1.onmessage = end;
    setTimeout(end, roomMs);
    owner.post({ type: 'room', bytes }, [port2]);
  });
