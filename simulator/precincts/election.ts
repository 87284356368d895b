/**
 * Turns a table of precinct results into an election that has those results: a station a precinct, a voter a
 * ballot, and the ballots themselves, dealt out one at a time.
 *
 * @module
 */
import { z } from "zod";
import { UsageError } from "../../cli/command.ts";
import { definitionSchema, ELECTION_LIMITS, type ElectionDefinition } from "../../shared/election.ts";
import { longestVoteBytes } from "../../shared/record.ts";
import { VOTING_MODES } from "../../shared/mode.ts";
import { MAX_SELECTIONS } from "../../shared/vote.ts";
import type { VoteText } from "../../device/device.ts";
import { castVote, selectionText } from "../voting/cast.ts";
import { dealBallots, type Pile } from "./deal.ts";
import { StationBallots } from "./ballots.ts";
import type { ElectionFrame } from "../country/country.ts";
import { gatewaysFor } from "../country/gateways.ts";
import type { PrecinctTable } from "./table.ts";
import type { Voter } from "../voting/roll.ts";
import { nameKey } from "../../shared/names.ts";
import { slug } from "../slug.ts";

/** An election that is to come out as a file says. */
export type PrecinctElection = Readonly<{
  definition: ElectionDefinition;
  stations: readonly PrecinctStation[];
  /** Ballots, and so voters: each voter casts one. */
  voters: number;
  /** `contest/candidate/station/mode` → votes, zero included: what must come out. Modes without a vote are left out. */
  expected: ReadonlyMap<string, number>;
  roll(): Generator<Voter>;
}>;

/** A station's ballots to deal. Voters are numbered from 1 over all stations. */
export type PrecinctStation = Readonly<{
  id: string;
  region: string;
  device: string;
  firstVoter: number;
  voters: number;
  /** Each selection's JSON, by contest and candidate. */
  selections: readonly (readonly string[])[];
  /** By mode: how many ballots are cast, and what each contest's candidates have on them. */
  ballots: readonly Readonly<{ count: number; piles: readonly Pile[] }>[];
}>;

/** Gateways of a replayed election: each is first for half of the stations, and the other's fallback. */
const GATEWAYS = 2;

/**
 * The contests to replay: all, the one asked for by identifier or name, or the one with most votes.
 *
 * @returns their places in the table's list.
 * @throws {UsageError} when there is none of that name.
 */
export function chooseContests(
  table: PrecinctTable,
  choice: Readonly<{ contest?: string; all?: boolean }>,
): number[] {
  if (choice.all) return table.contests.map((_, index) => index);
  if (choice.contest === undefined) {
    const most = Math.max(...table.contests.map(({ votes }) => votes));
    return [table.contests.findIndex(({ votes }) => votes === most)];
  }
  const wanted = nameKey(choice.contest);
  const found = table.contests.findIndex(({ id, name }) => id === choice.contest || nameKey(name) === wanted);
  if (found !== -1) return [found];
  const list = table.contests.slice(0, 20).map(({ id, votes }) =>
    `${id} (${votes.toLocaleString("en")} votes)`
  );
  const more = table.contests.length > list.length ? `, and ${table.contests.length - list.length} more` : "";
  throw new UsageError(
    `The file has no contest ${choice.contest}. Its contests are ${list.join(", ")}${more}`,
  );
}

/** The colours that readers of American results expect, by how the files spell the parties; others get the page's. */
const PARTY_COLOURS: Readonly<Record<string, string>> = {
  d: "#2a6fb5",
  dem: "#2a6fb5",
  democrat: "#2a6fb5",
  democratic: "#2a6fb5",
  r: "#c0392b",
  rep: "#c0392b",
  republican: "#c0392b",
  l: "#b8860b",
  lib: "#b8860b",
  libertarian: "#b8860b",
  g: "#3c8d40",
  grn: "#3c8d40",
  green: "#3c8d40",
};

