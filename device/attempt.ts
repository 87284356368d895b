/**
 * The gateways' answers for one vote during its delivery.
 *
 * @module
 */
import type { Problem } from "../shared/problem.ts";
import type { CastVote, Delivery } from "./delivery.ts";

/** The delivery of one vote. It is open until a gateway has taken the vote, or every gateway has refused it. */
export class Attempt {
  readonly vote: CastVote;
  /** The body of a single vote, or a line of a batch. */
  readonly body: string;
  #taken: Delivery | undefined;
  /** By the gateway's address. */
  readonly #refusals = new Map<string, Problem>();
  #isUncertain = false;

  constructor(vote: CastVote, body: string) {
    this.vote = vote;
    this.body = body;
  }

  /** Whether this gateway should be asked. */
  isOpenTo(gateway: string): boolean {
    return this.#taken === undefined && !this.#refusals.has(gateway);
  }

  take(delivery: Delivery & { fate: "acknowledged" }): void {
    this.#taken = delivery;
  }

  refuse(gateway: string, problem: Problem): void {
    this.#refusals.set(gateway, problem);
  }

  /** A gateway may have stored the vote, although it did not say so. */
  doubt(): void {
    this.#isUncertain = true;
  }

  /**
   * The result. It is `refused` only when every gateway that the vote was meant for has refused it, and no
   * request of it ended in doubt: a device deletes what is refused.
   *
   * @param gateways Addresses of the gateways that it was meant for.
   * @param last The last error message.
   */
  conclude(gateways: readonly string[], last: string): Delivery {
    if (this.#taken !== undefined) return this.#taken;
    const [problem] = this.#refusals.values();
    const refusedByAll = gateways.every((gateway) => this.#refusals.has(gateway));
    if (problem !== undefined && refusedByAll && !this.#isUncertain) return { fate: "refused", problem };
    return { fate: "undelivered", detail: last, ...(problem && { problem }) };
  }
}
