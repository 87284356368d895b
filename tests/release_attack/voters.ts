/**
 * Voters as what is published has them: each with how often it is in. That is once, but for voters whom a rebuild lost
 * while others with the same choices took their places unnoticed: then what one unit shows of them, another lacks.
 *
 * @module
 */

/** Voter → how often, never 0. */
export type Voters = ReadonlyMap<number, number>;

export const NOBODY: Voters = new Map();

/** Each of these once. */
export function votersOf(ids: Iterable<number>): Voters {
  return new Map([...ids].map((id) => [id, 1]));
}

/** `a` and `times` times `b`. */
export function plus(a: Voters, b: Voters, times = 1): Voters {
  const sum = new Map(a);
  for (const [voter, n] of b) {
    const value = (sum.get(voter) ?? 0) + times * n;
    if (value === 0) sum.delete(voter);
    else sum.set(voter, value);
  }
  return sum;
}

/** All of them together. */
export function total(all: Iterable<Voters>): Voters {
  return [...all].reduce((sum, each) => plus(sum, each), NOBODY);
}

/** How many, net. */
export function netOf(voters: Voters): number {
  return voters.values().reduce((sum, n) => sum + n, 0);
}