/**
 * Makes the election. Its stations are those for which the file has rows of the chosen contests, and each votes on
 * the contests of its rows.
 *
 * @param chosen See {@link chooseContests}.
 * @throws {UsageError} when the election is larger than Pollwire takes, saying which limit it passes.
 */
export function precinctElection(
  table: PrecinctTable,
  chosen: readonly number[],
  frame: ElectionFrame & Readonly<{ name: string }>,
): PrecinctElection {
  const perStation = rowsByStation(table, new Set(chosen));
  const stationBallots = new StationBallots(table, chosen);
  const expected = new Map<string, number>();
  const stations: PrecinctStation[] = [];
  let voters = 0;
  for (const [index, rows] of perStation) {
    const { id, region } = table.stations[index]!;
    const groups = groupsOf(rows);
    const ballots = stationBallots.of(index, groups);
    for (const row of rows) {
      const contest = table.contests[row.contest]!;
      VOTING_MODES.forEach((mode, m) => {
        const votes = row.votes[m]!;
        if (votes === 0 && m > 0) return;
        expected.set(`${contest.id}/${contest.candidates[row.candidate]!.id}/${id}/${mode}`, votes);
      });
    }
    const here = ballots.reduce((sum, { count }) => sum + count, 0);
    const selections = selectionsOf(table, groups);
    stations.push({
      id,
      region,
      device: `${id}-a`,
      firstVoter: voters + 1,
      voters: here,
      selections,
      ballots,
    });
    voters += here;
  }
  const definition = define(table, chosen, perStation, frame);
  return { definition, stations, voters, expected, roll: () => rollOf(stations) };
}

type Rows = PrecinctTable["rows"];

function rowsByStation(table: PrecinctTable, chosen: ReadonlySet<number>): Map<number, Rows[number][]> {
  const perStation = new Map<number, Rows[number][]>();
  for (const row of table.rows) {
    if (!chosen.has(row.contest)) continue;
    const rows = perStation.get(row.station);
    if (rows === undefined) perStation.set(row.station, [row]);
    else rows.push(row);
  }
  return new Map([...perStation].sort(([a], [b]) => a - b));
}

/** A station's rows, by contest. */
type RowGroups = readonly (readonly [contest: number, rows: Rows])[];

function groupsOf(rows: Rows): RowGroups {
  return [...Map.groupBy(rows, ({ contest }) => contest)];
}

function selectionsOf(table: PrecinctTable, groups: RowGroups): string[][] {
  return groups.map(([index, rows]) => {
    const { id, candidates } = table.contests[index]!;
    return rows.map(({ candidate }) => selectionText(id, candidates[candidate]!.id));
  });
}

/** How many voters a table's contests have, all stations together, without making an election of them. */
export function countVoters(table: PrecinctTable, chosen: readonly number[]): number {
  const stationBallots = new StationBallots(table, chosen);
  let voters = 0;
  for (const [index, rows] of rowsByStation(table, new Set(chosen))) {
    for (const { count } of stationBallots.of(index, groupsOf(rows))) voters += count;
  }
  return voters;
}

