/**
 * Published figures of one contest, by place and kind: what exports write, in whatever format. Pure.
 *
 * @module
 */
import type { Manifest } from "../../../shared/election.ts";
import { MARK } from "../../../shared/marks.ts";
import { OfficeError } from "../../registry/office_error.ts";
import type { ExportedUnit, Published } from "./published.ts";

/** Where figures are of: a station, stations or regions together, late votes, a region, or the whole election. */
export type Place =
  | Readonly<{ kind: "station"; station: string }>
  | Readonly<{ kind: "unit"; unit: string; region: string | null; members: ExportedUnit["members"] }>
  | Readonly<{ kind: "region"; region: string }>
  | Readonly<{ kind: "election" }>;

/** Modes: one, several together (`early+absentee`), or all of them (`null`). */
export type Kind = string | null;

/** Figures of a contest at a place, of a kind of votes. */
export type ContestCount = Readonly<{
  place: Place;
  kind: Kind;
  ballots: number;
  undervotes: number;
  /** Votes by candidate; every candidate of the contest is there. */
  votes: ReadonlyMap<string, number>;
}>;

/** A text that is the same for the same place. */
export function placeKey(place: Place): string {
  switch (place.kind) {
    case "station":
      return `station.${place.station}`;
    case "unit":
      return `unit.${place.unit}`;
    case "region":
      return `region.${place.region}`;
    case "election":
      return "election";
  }
}

/** The place of a unit, and which of its votes it has. */
export function placeOf(
  { unit, station, mode, region, members }: ExportedUnit,
): Readonly<{ place: Place; kind: Kind }> {
  if (station === null) return { place: { kind: "unit", unit, region, members }, kind: null };
  const modes = members !== null && "modes" in members ? members.modes.join("+") : null;
  return { place: { kind: "station", station }, kind: mode ?? modes };
}

/**
 * What is published of a contest. A unit that has no release of the contest is not there; one that has shows every candidate.
 *
 * @throws {OfficeError} when votes are published of a candidate that the manifest does not have.
 */
export function contestCounts(
  { manifest, units }: Published,
  { id: contest, candidates }: Manifest["contests"][number],
): ContestCount[] {
  const { regionOf } = placesOf(manifest);
  const counts = units.flatMap((unit): ContestCount[] => {
    const given = unit.votes.get(contest) ?? new Map<string, number>();
    const marks = unit.marks.get(contest) ?? new Map<string, number>();
    const ballots = marks.get(MARK.ballots) ?? 0;
    // Withdrawn: no ballot of it is shown any more.
    if (ballots === 0 && [...given.values()].every((votes) => votes === 0)) return [];
    const votes = new Map(candidates.map(({ id }) => [id, given.get(id) ?? 0]));
    const unknown = [...given].find(([id, n]) => n !== 0 && !votes.has(id));
    if (unknown !== undefined) {
      throw new OfficeError(
        `Cannot export election ${manifest.election}: votes are published of candidate ${contest}/${
          unknown[0]
        }, ` +
          `and manifest version ${manifest.version} has no such candidate`,
      );
    }
    return [{ ...placeOf(unit), ballots, undervotes: marks.get(MARK.undervotes) ?? 0, votes }];
  });
  return withoutNegatives(counts, regionOf);
}

/** The kind of votes that officials added beside the count, or took off: at a place of its own for each station. */
export const ADJUSTMENT = "adjustment";

/** Sums of adjustments of a contest, by station. They are votes without ballots, and may be below 0. */
export function adjustmentCounts(
  { adjustments = [] }: Published,
  { id, candidates }: Manifest["contests"][number],
): ContestCount[] {
  const byStation = Map.groupBy(
    adjustments.filter(({ contest }) => contest === id),
    ({ station }) => station,
  );
  return [...byStation].map(([station, lines]) => {
    const votes = new Map(candidates.map(({ id }) => [id, 0]));
    for (const { candidate, votes: n } of lines) votes.set(candidate, (votes.get(candidate) ?? 0) + n);
    return { place: { kind: "station", station }, kind: ADJUSTMENT, ballots: 0, undervotes: 0, votes };
  });
}

/**
 * {@link contestCounts} with adjustments as a kind of their own. Where votes were taken off, no kind of the place is told from the
 * others: no count is below 0, and the sum is the same.
 */
export function adjustedCounts(published: Published, contest: Manifest["contests"][number]): ContestCount[] {
  const counts = contestCounts(published, contest);
  const added = adjustmentCounts(published, contest);
  if (added.length === 0) return counts;
  const all = [...counts, ...added];
  if (counts.some(({ place }) => place.kind === "election")) return [together({ kind: "election" }, all)];
  const takenOff = new Set(
    added.filter(({ votes }) => [...votes.values()].some((n) => n < 0)).map(({ place }) => placeKey(place)),
  );
  const byPlace = Map.groupBy(all, ({ place }) => placeKey(place));
  const folded = [...byPlace].flatMap(([key, of]) => takenOff.has(key) ? [together(of[0]!.place, of)] : of);
  return withoutNegatives(folded, placesOf(published.manifest).regionOf);
}

/** Regions of stations, by the manifest. */
export function placesOf({ stations }: Manifest): Readonly<{ regionOf(place: Place): string | null }> {
  const regions = new Map(stations.map(({ id, region }) => [id, region]));
  return {
    regionOf(place) {
      if (place.kind === "station") return regions.get(place.station) ?? null;
      return place.kind === "election" ? null : place.region;
    },
  };
}

/**
 * After a rebuild that found fewer votes, a unit of late votes may take some off that another unit shows. Then all of the
 * region are shown together, and where that is not enough, all of the election: no count is below 0, and the sum is the same.
 */
function withoutNegatives(
  counts: readonly ContestCount[],
  regionOf: (place: Place) => string | null,
): ContestCount[] {
  const isNegative = ({ ballots, undervotes, votes }: ContestCount) =>
    ballots < 0 || undervotes < 0 || [...votes.values()].some((n) => n < 0);
  const folded = new Set(counts.filter(isNegative).map(({ place }) => regionOf(place)));
  if (folded.size === 0) return [...counts];
  if (folded.has(null)) return [together({ kind: "election" }, counts)];
  const regions = [...folded].map((region) =>
    together({ kind: "region", region: region! }, counts.filter(({ place }) => regionOf(place) === region))
  );
  if (regions.some(isNegative)) return [together({ kind: "election" }, counts)];
  return [...counts.filter(({ place }) => !folded.has(regionOf(place))), ...regions];
}

/** Sums counts, as those of one place. */
export function together(place: Place, counts: readonly ContestCount[]): ContestCount {
  const votes = new Map<string, number>();
  let [ballots, undervotes] = [0, 0];
  for (const count of counts) {
    ballots += count.ballots;
    undervotes += count.undervotes;
    for (const [candidate, n] of count.votes) votes.set(candidate, (votes.get(candidate) ?? 0) + n);
  }
  return { place, kind: null, ballots, undervotes, votes };
}

/** What is said of a unit's members: `n-1 n-2`, regions, or late. */
export function membersText(place: Place): string {
  if (place.kind !== "unit") return "";
  const { members, region } = place;
  if (members === null) return "";
  if ("stations" in members) return members.stations.join(" ");
  if ("regions" in members) return members.regions.join(" ");
  return "late" in members ? `late${region === null ? "" : ` ${region}`}` : "";
}
