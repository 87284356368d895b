/**
 * A property over random cases tests only what its cases come to. {@link reachesAll} makes sure that they come to everything.
 *
 * @module
 */

/** How often a property runs, at the most. An outcome that one round misses once in five is missed by all once in ten million. */
const MOST_ROUNDS = 10;

/**
 * Runs a property again until its random cases came to all that it is to test: `missing` names the rest.
 *
 * @throws {Error} when all rounds left out the same one
 */
export async function reachesAll(
  property: () => Promise<void>,
  missing: () => readonly string[],
): Promise<void> {
  for (let round = 0; round < MOST_ROUNDS; round++) {
    await property();
    if (missing().length === 0) return;
  }
  throw new Error(`the random cases of ${MOST_ROUNDS} rounds never came to ${missing().join(", ")}`);
}
