/**
 * Voters who are accredited while others vote: through the office's API, one after another. Each votes at a station when the poll there
 * has read on the topic `voters` that they may.
 *
 * @module
 */
import type { ChangeLog } from "../../shared/changes.ts";
import type { LedgerEntry } from "../ledger/ledger.ts";
import { PollBook } from "../voting/poll_book.ts";
import type { Voter } from "../voting/roll.ts";

/** Bounds of accreditation during a demo, in milliseconds. */
export const LATE_LIMITS = {
  /** From accreditation to a counted vote, at the most. */
  countedWithinMs: 60_000,
  /** How often a poll reads its topic. */
  followEveryMs: 250,
} as const;

/** What accrediting needs. */
export type LateVotersOptions = Readonly<{
  /** Who comes to be accredited, each with a station. */
  voters: readonly Voter[];
  election: string;
  registrar: Readonly<{ accredit(voter: Voter): Promise<void> }>;
  changes: Pick<ChangeLog, "read">;
  /** Between two voters, in milliseconds. */
  everyMs: number;
  clock: Readonly<{ now(): number; sleep(ms: number, signal?: AbortSignal): Promise<void> }>;
  signal: AbortSignal;
  print(line: string): void;
}>;

type Times = { accreditedMs: number; admittedMs?: number; countedMs?: number; outcome?: string };

/** See the module. */
export class LateVoters {
  readonly #options: LateVotersOptions;
  readonly #books = new Map<string, PollBook>();
  readonly #admitted: Voter[] = [];
  readonly #times = new Map<string, Times>();
  readonly faults: string[] = [];
  #ended = false;

  constructor(options: LateVotersOptions) {
    this.#options = options;
  }

  /** Accredits them, until all may vote or the signal aborts. */
  async run(): Promise<void> {
    const { voters, everyMs, clock, signal } = this.#options;
    try {
      for (const voter of voters) {
        await clock.sleep(everyMs, signal);
        if (signal.aborted) return;
        await this.#accredit(voter);
      }
    } catch (error) {
      this.faults.push(`accreditation broke off: ${(error as Error).message}`);
    } finally {
      this.#ended = true;
    }
  }

  /** The voters who come, with those who have been admitted between them. */
  async *among(comers: Iterable<Voter> | AsyncIterable<Voter>): AsyncGenerator<Voter> {
    const { clock, signal } = this.#options;
    for await (const voter of comers) {
      yield voter;
      yield* this.#admitted.splice(0);
    }
    while (!signal.aborted && (!this.#ended || this.#admitted.length > 0)) {
      yield* this.#admitted.splice(0);
      if (!this.#ended) await clock.sleep(LATE_LIMITS.followEveryMs, signal);
    }
  }

  /** Notes what became of votes. */
  note(entries: readonly LedgerEntry[]): void {
    const { clock, print } = this.#options;
    for (const each of entries) {
      if (each.entry !== "outcome") continue;
      const times = this.#times.get(each.voterId);
      // A bad vote in the same voter's name may be answered for first.
      if (times?.admittedMs === undefined || times.outcome === "counted") continue;
      times.outcome = each.outcome;
      if (each.outcome !== "counted") continue;
      times.countedMs = clock.now();
      print(
        `${each.voterId} was accredited; their poll knew after ${
          seconds(times.admittedMs - times.accreditedMs)
        }, and their vote was counted after ${seconds(times.countedMs - times.accreditedMs)}`,
      );
    }
  }

  /** What is to be said in the end; what took too long, or was not counted, is in `faults`. */
  report(): string {
    const counted = [...this.#times].filter(([, { outcome }]) => outcome === "counted");
    for (const [id, { accreditedMs, countedMs, outcome }] of this.#times) {
      if (outcome !== "counted") {
        this.faults.push(`${id} was accredited, and their vote is ${outcome ?? "not answered for"}`);
      } else if (countedMs! - accreditedMs > LATE_LIMITS.countedWithinMs) {
        this.faults.push(`${id} was counted ${seconds(countedMs! - accreditedMs)} after accreditation`);
      }
    }
    const longest = Math.max(
      0,
      ...counted.map(([, { accreditedMs, countedMs }]) => countedMs! - accreditedMs),
    );
    return `${this.#times.size} voters were accredited while others voted, and ${counted.length} of their votes counted, ${
      seconds(longest)
    } later at the most`;
  }

  async #accredit(voter: Voter): Promise<void> {
    const { registrar, clock, signal } = this.#options;
    const book = this.#bookOf(voter.station);
    await book.follow();
    if (book.admits(voter.id, voter.station)) throw new Error(`${voter.id} is on the roll already`);
    await registrar.accredit(voter);
    const times: Times = { accreditedMs: clock.now() };
    this.#times.set(voter.id, times);
    for (; !signal.aborted; await clock.sleep(LATE_LIMITS.followEveryMs, signal)) {
      await book.follow();
      if (book.admits(voter.id, voter.station)) break;
      if (clock.now() - times.accreditedMs > LATE_LIMITS.countedWithinMs) {
        throw new Error(
          `the poll at ${voter.station} has not read of ${voter.id} within ${
            seconds(LATE_LIMITS.countedWithinMs)
          }`,
        );
      }
    }
    if (signal.aborted) return;
    times.admittedMs = clock.now();
    this.#admitted.push(voter);
  }

  #bookOf(station: string): PollBook {
    const { changes, election } = this.#options;
    let book = this.#books.get(station);
    if (book === undefined) this.#books.set(station, book = new PollBook(changes, election));
    return book;
  }
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