function define(
  table: PrecinctTable,
  chosen: readonly number[],
  perStation: ReadonlyMap<number, Rows>,
  frame: ElectionFrame & Readonly<{ name: string }>,
): ElectionDefinition {
  const contests = chosen.map((index) => {
    const { id, name, votesAllowed, candidates } = table.contests[index]!;
    return { id, name, votesAllowed, candidates };
  });
  const stations = [...perStation].map(([index, rows]) => {
    const here = new Set(rows.map(({ contest }) => contest));
    const some = here.size < chosen.length &&
      { contests: [...here].map((contest) => table.contests[contest]!.id) };
    return { ...table.stations[index]!, ...some };
  });
  refuseTooMany("contests", contests.length, ELECTION_LIMITS.contests);
  refuseTooMany("stations", stations.length, ELECTION_LIMITS.stations);
  for (const { id, candidates } of contests) {
    refuseTooMany(`candidates in contest ${id}`, candidates.length, ELECTION_LIMITS.candidatesPerContest);
  }
  const usedParties = new Set(contests.flatMap(({ candidates }) => candidates.map(({ party }) => party)));
  const usedRegions = new Set(stations.map(({ region }) => region));
  const definition = definitionSchema.safeParse({
    ...frame,
    releaseThreshold: 1,
    resultsBeforeClosing: true,
    parties: table.parties.filter(({ id }) => usedParties.has(id)).map(({ id, name }) => ({
      id,
      name,
      colour: PARTY_COLOURS[id],
    })),
    contests,
    regions: table.regions.filter(({ id }) => usedRegions.has(id)),
    stations,
    devices: stations.map(({ id }) => ({ id: `${id}-a`, station: id })),
    gateways: gatewaysFor(stations.map(({ id }) => id), GATEWAYS),
  });
  if (!definition.success) {
    throw new UsageError(`Cannot make an election of the file:\n${z.prettifyError(definition.error)}`);
  }
  refuseLongBallots(definition.data);
  return definition.data;
}

function refuseTooMany(what: string, count: number, most: number): void {
  if (count <= most) return;
  throw new UsageError(
    `Cannot make an election of the file: it has ${count} ${what}, and ${most} is the most. Choose one with --contest`,
  );
}

function refuseLongBallots({ contests, stations }: ElectionDefinition): void {
  try {
    longestVoteBytes({ contests, stations });
  } catch (error) {
    throw new UsageError(`${(error as Error).message}. Choose one contest with --contest`);
  }
  const allowed = new Map(contests.map(({ id, votesAllowed }) => [id, votesAllowed]));
  for (const station of stations) {
    const most = (station.contests ?? [...allowed.keys()]).reduce((sum, id) => sum + allowed.get(id)!, 0);
    refuseTooMany(`selections on a ballot of station ${station.id}`, most, MAX_SELECTIONS);
  }
}

function* rollOf(stations: readonly PrecinctStation[]): Generator<Voter> {
  for (const { id, region, firstVoter, voters } of stations) {
    for (let n = firstVoter; n < firstVoter + voters; n++) {
      yield { id: `voter-${n}`, region, station: id, birthDate: "", gender: "unknown" };
    }
  }
}

/** What makes a vote out of a ballot: an identifier, and the time. */
export type VoteMaker = Readonly<{ uuid: () => string; now: () => number }>;

/**
 * Makes a station's votes, batch by batch, as they are asked for.
 *
 * @param batchVotes Most votes of a batch.
 */
export function* stationBatches(
  station: PrecinctStation,
  batchVotes: number,
  { uuid, now }: VoteMaker,
): Generator<VoteText[]> {
  let voter = station.firstVoter;
  let batch: VoteText[] = [];
  let castAt = new Date(now()).toISOString();
  for (const [m, mode] of VOTING_MODES.entries()) {
    let selections = "";
    const pick = (contest: number, candidate: number) => {
      const selection = station.selections[contest]![candidate]!;
      selections = selections === "" ? selection : `${selections},${selection}`;
    };
    const { piles, count } = station.ballots[m]!;
    for (const _ of dealBallots(piles, pick, count)) {
      batch.push(castVote(uuid(), `voter-${voter++}`, station.id, mode, selections, castAt));
      selections = "";
      if (batch.length < batchVotes) continue;
      yield batch;
      batch = [];
      castAt = new Date(now()).toISOString();
    }
  }
  if (batch.length > 0) yield batch;
}

/**
 * An identifier for the election of a file: `20201103__ri__general__president__precinct.csv` → the place, the day and
 * the rest, `ri-20201103-general-president`; any other file by its name.
 */
export function electionIdOf(path: string): string {
  const file = path.split("/").at(-1)!.replace(/\.csv$/i, "");
  const [day = "", place, ...rest] = file.split("__");
  if (!/^\d{8}$/.test(day) || place === undefined) return slug(file, 56);
  return slug([place, day, ...rest.filter((part) => part !== "precinct")].join("-"), 56);
}
