/**
 * What one peer says that it is having from a web seed (`pk_fetching`), and how far it is believed: a piece counts as
 * coming for the time that the origin may take for its run, and a peer that let this time pass without bringing anything,
 * or ended several runs so, is not believed again before it has brought something. Times are in milliseconds.
 */
import { contains, maxRuns, type Run } from './extended.ts';
import { WireError } from './wire.ts';

/** So many runs in a row are not ended with nothing in earnest: a host that fails, a seek or two. */
const maxVain = 4;

interface Claim extends Run {
  untilMs: number;
  /** some of its pieces have come; or its time has passed, and that has counted */
  kept: boolean;
}

export class Claims {
  #claims: Claim[] = [];
  /** runs in a row that were ended with nothing; `maxVain` once one has passed its time so */
  #vain = 0;

  get any(): boolean {
    return this.#claims.length > 0;
  }

  /**
   * The peer has begun to fetch these pieces, believed until `untilMs`. Runs beyond the first `maxRuns` are not noted.
   *
   * @throws if it has begun them before: no claim is renewed
   */
  begin(run: Run, untilMs: number): void {
    if (this.#find(run)) throw new WireError('claim');
    if (this.#claims.length < maxRuns) this.#claims.push({ ...run, untilMs, kept: false });
  }

  /** It has ended, with them or without. */
  end(run: Run): void {
    const ended = this.#find(run);
    if (ended && !ended.kept) this.#vain++;
    this.#claims = this.#claims.filter((claim) => claim !== ended);
  }

  #find({ first, count }: Run): Claim | undefined {
    return this.#claims.find((claim) => claim.first === first && claim.count === count);
  }

  /** The peer has got this piece. */
  gained(piece: number): void {
    for (const claim of this.#claims) {
      if (!contains(claim, piece)) continue;
      claim.kept = true;
      this.#vain = 0;
    }
  }

  /** Whether this piece may be expected from the peer; `kept`: of a run of which it has brought something already. */
  coming(piece: number, nowMs: number, kept = false): boolean {
    for (const claim of this.#claims) {
      if (claim.kept || nowMs <= claim.untilMs) continue;
      claim.kept = true;
      this.#vain = maxVain;
    }
    const counts = (claim: Claim) => nowMs <= claim.untilMs && contains(claim, piece) && (claim.kept || !kept);
    return this.#vain < maxVain && this.#claims.some(counts);
  }
}

