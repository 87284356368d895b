/**
 * Rows of results: the sums that were read, with the names of the manifest. Pure.
 *
 * @module
 */
import type { VotingMode } from "../../shared/mode.ts";
import type { ElectionNames } from "../registry/election_names.ts";
import { type ContestTotals, type MarkLine, totalsOf, withoutAdded } from "./contest_totals.ts";
import type { Results, ResultsRow } from "./schemas.ts";

/** Maximum rows, and maximum releases, of one answer by station; a larger election is asked for in parts. */
export const MAX_STATION_ROWS = 200_000;
export const MAX_STATION_RELEASES = 20_000;

/** What part of the results is meant: one contest, the stations of one region, one station; all when left out. */
export type Part = Readonly<{ contest?: string; region?: string; station?: string }>;

/** The votes of a candidate. */
export type Votes = { contest: string; candidate: string; votes: number };

/** The votes of a candidate that came in one way; `null`: in several that are shown together. */
export type ModeVotes = Votes & { mode: VotingMode | null };

/** What a unit shows; lists are JSON texts. */
export type UnitVotes = {
  unit: string;
  station: string | null;
  region: string | null;
  mode: VotingMode | null;
  members: string | null;
  votes: string;
  marks: string;
};

/** Voters whose votes a place shows; `members` is a JSON text. */
export type UnitVoters = {
  station: string | null;
  region: string | null;
  members: string | null;
  voters: number;
};

/** The stations and regions of a unit that has several. */
type Members = { stations?: string[]; regions?: string[] };

/** Votes by `contest/candidate`, to look up; a candidate nobody voted for is not there. */
function tally(votes: readonly Votes[]): (contest: string, candidate: string) => number {
  const found = new Map(votes.map(({ contest, candidate, votes }) => [`${contest}/${candidate}`, votes]));
  return (contest, candidate) => found.get(`${contest}/${candidate}`) ?? 0;
}

function contestsIn(names: ElectionNames, contest?: string) {
  return contest === undefined ? names.index.manifest.contests : [names.contests.get(contest)!];
}

/** A row for each candidate. */
export function candidateRows(
  names: ElectionNames,
  { contest }: Part,
  votes: readonly Votes[],
): ResultsRow<"candidate">[] {
  const votesOf = tally(votes);
  return contestsIn(names, contest).flatMap(({ id: contest, candidates }) =>
    candidates.map(({ id: candidate, name, party, withdrawn }) => ({
      contest,
      candidate,
      name,
      party: party ?? null,
      votes: votesOf(contest, candidate),
      ...withdrawn && { withdrawn },
    }))
  );
}

/** The ballots, undervotes and blanks of each contest. */
export function contestRows(
  names: ElectionNames,
  { contest }: Part,
  marks: readonly MarkLine[],
): ContestTotals[] {
  const found = new Map(totalsOf(marks).map((totals) => [totals.contest, withoutAdded(totals)]));
  return contestsIn(names, contest).map(({ id }) =>
    found.get(id) ?? { contest: id, ballots: 0, undervotes: 0, blanks: 0 }
  );
}

/** The last row is of the candidates without a party, where there are any. */
export function partyRows(names: ElectionNames, votes: readonly Votes[]): ResultsRow<"party">[] {
  const rows = new Map<string | undefined, ResultsRow<"party">>(
    names.index.manifest.parties.map(({ id, name, colour, withdrawn }) => [
      id,
      { party: id, name, colour: colour ?? null, votes: 0, ...withdrawn && { withdrawn } },
    ]),
  );
  const partyOf = new Map<string, string | undefined>();
  for (const { id, candidates } of names.index.manifest.contests) {
    for (const { id: candidate, party } of candidates) {
      partyOf.set(`${id}/${candidate}`, party);
      if (!rows.has(party)) rows.set(party, { party: null, name: null, colour: null, votes: 0 });
    }
  }
  for (const { contest, candidate, votes: added } of votes) {
    const row = rows.get(partyOf.get(`${contest}/${candidate}`));
    if (row !== undefined) row.votes += added;
  }
  const independent = rows.get(undefined);
  rows.delete(undefined);
  return [...rows.values(), ...independent === undefined ? [] : [independent]];
}

/** Marks the rows of candidates who withdrew. */
export function markWithdrawn(
  names: ElectionNames,
  rows: readonly ResultsRow<"time">[],
): ResultsRow<"time">[] {
  const withdrawn = new Set(
    contestsIn(names, undefined).flatMap(({ id, candidates }) =>
      candidates.filter((each) => each.withdrawn).map((each) => `${id}/${each.id}`)
    ),
  );
  return rows.map((row) =>
    withdrawn.has(`${row.contest}/${row.candidate}`) ? { ...row, withdrawn: true } : row
  );
}

