/**
 * Sending to gateways, and whether each request was answered.
 *
 * @module
 */

type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** Counts the requests of which nobody can say whether they arrived. */
export class Sending {
  #unanswered = 0;
  readonly fetch: Fetch;

  constructor(fetch: Fetch) {
    this.fetch = async (url, init) => {
      try {
        return await fetch(url, init);
      } catch (error) {
        this.#unanswered++;
        throw error;
      }
    };
  }

  /** How many requests came to nothing: refused, reset, timed out. */
  get unanswered(): number {
    return this.#unanswered;
  }
}
