/**
 * Several addresses of one service: whichever answers will do.
 *
 * @module
 */

/** What asking came to: an answer, or what was wrong. */
export type Asked<Answer> = Readonly<{ answer: Answer }> | Readonly<{ fault: string }>;

/** See the module. */
export class Addresses {
  readonly #addresses: readonly string[];
  /** Which of them answered last. */
  #at = 0;

  /** @param addresses In the order to try them at first. */
  constructor(addresses: readonly string[]) {
    this.#addresses = addresses;
  }

  /**
   * Asks one after the other until one answers: the one that answered last is asked first.
   *
   * @param signal Ends the asking before the next one.
   * @returns its answer, or the fault of each that was asked, named by its address.
   */
  async ask<Answer>(
    question: (address: string) => Promise<Asked<Answer>>,
    signal?: AbortSignal,
  ): Promise<Asked<Answer>> {
    const faults: string[] = [];
    for (let tried = 0; tried < this.#addresses.length && !signal?.aborted; tried++) {
      const at = (this.#at + tried) % this.#addresses.length;
      const asked = await question(this.#addresses[at]!);
      if (!("fault" in asked)) {
        this.#at = at;
        return asked;
      }
      faults.push(`${this.#addresses[at]}: ${asked.fault}`);
    }
    return { fault: faults.join("; ") };
  }
}