/** A row for each candidate of each contest, for every mode of which something is shown. */
export function modeRows(
  names: ElectionNames,
  { contest: only }: Part,
  votes: readonly ModeVotes[],
): ResultsRow<"mode">[] {
  return [...Map.groupBy(votes, ({ mode }) => mode)].flatMap(([mode, lines]) => {
    const votesOf = tally(lines);
    const here = new Set(lines.map(({ contest }) => contest));
    return contestsIn(names, only).filter(({ id }) => here.has(id)).flatMap(({ id: contest, candidates }) =>
      candidates.map(({ id: candidate, withdrawn }) => ({
        mode,
        contest,
        candidate,
        votes: votesOf(contest, candidate),
        ...withdrawn && { withdrawn },
      }))
    );
  });
}

/** The last rows are of units with several regions, where there are any. */
export function regionRows(
  names: ElectionNames,
  { contest: only, region: one, station }: Part,
  votes: readonly (Votes & { region: string | null })[],
): ResultsRow<"region">[] {
  const place = station === undefined ? one : names.index.stations.get(station)!.region;
  const found = Map.groupBy(votes, ({ region }) => region);
  const rowsOf = (region: string | null, name: string | null, here: ReadonlySet<string>) => {
    const votesOf = tally(found.get(region) ?? []);
    return contestsIn(names, only).filter(({ id }) => here.has(id)).flatMap(({ id: contest, candidates }) =>
      candidates.map(({ id: candidate, withdrawn }) => ({
        region,
        name,
        contest,
        candidate,
        votes: votesOf(contest, candidate),
        ...withdrawn && { withdrawn },
      }))
    );
  };
  const rows = names.index.manifest.regions.filter(({ id }) => place === undefined || id === place)
    .flatMap(({ id, name }) => rowsOf(id, name, names.contestsOf.get(id)!));
  const together = new Set(found.get(null)?.map(({ contest }) => contest));
  return [...rows, ...rowsOf(null, null, together)];
}

type StationAnswer = Pick<Extract<Results, { by: "station" }>, "rows" | "contests" | "units">;

/** A row for each candidate of each contest that a unit shows; `undefined` when they are too many. */
export function stationRows(
  names: ElectionNames,
  { contest: only }: Part,
  units: readonly UnitVotes[],
): StationAnswer | undefined {
  if (units.length > MAX_STATION_RELEASES) return undefined;
  const answer: StationAnswer = { rows: [], contests: [], units: [] };
  for (const { votes, marks, members, ...row } of units) {
    const { unit, station, mode } = row;
    const place = station === null ? undefined : names.index.stations.get(station);
    if (station !== null && place === undefined) continue;
    const region = place?.region ?? row.region;
    const totals = totalsOf(JSON.parse(marks) as MarkLine[]);
    // Releases of version 0.1 have no marks.
    const shown = totals.length === 0 && place !== undefined
      ? place.contests
      : new Set(totals.map(({ contest }) => contest));
    const votesOf = tally(JSON.parse(votes));
    const name = station === null ? null : names.stations.get(station)!;
    if (members !== null) answer.units.push({ unit, ...JSON.parse(members) });
    for (const { id: contest, candidates } of contestsIn(names, only)) {
      if (!shown.has(contest)) continue;
      const own = totals.find((each) => each.contest === contest);
      // Withdrawn: no ballot of it is shown any more.
      if (own?.ballots === 0) continue;
      if (own !== undefined) answer.contests.push({ unit, station, mode, ...withoutAdded(own) });
      for (const { id: candidate, withdrawn } of candidates) {
        const votes = votesOf(contest, candidate);
        const mark = withdrawn && { withdrawn };
        answer.rows.push({ unit, station, name, region, mode, contest, candidate, votes, ...mark });
      }
    }
    if (answer.rows.length > MAX_STATION_ROWS) return undefined;
  }
  return answer;
}

/** Regions with the voters whose votes are shown there; the last row is of units with several regions, where there are any. */
export function regionVoters(
  names: ElectionNames,
  { region: one, station }: Part,
  units: readonly UnitVoters[],
): Extract<Results, { by: "region" }>["regions"] {
  const place = station === undefined ? one : names.index.stations.get(station)!.region;
  const found = new Map<string | null, { voters: number; stations: Set<string> }>();
  for (const { station, region, members, voters } of units) {
    const key = station === null ? region : names.index.stations.get(station)?.region ?? region;
    let row = found.get(key);
    if (row === undefined) found.set(key, row = { voters: 0, stations: new Set() });
    row.voters += voters;
    if (station !== null) row.stations.add(station);
    const { stations = [], regions = [] } = members === null ? {} : JSON.parse(members) as Members;
    for (const id of stations) row.stations.add(id);
    for (const id of regions.flatMap((each) => names.stationsOf.get(each) ?? [])) row.stations.add(id);
  }
  const rowOf = (region: string | null) => {
    const { voters = 0, stations = [] } = found.get(region) ?? {};
    return { region, voters, stations: [...stations] };
  };
  const rows = names.index.manifest.regions.filter(({ id }) => place === undefined || id === place)
    .map(({ id }) => rowOf(id));
  return found.has(null) ? [...rows, rowOf(null)] : rows;
}
