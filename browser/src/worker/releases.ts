/**
 * What is heard of new releases from others than the origin.
 *
 * The key that the site signs by, where it does, is compiled into this script, which comes from the origin alone. A
 * manifest's root that it has signed, with a higher number than any that has been believed, is the newest, whoever hands
 * it on. Whatever else is said is a reason to ask the origin, and nothing more: one conditional request for the manifest,
 * however many say so. What the origin itself shows is current, whatever its number.
 */
import { isDisabled, parseRoot } from '../shared/manifest.ts';
import type { Heard, ToEngine } from '../shared/messages.ts';
import { maxSignedBytes } from '../shared/messages.ts';
import { type Ed25519, type Seal, verify } from '../shared/signature.ts';
import type { Site } from './site.ts';
import { leave } from './wayout.ts';

/**
 * At most so often the origin is asked because of what was heard; twice, four times … as long after bogus hints. What
 * peers made up does not keep a tracker's word waiting.
 */
const gapMs = 30_000;
const maxDoublings = 6;
/** Visitors hear of a release together. */
const spreadMs = 500;
/** Peers have so long to ask for the word that has us leave. */
const goodbyeMs = 2000;
/** So far clocks may differ. */
const skewSeconds = 86_400;

/** The site's public key, 64 hex digits; empty where it does not sign. Packing puts the line that sets it before ours. */
const key = (globalThis as { planktosKey?: string }).planktosKey ?? '';

const { subtle } = crypto;
const ed25519: Ed25519 = async (by, signature, text) =>
  subtle.verify('Ed25519', await subtle.importKey('raw', by, 'Ed25519', false, ['verify']), signature, text);

const isOver = ({ expires = Infinity }: Seal): boolean => Date.now() / 1000 > expires + skewSeconds;

/** The newest release, as it is told to peers; `text` is its signed root, and empty where the number is 0. */
interface Newest {
  snapshot: string;
  sequence: number;
  text: string;
}

export class Releases {
  readonly #site: Site;
  /** when the origin is to be asked, and the timer of that; Infinity while there is no reason to */
  #dueMs = Infinity;
  #due: ReturnType<typeof setTimeout> | undefined;
  /** what the origin showed last */
  #shown: string | undefined;
  #newest: Newest | undefined;
  /** roots that were not believed */
  refused = 0;
  /**
   * kept across restarts of the worker: when the origin was last asked because of what was heard, how many hints of
   * peers and of trackers in a row were bogus, and the highest number that the key has signed
   */
  state = { askedMs: 0, peer: 0, tracker: 0, key, sequence: 0 };

  constructor(site: Site) {
    this.#site = site;
  }

  load(kept: Partial<Releases['state']> | undefined): void {
    // Another key counts anew: whoever had the former may have used up its numbers.
    Object.assign(this.state, kept, kept?.key !== key && { key, sequence: 0 });
  }

  /** Somebody says that there is a release. */
  heard(heard: Heard): void {
    const { current, live } = this.#site.snapshots;
    const { snapshot, root, from, by } = heard;
    if (!current) return;
    if (key && root) return void this.#judge(root, by);
    // Peers that come from an earlier release have nothing to tell.
    if (snapshot === current.id || (from === 'peer' && live.has(snapshot))) return;
    const { askedMs, [from]: bogus } = this.state;
    const now = Date.now();
    const dueMs = Math.max(now, askedMs + gapMs * 2 ** Math.min(bogus, maxDoublings));
    // Of those that wait, the one that may be asked about first has it asked.
    if (dueMs >= this.#dueMs) return;
    this.#dueMs = dueMs;
    clearTimeout(this.#due);
    this.#due = setTimeout(() => void this.#look(heard), dueMs - now + Math.random() * spreadMs);
  }

  /** Asks the origin whether it is so. */
  async #look({ snapshot, from, by = '' }: Heard): Promise<void> {
    const { snapshots, engines, save } = this.#site;
    this.#dueMs = Infinity;
    const before = snapshots.current?.id;
    if (before === snapshot) return;
    this.state.askedMs = Date.now();
    if (await snapshots.validate()) {
      const came = snapshots.current?.id !== before;
      if (came) this.state.peer = this.state.tracker = 0;
      else {
        this.state[from]++;
        engines.tell({ type: 'bogus', by });
      }
    }
    void save();
  }

  /** Takes a root that was handed over, if it is the newest release's. The engine is always answered. */
  async #judge(root: ArrayBuffer, by = ''): Promise<void> {
    const { snapshots, engines, save } = this.#site;
    const text = root.byteLength > maxSignedBytes ? '' : new TextDecoder().decode(root);
    const seal = await verify(text, key, ed25519);
    // Who hands over what has come meanwhile did not lie.
    const known = seal?.sequence === this.state.sequence;
    try {
      if (!seal || isOver(seal) || seal.sequence <= this.state.sequence) throw seal;
      if (isDisabled(text)) {
        // Peers may hear of it from nobody else.
        if (engines.connections) {
          const { sequence } = seal;
          engines.tell({ type: 'newest', snapshot: snapshots.current!.id, sequence, root, above: sequence });
          await new Promise((passed) => setTimeout(passed, goodbyeMs));
        }
        return await leave(this.#site);
      }
      const parsed = parseRoot(text);
      this.state.sequence = seal.sequence;
      await snapshots.adopt(parsed);
      // The next navigation asks the origin all the same.
      snapshots.doubt();
      await this.#hold(text, seal);
      void save();
    } catch {
      this.refused++;
      if (known) await this.introduce((message) => engines.tell(message));
      else engines.tell({ type: 'bogus', by });
    }
  }

  /** The origin shows this manifest, which has been adopted. */
  async shown(text: string): Promise<void> {
    if (text === this.#shown) return;
    this.#shown = text;
    await this.#hold(text, key ? await verify(text, key, ed25519) : undefined);
  }

  async #hold(text: string, seal: Seal | undefined): Promise<void> {
    const { engines, records, snapshots } = this.#site;
    const { sequence = 0 } = seal ?? {};
    this.state.sequence = Math.max(this.state.sequence, sequence);
    const handed = seal && new TextEncoder().encode(text).length <= maxSignedBytes;
    this.#newest = { snapshot: snapshots.current?.id ?? '', sequence: handed ? sequence : 0, text: handed ? text : '' };
    if (seal) await records.set('newest', this.#newest);
    await this.introduce((message) => engines.tell(message));
  }

  /** Tells an engine of the newest release, for its peers. */
  async introduce(tell: (message: ToEngine) => void): Promise<void> {
    const { records, snapshots } = this.#site;
    this.#newest ??= key ? await records.get<Newest>('newest') : undefined;
    const { current } = snapshots;
    if (!current) return;
    const { id: snapshot } = current;
    const { sequence, text } = this.#newest?.snapshot === snapshot ? this.#newest : { sequence: 0, text: '' };
    const { buffer: root } = new TextEncoder().encode(text);
    tell({ type: 'newest', snapshot, sequence, root, above: key ? this.state.sequence : Infinity });
  }
}
