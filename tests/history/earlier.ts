/**
 * An earlier election made of a file of precinct results, and by hand what a comparison with it must say: from the file's lines alone,
 * without what reads, links and compares in Pollwire.
 *
 * @module
 */
import { parse } from "csv-parse/sync";
import type { ElectionDefinition } from "../../shared/election.ts";

/** A line of a file: a candidate's votes in a precinct. `party` is "" for those without one. */
export type Line = Readonly<
  { office: string; candidate: string; party: string; precinct: string; votes: number }
>;

/** Reads OpenElections' form. */
export function readLines(text: string): Line[] {
  return (parse(text, { columns: true }) as Record<keyof Line, string>[]).map((
    { office, candidate, party, precinct, votes },
  ) => ({ office, candidate, party, precinct, votes: Number(votes) }));
}

/** What a party had of its votes in the earlier election that {@link changed} makes, in percent. */
const PERCENT = 60;

/**
 * An earlier election: one party had 60 % of its votes, and the precincts of one region had other names, which tell their region only.
 *
 * @param region Its name, with which the names of its precincts begin.
 */
export function changed(lines: readonly Line[], party: string, region: string): Line[] {
  return lines.map((line) => ({
    ...line,
    votes: line.party === party ? Math.floor(line.votes * PERCENT / 100) : line.votes,
    precinct: line.precinct.startsWith(`${region} `)
      ? line.precinct.replace(region, `${region} Ward`)
      : line.precinct,
  }));
}

/** Lines as a file has them. */
export function fileOf(lines: readonly Line[]): string {
  const columns = ["office", "candidate", "party", "precinct", "votes"] as const;
  const cell = (value: string | number) => `"${String(value).replaceAll('"', '""')}"`;
  return [columns.join(","), ...lines.map((line) => columns.map((name) => cell(line[name])).join(",")), ""]
    .join(
      "\n",
    );
}

/** Votes of a place by party, then and now. */
export type Place = Readonly<{ before: ReadonlyMap<string, number>; now: ReadonlyMap<string, number> }>;

/** A region's or station's votes, by its id; and of all regions, by "". */
export type Places = ReadonlyMap<string, Place>;

/**
 * Votes by place, of two elections whose lines stand in the same order.
 *
 * @param by Whether a place is a region or a station.
 */
export function placesOf(
  { regions, stations }: Pick<ElectionDefinition, "regions" | "stations">,
  before: readonly Line[],
  now: readonly Line[],
  by: "region" | "station",
): Places {
  const stationOf = new Map(stations.map((station) => [station.name, station]));
  const places = new Map<string, { before: Map<string, number>; now: Map<string, number> }>();
  const add = (id: string, { party }: Line, then: number, votes: number) => {
    const place = places.get(id) ?? { before: new Map(), now: new Map() };
    places.set(id, place);
    place.before.set(party, (place.before.get(party) ?? 0) + then);
    place.now.set(party, (place.now.get(party) ?? 0) + votes);
  };
  now.forEach((line, i) => {
    const station = stationOf.get(line.precinct);
    if (station === undefined || !regions.some(({ id }) => id === station.region)) {
      throw new Error(`The election has no station ${line.precinct}`);
    }
    const { votes } = before[i]!;
    add("", line, votes, line.votes);
    add(by === "region" ? station.region : station.id, line, votes, line.votes);
  });
  return places;
}

/** All votes of a place. */
export function sumOf(votes: ReadonlyMap<string, number>): number {
  return [...votes.values()].reduce((sum, n) => sum + n, 0);
}

/** A party's share of a place, now minus then. */
export function changeOf({ before, now }: Place, party: string): number {
  return (now.get(party) ?? 0) / sumOf(now) - (before.get(party) ?? 0) / sumOf(before);
}

/** Butler's swing from the first party to the second. */
export function swingOf(place: Place, first: string, second: string): number {
  return (changeOf(place, second) - changeOf(place, first)) / 2;
}
