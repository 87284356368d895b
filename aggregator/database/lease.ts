/**
 * Work that one process does at a time, by a lease in the database. A process that slept past its lease may still do a
 * little of it: work under a lease must tolerate that.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { arrayLiteral, type Query } from "./database.ts";

/** The part of a lease after which it is asked for again. */
const ASK_AFTER = 1 / 3;

const HOLD = `
INSERT INTO counting.leases AS l (work, process, until)
SELECT work, $2::uuid, now() + $3::float8 * interval '1 millisecond' FROM unnest($1::text::text[]) AS w (work) ORDER BY work
ON CONFLICT (work) DO UPDATE SET process = excluded.process, until = excluded.until
WHERE l.process = excluded.process OR l.until < now()
RETURNING work`;

const RELEASE = "UPDATE counting.leases SET until = '-infinity' WHERE process = $1::uuid";

/** One process's claim to several pieces of work, held and renewed in one statement. */
export class LeaseSet {
  readonly #query: Query;
  readonly #ms: number;
  readonly #process: string = crypto.randomUUID();

  /** @param ms How long each holds after it was last asked for. */
  constructor(query: Query, ms: number) {
    this.#query = query;
    this.#ms = ms;
  }

  /** Those of the works that this process may do now: takes what nobody has, and renews its own. */
  async hold(works: readonly string[]): Promise<Set<string>> {
    const quoted = arrayLiteral(works.map((work) => `"${work}"`));
    const rows = await this.#query<{ work: string }>(HOLD, [quoted, this.#process, this.#ms]);
    return new Set(rows.map(({ work }) => work));
  }

  /** Lets other processes do at once what this one held. */
  async release(): Promise<void> {
    await this.#query(RELEASE, [this.#process]);
  }
}

/** One process's claim to a piece of work. */
export class Lease {
  readonly #leases: LeaseSet;
  readonly #work: string;
  readonly #ms: number;

  /**
   * @param work What it is for, by a name that every process has for it.
   * @param ms How long it holds after it was last asked for: so long nobody works when its holder has died.
   */
  constructor(query: Query, work: string, ms: number) {
    this.#leases = new LeaseSet(query, ms);
    this.#work = work;
    this.#ms = ms;
  }

  /** Whether this process may work now: takes the lease when nobody has it, and renews it. */
  async hold(): Promise<boolean> {
    return (await this.#leases.hold([this.#work])).has(this.#work);
  }

  /** Lets another process work at once. */
  async release(): Promise<void> {
    await this.#leases.release();
  }

  /**
   * Runs work while this process holds the lease, until the signal aborts.
   *
   * @param work Runs until its signal aborts, which happens when the lease is lost. It must not throw.
   * @param onFault Called when the database could not be asked who holds the lease.
   */
  async runInTurn(
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<void>,
    onFault: (error: unknown) => void,
  ): Promise<void> {
    const askEveryMs = this.#ms * ASK_AFTER;
    const mayWork = () => this.hold().catch((error) => (signal.aborted || onFault(error), false));
    let hasWorked = false;
    while (!signal.aborted) {
      if (await mayWork()) {
        hasWorked = true;
        const turn = new AbortController();
        const working = work(AbortSignal.any([signal, turn.signal]));
        while (!signal.aborted && await mayWork()) {
          await delay(askEveryMs, undefined, { signal }).catch(() => {});
        }
        turn.abort();
        await working;
      }
      await delay(askEveryMs, undefined, { signal }).catch(() => {});
    }
    if (hasWorked) await this.release().catch(onFault);
  }
}
