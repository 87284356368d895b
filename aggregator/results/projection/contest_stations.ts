/**
 * The stations of a contest as a projection takes them, from what is published. Pure.
 *
 * @module
 */
import type { ElectionNames } from "../../registry/election_names.ts";
import type { ContestStations } from "./project.ts";
import { type ProjectedStation, sum } from "./stations.ts";

/** What a unit shows of one contest: a cell of a station, or several cells that are shown together. */
export type ContestUnit = Readonly<{
  station: string | null;
  region: string | null;
  /** The stations and regions of a unit that has several. */
  members: Readonly<{ stations?: readonly string[]; regions?: readonly string[] }> | null;
  /** Of its newest release. */
  revision: number;
  /** Ballots that have the contest. */
  ballots: number;
  /** Candidate → votes. */
  votes: ReadonlyMap<string, number>;
}>;

/** What the roll says: voters by region, and by station as far as the office said it. */
export type Rolls = Readonly<{
  regions: ReadonlyMap<string, number>;
  stations: ReadonlyMap<string, number>;
}>;

/**
 * A station with less than this part of the turnout of the station in the middle has not reported yet: more is expected.
 */
const PARTLY_IN = 0.5;

type Group = { stations: string[]; ballots: number; revision: number; votes: number[] };

/**
 * Puts the stations of a contest together. Stations that are ever shown together are one.
 *
 * @param candidates Who is projected. The votes of all others are the last number of each station.
 */
export function contestStations(
  names: ElectionNames,
  contest: string,
  candidates: readonly string[],
  units: readonly ContestUnit[],
  rolls: Rolls,
): ContestStations {
  const { votesAllowed } = names.contests.get(contest)!;
  const ids = [...names.index.stations].filter(([, { contests }]) => contests.has(contest)).map(([id]) => id);
  const groups = groupStations(names, ids, units);
  for (const unit of units) {
    const group = groups.get(stationsOf(names, unit).find((id) => groups.has(id)) ?? "");
    if (group === undefined) continue;
    group.ballots += unit.ballots;
    group.revision = Math.max(group.revision, unit.revision);
    addVotes(group.votes, unit.votes, candidates);
  }
  const rollOf = stationRolls(names, ids, rolls);
  const rows = [...new Set(groups.values())].map((group) => ({
    group,
    region: regionOf(names, group.stations),
    roll: sum(group.stations.map(rollOf)) || group.ballots,
  })).filter(({ roll }) => roll > 0);
  const turnouts = rows.filter(({ group }) => group.ballots > 0).map(({ group, roll }) =>
    group.ballots / roll
  )
    .sort((a, b) => a - b);
  const least = PARTLY_IN * (turnouts[turnouts.length >> 1] ?? 0);
  const stations = rows.map(({ group, region, roll }): ProjectedStation => {
    const isIn = group.ballots > 0 && group.ballots / roll >= least;
    return { region, roll, ...isIn && { votes: group.votes, order: group.revision } };
  });
  const areKnown = ids.every((id) => rolls.stations.has(id));
  return {
    stations,
    candidates: candidates.length,
    ...areKnown && { mostVotes: votesAllowed * Math.max(0, ...stations.map(({ roll }) => roll)) },
  };
}

function addVotes(
  sums: number[],
  votes: ReadonlyMap<string, number>,
  candidates: readonly string[],
): void {
  let others = sum(votes.values());
  candidates.forEach((id, at) => {
    const own = votes.get(id) ?? 0;
    sums[at] = (sums[at] ?? 0) + own;
    others -= own;
  });
  sums[candidates.length] = (sums[candidates.length] ?? 0) + others;
}

function stationsOf(names: ElectionNames, { station, region, members }: ContestUnit): string[] {
  const regions = [...members?.regions ?? [], ...station === null && region !== null ? [region] : []];
  const named = members?.stations ?? [];
  if (station !== null) return [station];
  return named.length > 0 ? [...named] : regions.flatMap((each) => names.stationsOf.get(each) ?? []);
}

/** Station → those that are ever shown together with it, and itself. */
function groupStations(
  names: ElectionNames,
  ids: readonly string[],
  units: readonly ContestUnit[],
): Map<string, Group> {
  const groups = new Map(
    ids.map((id): [string, Group] => [id, { stations: [id], ballots: 0, revision: 0, votes: [] }]),
  );
  for (const unit of units) {
    const members = stationsOf(names, unit).filter((id) => groups.has(id));
    const together = new Set(members.map((id) => groups.get(id)!));
    if (together.size < 2) continue;
    const stations = [...together].flatMap((group) => group.stations);
    const group = { stations, ballots: 0, revision: 0, votes: [] };
    for (const id of stations) groups.set(id, group);
  }
  return groups;
}

/** The region of stations that are shown together; a name for all of theirs where they have several. */
function regionOf(names: ElectionNames, stations: readonly string[]): string {
  return [...new Set(stations.map((id) => names.index.stations.get(id)!.region))].sort().join("+");
}

/** A station's roll: its own list's, or an equal part of its region's. */
function stationRolls(names: ElectionNames, ids: readonly string[], rolls: Rolls): (id: string) => number {
  const regions = Map.groupBy(ids, (id) => names.index.stations.get(id)!.region);
  const parts = new Map([...regions].flatMap(([region, stations]) => {
    const areKnown = stations.every((id) => rolls.stations.has(id));
    const equal = (rolls.regions.get(region) ?? 0) / stations.length;
    return stations.map((id): [string, number] => [id, areKnown ? rolls.stations.get(id)! : equal]);
  }));
  return (id) => parts.get(id) ?? 0;
}
