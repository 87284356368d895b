/**
 * How long the long tests are. `deno task test` runs a short form of them, or leaves them out; `deno task test:crash` sets
 * `POLLWIRE_RUNS=full` and runs each file that imports this module at full length. CI runs both.
 *
 * @module
 */

/** Whether this run is at full length. */
export const FULL_RUN = Deno.env.get("POLLWIRE_RUNS") === "full";

/** Registers a test that runs at full length only. */
export const longTest = FULL_RUN ? Deno.test : Deno.test.ignore;

/** How many random cases a property is tried with: `full` of them, or `short` in a short run. */
export function runs(full: number, short = 100): number {
  return FULL_RUN ? full : Math.min(full, short);
}
