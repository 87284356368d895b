/**
 * Finds out when the final release may be made: the acceptance window is over, the gate has said yes, and the log was read
 * to where it ended then. It asks in a loop of its own, so that publishing does not wait for a log that is away.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { logEnds, type VoteLog } from "../../shared/log/vote_log.ts";
import { readLag } from "../counting/reconciliation.ts";
import type { Query } from "../database/database.ts";
import type { FinalReleaseGate } from "./final_gate.ts";

/** How often gate and log are asked, in milliseconds; after an error the wait doubles up to the longest. */
const ASK_EVERY_MS = 500;
const LONGEST_WAIT_MS = 15_000;

/** What the watch needs. */
export type FinalWatchOptions = Readonly<{
  query: Query;
  election: string;
  log: VoteLog;
  gate: FinalReleaseGate;
  /** Milliseconds since 1970. */
  now(): number;
  /** The last moment at which a vote is accepted, by the newest manifest, in milliseconds since 1970. */
  acceptsUntilMs(): number;
  /** Whether the log is the one that was counted so far: nothing can be said by another one. */
  isLogKnown(): boolean;
  signal: AbortSignal;
  onFault(error: unknown): void;
}>;

/** See the module. */
export class FinalWatch {
  readonly #options: FinalWatchOptions;
  /** Where the log ended when the gate said yes. */
  #ends: readonly number[] | undefined;
  #isDue = false;
  #isCaughtUp = false;
  #waitsFor: string | undefined;

  constructor(options: FinalWatchOptions) {
    this.#options = options;
  }

  /** Whether the final release may be made. */
  get isDue(): boolean {
    return this.#isDue;
  }

  /** Whether all that is on the log was counted a moment ago; asked once the acceptance window is over. */
  get isCaughtUp(): boolean {
    return this.#isCaughtUp;
  }

  /** What the gate waits for, if it does. */
  get waitsFor(): string | undefined {
    return this.#waitsFor;
  }

  /** Watches until the signal aborts. */
  async run(): Promise<void> {
    const { signal, onFault } = this.#options;
    for (let faults = 0; !signal.aborted;) {
      let waitMs = ASK_EVERY_MS;
      try {
        await this.#poll();
        faults = 0;
      } catch (error) {
        if (signal.aborted) return;
        this.#isCaughtUp = false;
        onFault(error);
        waitMs = Math.min(LONGEST_WAIT_MS, ASK_EVERY_MS * 2 ** ++faults);
      }
      await delay(waitMs, undefined, { signal }).catch(() => {});
    }
  }

  async #poll(): Promise<void> {
    const { query, election, log, gate, now, acceptsUntilMs, isLogKnown } = this.#options;
    if (now() <= acceptsUntilMs() || !isLogKnown()) {
      this.#ends = undefined;
      this.#isDue = this.#isCaughtUp = false;
      return;
    }
    if (this.#ends === undefined) {
      const answer = await gate.finalAllowed(query, election);
      this.#waitsFor = answer.allowed ? undefined : answer.reason;
      if (!answer.allowed) return;
      this.#ends = await logEnds(log);
    }
    this.#isDue ||= await readLag(query, election, this.#ends) === 0;
    this.#isCaughtUp = this.#isDue && await readLag(query, election, await logEnds(log)) === 0;
  }
}
