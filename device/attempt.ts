/**
 * What gateways have said of one vote while it is handed over.
 *
 * @module
 */
import type { Problem } from "../shared/problem.ts";
import type { CastVote, Delivery } from "./device.ts";

/** One vote on its way. It is open until a gateway has taken it, or each gateway has refused it. */
export class Attempt {
  readonly vote: CastVote;
  /** What is sent: the body of a single vote, or a line of a batch. */
  readonly body: string;
  #taken: Delivery | undefined;
  /** By the gateway's address. */
  readonly #refusals = new Map<string, Problem>();
  #isUncertain = false;

  constructor(vote: CastVote, body: string) {
    this.vote = vote;
    this.body = body;
  }

  /** Whether it makes sense to ask this gateway. */
  isOpenTo(gateway: string): boolean {
    return this.#taken === undefined && !this.#refusals.has(gateway);
  }

  take(delivery: Delivery & { fate: "acknowledged" }): void {
    this.#taken = delivery;
  }

  refuse(gateway: string, problem: Problem): void {
    this.#refusals.set(gateway, problem);
  }

  /** A gateway may have the vote on its disk although it did not say so. */
  doubt(): void {
    this.#isUncertain = true;
  }

  /**
   * What became of the vote. It is `refused` only when every gateway that the vote was meant for has refused it, and no
   * request of it ended in doubt: a device deletes what is refused.
   *
   * @param gateways Addresses of the gateways that it was meant for.
   * @param last What went wrong last, in words.
   */
  conclude(gateways: readonly string[], last: string): Delivery {
    if (this.#taken !== undefined) return this.#taken;
    const [problem] = this.#refusals.values();
    const refusedByAll = gateways.every((gateway) => this.#refusals.has(gateway));
    if (problem !== undefined && refusedByAll && !this.#isUncertain) return { fate: "refused", problem };
    return { fate: "undelivered", detail: last, ...(problem && { problem }) };
  }
}
