/**
 * Bounds how long a request waits for the disk. While votes wait too long for it, or the process is too busy to read requests in
 * time, new requests wait for their turn (turns.ts) or are refused; and a request whose votes are still not durable is answered before
 * its sender gives up.
 *
 * @module
 */

import { Queue } from "./queue.ts";
import { RetryAfter } from "./retry_after.ts";

/** Bounds of waiting, in milliseconds. */
export const ADMISSION_LIMITS = {
  /** While the oldest request has waited that long for the disk, no other begins: each would make the wait longer. */
  holdAfterMs: 250,
  /** While the oldest request has waited that long for the disk, or the process is that far behind, others are refused. */
  refuseAfterMs: 750,
  /** A request is answered by then, durable or not, from when it came. */
  answerWithinMs: 1_500,
  /** How often that is checked. */
  checkEveryMs: 100,
} as const;

type Wait = { readonly sinceMs: number; readonly giveUpAtMs: number; giveUp(): void; isOver: boolean };

/** See the module. Used by one process. */
export class Admission {
  readonly #now: () => number;
  readonly #limits: typeof ADMISSION_LIMITS;
  /** What devices are asked to wait. */
  readonly retryAfter: RetryAfter;
  /** In the order in which they began. Those that are over stay until they are the oldest. */
  readonly #waits = new Queue<Wait>();
  #waiting = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #behindMs = 0;
  #nextCheckMs = 0;

  /** @param now A monotonic clock, in milliseconds. */
  constructor(
    now: () => number = () => performance.now(),
    limits: typeof ADMISSION_LIMITS = ADMISSION_LIMITS,
  ) {
    this.#now = now;
    this.#limits = limits;
    this.retryAfter = new RetryAfter(now);
  }

  /** Whether new requests begin, wait, or are refused. */
  get gate(): "open" | "hold" | "refuse" {
    const { holdAfterMs, refuseAfterMs } = this.#limits;
    const waitedMs = this.#diskWaitMs();
    if (this.#behindMs >= refuseAfterMs || waitedMs >= refuseAfterMs) return "refuse";
    return waitedMs >= holdAfterMs ? "hold" : "open";
  }

  /** Why no more requests are taken at the moment; `undefined` while they are. */
  get fault(): string | undefined {
    if (this.gate !== "refuse") return undefined;
    if (this.#behindMs >= this.#limits.refuseAfterMs) {
      return `the gateway is ${Math.round(this.#behindMs)} ms behind with reading requests`;
    }
    return `${this.#waiting} requests wait for the disk, the oldest for ${Math.round(this.#diskWaitMs())} ms`;
  }

  /**
   * Waits until votes are durable, for a limited time. False when the time is up. Rejects when `durable` does.
   *
   * @param waitedMs How long their request had waited before.
   */
  within(durable: Promise<void>, waitedMs = 0): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const sinceMs = this.#now();
      const giveUpAtMs = sinceMs + this.#limits.answerWithinMs - waitedMs;
      const wait = { sinceMs, giveUpAtMs, giveUp: () => resolve(false), isOver: false };
      this.#begin(wait);
      durable.then(() => {
        this.#end(wait);
        resolve(true);
      }, (error) => {
        this.#end(wait);
        reject(error);
      });
    });
  }

  /** How long the oldest request has waited for the disk. */
  #diskWaitMs(): number {
    const { oldest } = this.#waits;
    return oldest === undefined ? 0 : this.#now() - oldest.sinceMs;
  }

  #begin(wait: Wait): void {
    this.#waits.push(wait);
    this.#waiting++;
    if (this.#timer !== undefined) return;
    this.#nextCheckMs = wait.sinceMs + this.#limits.checkEveryMs;
    this.#timer = setInterval(() => this.#check(), this.#limits.checkEveryMs);
  }

  #end(wait: Wait): void {
    if (wait.isOver) return;
    wait.isOver = true;
    this.#waiting--;
    while (this.#waits.oldest?.isOver) this.#waits.shift();
    if (this.#waiting > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#behindMs = 0;
  }

  #check(): void {
    const nowMs = this.#now();
    // A timer that comes late shows how long a request lies in the socket before it is read.
    this.#behindMs = nowMs - this.#nextCheckMs;
    this.#nextCheckMs = nowMs + this.#limits.checkEveryMs;
    // A request that was answered still counts until its votes are durable: it says how slow the disk is.
    for (const wait of [...this.#waits]) {
      if (nowMs >= wait.giveUpAtMs) wait.giveUp();
    }
  }
}
