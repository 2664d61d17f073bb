/**
 * A way back for pages that are left while no tracker answers. Connections end with their page, and the next page has
 * nobody to ask. So a peer gives another an offer to keep, a spare, and both agree on its answer in advance:
 *
 *     keeper ──spare──▶ page          an offer
 *            ◀─agreed──               an answer without candidates: ufrag, password, certificate's fingerprint
 *     the page is left: the keeper applies the answer
 *     the next page answers the offer by the same ufrag, password and certificate: its checks tell the keeper where it
 *     is (RFC 8445, 7.3.1.3), and the connection opens without a word between the two
 *
 * A page that crashes does not say so: its keeper takes it to be left when its connection brings nothing any more, which
 * takes a few seconds, and what the next page is to know is kept as soon as it is agreed on.
 */
import { trimSdp } from '../shared/sdp.ts';
import { forgetCertificate, keepCertificate, keptCertificate } from './certificate.ts';
import { Connection, type ConnectionOwner } from './connection.ts';
import type { Rope } from './memory.ts';
import type { Introduced } from './rtc.ts';

/** Spares that are given at a time, and that are taken. */
const maxGiven = 3;
const maxTaken = 2;
/** A spare is good for so long; then there is another. */
const spareMs = 5 * 60_000;
/** Who did not take one may have thought that a tracker answers: it is asked again. */
const againMs = 60_000;
/** How long a page may take from being left to its successor. */
const awayMs = 60_000;

/** The lines of an answer that are agreed on in advance (RFC 8839, 5.4). */
const credential = /^a=ice-(ufrag|pwd):.*/gm;

export interface StandbyOwner extends ConnectionOwner {
  /** the answering end of a connection that counts from now on; undefined where the browser makes none */
  connect(id: string, peerId: string, certificate?: RTCCertificate): Connection | undefined;
  /** the offering end of one that does not count before it is open */
  spare(): Connection | undefined;
  /** says something to the peer at the other end of a connection */
  say(to: Connection, type: Introduced['type'], id: string, sdp: string): void;
  /** the next page has another rope to go back by */
  roped(): void;
}

/** A spare that we give. */
interface Spare {
  /** the connection that it is for; undefined once that has ended */
  standsFor: Connection | undefined;
  answer?: string;
}

export class Standby {
  readonly #owner: StandbyOwner;
  /** open connections whose other end can be spoken to, and when it was last offered a spare, if it is to be known */
  readonly #acquainted = new Map<Connection, number>();
  readonly #spares = new Map<Connection, Spare>();
  /** what the next page is left of the spares that we were given */
  readonly #ropes = new Map<Connection, Rope>();
  /** what is to be gone back by, if the page is still there */
  #back: Rope[] = [];
  #certificate: Promise<RTCCertificate> | undefined;

  constructor(owner: StandbyOwner) {
    this.#owner = owner;
  }

  get ropes(): Rope[] {
    return [...this.#ropes.values()].filter(({ answer }) => answer);
  }

  acquainted(connection: Connection): void {
    this.#acquainted.set(connection, -Infinity);
  }

  /** Gives spares to those who have none of us, and were not offered one just now. To be called while no tracker answers. */
  give(): void {
    for (const [connection, offeredMs] of this.#acquainted) {
      if (this.#spares.size >= maxGiven) return;
      const kept = [...this.#spares.values()].some(({ standsFor }) => standsFor === connection);
      if (kept || Date.now() - offeredMs < againMs) continue;
      this.#acquainted.set(connection, Date.now());
      void this.#give(connection);
    }
  }

  async #give(standsFor: Connection): Promise<void> {
    const spare = this.#owner.spare();
    if (!spare) return;
    this.#spares.set(spare, { standsFor });
    // Who has enough of them does not agree, and the offer ends as others do that nobody answers.
    const sdp = await spare.describe();
    if (sdp !== undefined) this.#owner.say(standsFor, 'spare', spare.id, sdp);
  }

  /** The answer to one of our spares, agreed on in advance. */
  agreed(by: Connection, id: string, sdp: string): void {
    for (const [spare, about] of this.#spares) {
      if (spare.id !== id || about.standsFor !== by || about.answer !== undefined) continue;
      const answer = trimSdp(sdp);
      if (answer === undefined) return spare.close();
      about.answer = answer;
      spare.keep(spareMs);
    }
  }

  /** A spare that a peer gives us. */
  async take(from: Connection, id: string, sdp: string): Promise<void> {
    const offer = trimSdp(sdp);
    if (!offer || (this.#ropes.size >= maxTaken && !this.#ropes.has(from))) return;
    this.#ropes.set(from, { peerId: from.peerId!, id, offer, answer: '' });
    let connection: RTCPeerConnection | undefined;
    try {
      this.#certificate ??= keepCertificate();
      connection = new RTCPeerConnection({ certificates: [await this.#certificate] });
      await connection.setRemoteDescription({ type: 'offer', sdp: offer });
      const { sdp: answer } = await connection.createAnswer();
      const rope = this.#ropes.get(from);
      if (rope?.id !== id) return;
      rope.answer = answer!;
      this.#owner.roped();
      this.#owner.say(from, 'agreed', id, answer!);
    } catch {
      this.#ropes.delete(from); // no description, or no certificate can be kept here
    } finally {
      connection?.close();
    }
  }

  /** Goes back to those whom the last page agreed with. */
  async resume(ropes: Rope[]): Promise<void> {
    this.#back = ropes;
    const certificate = await keptCertificate();
    if (!certificate) return;
    this.#certificate = Promise.resolve(certificate);
    for (const { peerId, id, offer, answer } of this.#back) {
      const agreed = answer.match(credential);
      const connection = this.#owner.connect(id, peerId, certificate);
      void connection?.describe(offer, (sdp) => sdp.replace(credential, () => agreed!.shift()!));
    }
  }

  opened(connection: Connection): void {
    this.#spares.delete(connection);
  }

  ended(connection: Connection): void {
    const spare = this.#spares.get(connection);
    this.#spares.delete(connection);
    // One that was kept to its end is followed by another.
    if (spare?.standsFor && spare.answer !== undefined) this.acquainted(spare.standsFor);
    this.#acquainted.delete(connection);
    this.#ropes.delete(connection);
    this.away(connection);
  }

  /** The page at the other end may have been left: what it was given waits for the next one. */
  away(connection: Connection): void {
    for (const [its, about] of [...this.#spares]) {
      if (about.standsFor !== connection) continue;
      about.standsFor = undefined;
      if (about.answer === undefined) its.close();
      else its.answered(connection.peerId!, about.answer, awayMs);
    }
  }

  /** A tracker answers: the next page will, too, find others by it. */
  end(): void {
    for (const spare of [...this.#spares.keys()]) spare.close();
    for (const connection of this.#acquainted.keys()) this.acquainted(connection);
    this.#ropes.clear();
    if (this.#certificate) forgetCertificate();
    this.#certificate = undefined;
  }

  /** The page is left. */
  leave(): void {
    this.#back = [];
    this.#acquainted.clear();
    for (const spare of [...this.#spares.keys()]) spare.close();
    this.#ropes.clear();
  }
}
