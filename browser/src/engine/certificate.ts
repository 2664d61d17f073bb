/**
 * The certificate by which a peer knows the page that follows this one (standby.ts). Of what outlives a page IndexedDB
 * alone can keep one (W3C WebRTC, 4.9.2: it is serializable, for storage). It is there during outages only.
 */
import { standbyDatabase } from '../shared/messages.ts';

const storeName = 'certificates';

/** What is kept; undefined if there is none, or no place for it. */
export function keptCertificate(): Promise<RTCCertificate | undefined> {
  return within<RTCCertificate | undefined>('readonly', (store) => store.get(0)).catch(() => undefined);
}

/** Makes another one, and keeps it in place of the last. */
export async function keepCertificate(): Promise<RTCCertificate> {
  const made = await RTCPeerConnection.generateCertificate({ name: 'ECDSA', namedCurve: 'P-256' } as EcKeyGenParams);
  await within('readwrite', (store) => store.put(made, 0));
  return made;
}

export function forgetCertificate(): void {
  indexedDB.deleteDatabase(standbyDatabase);
}

function within<T>(mode: IDBTransactionMode, act: (store: IDBObjectStore) => IDBRequest): Promise<T> {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(standbyDatabase);
    opening.onupgradeneeded = () => opening.result.createObjectStore(storeName);
    opening.onerror = () => reject(opening.error!);
    opening.onsuccess = () => {
      const transaction = opening.result.transaction(storeName, mode);
      const request = act(transaction.objectStore(storeName));
      transaction.oncomplete = () => resolve(request.result as T);
      transaction.onabort = () => reject(transaction.error!);
      opening.result.close(); // once the transaction has ended
    };
  });
}
