/**
 * What a projection is made from: stations with their rolls, and the votes of those that have reported. Pure.
 *
 * @module
 */

/** One station, or several that are only ever shown together. */
export type ProjectedStation = Readonly<{
  region: string;
  /** Voters on its roll; above 0. */
  roll: number;
  /** Votes by candidate, in the order of the contest's candidates; `undefined` while the station has not reported. */
  votes?: readonly number[];
  /** Where it stands in the order in which stations reported; anything that rises. */
  order?: number;
  /** The share that an earlier election gave the leading candidate or party there, where it is known. */
  earlierShare?: number;
}>;

/** A station that has reported. */
export type ReportedStation = ProjectedStation & Readonly<{ votes: readonly number[] }>;

/** The stations that have reported with at least one vote, and the others; both in the given order. */
export function splitReported(
  stations: readonly ProjectedStation[],
): { reported: ReportedStation[]; out: ProjectedStation[] } {
  const reported: ReportedStation[] = [];
  const out: ProjectedStation[] = [];
  for (const station of stations) {
    if (station.votes !== undefined) reported.push(station as ReportedStation);
    else out.push(station);
  }
  return { reported, out };
}

/** All votes of a station in the contest. */
export function votesIn({ votes }: ReportedStation): number {
  return sum(votes);
}

/** The sum of numbers. */
export function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const each of numbers) total += each;
  return total;
}
