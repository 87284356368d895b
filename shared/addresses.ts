/**
 * Several addresses of one service. Any of them may answer.
 *
 * @module
 */

/** The result of a request: an answer, or an error message. */
export type Asked<Answer> = Readonly<{ answer: Answer }> | Readonly<{ fault: string }>;

/** See the module. */
export class Addresses {
  readonly #addresses: readonly string[];
  /** Index of the address that answered last. */
  #at = 0;

  /** @param addresses In the order of the first request. */
  constructor(addresses: readonly string[]) {
    this.#addresses = addresses;
  }

  /**
   * Asks one address after another until one answers. The one that answered last is asked first.
   *
   * @param signal Ends the asking before the next one.
   * @returns the answer, or the error messages of all addresses, each with its address.
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
