/**
 * Puts the lines of a precinct file together into contests, candidates, stations and regions, each with an
 * identifier of its own.
 *
 * @module
 */
import { UsageError } from "../../cli/command.ts";
import { VOTING_MODES } from "../../shared/mode.ts";
import { Slugs } from "../slug.ts";
import { candidatesOf, primaryOf } from "./contests.ts";
import { listOf } from "./faults.ts";
import { isAllModes, type Line, type Lines } from "./lines.ts";
import { getOr } from "./parties.ts";
import { type LeftOut, type Reading, votesOf } from "./reading.ts";
import { isTotalPrecinct, otherLine, townOf, votesAllowedIn } from "./words.ts";

/** What a precinct file says. Rows name contests, candidates and stations by their place in the lists. */
export type PrecinctTable = Readonly<{
  contests: readonly TableContest[];
  parties: readonly Readonly<{ id: string; name: string }>[];
  regions: readonly Readonly<{ id: string; name: string }>[];
  stations: readonly Readonly<{ id: string; name: string; region: string }>[];
  rows: readonly TableRow[];
  ballots: readonly BallotsCast[];
  leftOut: readonly LeftOut[];
  unusedColumns: Lines["unusedColumns"];
  /** What a reader should know of how the file was read. */
  notes: readonly string[];
}>;

/**
 * A contest of a file. `votes` is the sum of its rows. `ballot`: in a primary, the party on whose ballots it stands;
 * nobody votes on two parties' ballots.
 */
export type TableContest = Readonly<{
  id: string;
  name: string;
  votesAllowed: number;
  votes: number;
  candidates: readonly Readonly<{ id: string; name: string; party?: string }>[];
  ballot?: string;
}>;

/** A candidate's votes in a precinct, by mode in the order of VOTING_MODES. */
export type TableRow = Readonly<
  { contest: number; candidate: number; station: number; votes: readonly number[] }
>;

/** Ballots that were cast in a precinct, by mode, whoever they were for: all, or those with one contest. */
export type BallotsCast = Readonly<{ station: number; contest?: number; votes: readonly number[] }>;

/** Longest identifiers: a device's name stands behind a station's, and every record has room for the longest. */
const STATION_ID_CHARS = 56;
const CANDIDATE_ID_CHARS = 40;
const NAME_CHARS = 200;
/** Maximum votes that a contest may allow: see `contestSchema`. */
const MAX_SEATS = 100;
/** The region of precincts whose names hold no town, in a file without counties. */
const EVERYWHERE = "Everywhere";

type Station = { index: number; id: string; name: string; region: string };
type Parts = Pick<PrecinctTable, "contests" | "parties" | "regions" | "stations" | "rows" | "ballots">;

/**
 * Makes the table.
 *
 * @param lines Those of candidates.
 * @param others Those of anything else, of which the ballots cast are used.
 * @param byCounty Whether regions are counties; otherwise they are towns.
 */
export function buildTable(
  lines: readonly Line[],
  others: readonly Line[],
  byCounty: boolean,
  reading: Reading,
): Parts {
  return new TableBuilder(byCounty, reading).build(lines, others);
}

class TableBuilder {
  readonly #byCounty: boolean;
  readonly #reading: Reading;
  readonly #stations = new Map<string, Station>();
  readonly #stationIds = new Slugs(STATION_ID_CHARS);
  readonly #regions = new Map<string, { id: string; name: string }>();
  readonly #regionIds = new Slugs();
  readonly #parties = new Map<string, { id: string; name: string }>();
  readonly #partyIds = new Slugs();

  constructor(byCounty: boolean, reading: Reading) {
    this.#byCounty = byCounty;
    this.#reading = reading;
  }

  build(lines: readonly Line[], others: readonly Line[]): Parts {
    const reading = this.#reading;
    for (const line of lines) this.#station(line);
    const seatsOf = seatsByContest(lines, reading);
    const primary = primaryOf(lines, seatsOf, reading);
    const keyOf = (line: Line) => `${reading.contestKey(line)}\n${reading.key(primary(line) ?? "")}`;
    const groups = [...Map.groupBy(lines, keyOf)];
    const contestAt = new Map(groups.map(([key], index) => [key, index]));
    const ballots = ballotsCast(others, (line) => contestAt.get(keyOf(line)), this.#stations, reading);
    const rows: TableRow[] = [];
    const ids = new Slugs();
    const contests = groups.map(([, group], index) => {
      const party = primary(group[0]!);
      const name = contestName(group[0]!, party);
      const { candidates, votes } = this.#candidates(index, name, group, rows);
      return {
        id: ids.take(name),
        name: cut(name),
        seats: seatsOf(group[0]!),
        votes,
        candidates,
        ...(party !== undefined && { ballot: this.#party(party) }),
      };
    });
    const allowed = this.#votesAllowed(contests, rows, ballots);
    return {
      contests: contests.map(({ seats: _, ...contest }, i) => ({ ...contest, votesAllowed: allowed[i]! })),
      parties: [...this.#parties.values()],
      regions: [...this.#regions.values()],
      stations: [...this.#stations.values()].map(({ id, name, region }) => ({ id, name, region })),
      rows,
      ballots,
    };
  }

  #candidates(index: number, contest: string, group: readonly Line[], rows: TableRow[]) {
    const ids = new Slugs(CANDIDATE_ID_CHARS);
    let total = 0;
    const candidates = candidatesOf(contest, group, this.#reading).map(
      ({ name, party, lines }, candidate) => {
        const cells = new Map<number, number[]>();
        for (const line of lines) {
          const cell = getOr(cells, this.#station(line), () => VOTING_MODES.map(() => 0));
          line.votes.forEach((count, mode) => cell[mode]! += count);
          total += votesOf(line);
        }
        for (const [station, votes] of cells) rows.push({ contest: index, candidate, station, votes });
        return { id: ids.take(name), name: cut(name), ...(party !== "" && { party: this.#party(party) }) };
      },
    );
    return { candidates, votes: total };
  }

  #party(name: string): string {
    return getOr(this.#parties, name, () => ({ id: this.#partyIds.take(name), name: cut(name) })).id;
  }

  #station(line: Line): number {
    const key = this.#reading.stationKey(line);
    return getOr(this.#stations, key, () => {
      const { county, town, precinct } = line;
      const place = this.#byCounty ? county || EVERYWHERE : town || townOf(precinct) || EVERYWHERE;
      const region = getOr(this.#regions, this.#reading.key(place), () => ({
        id: this.#regionIds.take(place),
        name: cut(place),
      }));
      const parts = [county, town, precinct].filter((part) => part !== "");
      return {
        index: this.#stations.size,
        id: this.#stationIds.take(parts.join(" ")),
        name: cut(parts.join(", ")),
        region: region.id,
      };
    }).index;
  }

  /** How many votes each contest allows: as asked, as the file says, or as many as its ballots must have held. */
  #votesAllowed(
    contests: readonly Readonly<{ id: string; name: string; seats: number | undefined }>[],
    rows: readonly TableRow[],
    ballots: readonly BallotsCast[],
  ): number[] {
    const asked = new Map(this.#reading.options.seats);
    const needed = seatsNeeded(contests.length, rows, ballots);
    const allowed = contests.map(({ id, name, seats }, i) => {
      const option = [...asked.keys()].find((each) =>
        each === id || this.#reading.key(each) === this.#reading.key(name)
      );
      if (option !== undefined) {
        const seats = asked.get(option)!;
        asked.delete(option);
        return seats;
      }
      if (seats !== undefined) return seats;
      const { seats: fewest, votes, ballots } = needed[i]!;
      if (fewest > 1) {
        this.#reading.notes.push(
          `${name} has ${votes} votes on ${ballots} ballots of one precinct, so ${fewest} may be chosen; ` +
            `--seats ${id}=N says otherwise`,
        );
      }
      return Math.min(fewest, MAX_SEATS);
    });
    if (asked.size > 0) {
      throw new UsageError(
        `Cannot read ${this.#reading.path}: --seats names ${
          [...asked.keys()].join(", ")
        }, and the contests are ` +
          listOf(contests.map(({ id }) => id), 20),
      );
    }
    return allowed;
  }
}

function contestName({ office, district }: Line, party: string | undefined): string {
  const name = district === "" ? office : `${office}, ${district}`;
  return party === undefined ? name : `${name} (${party})`;
}

/** A name of at most {@link NAME_CHARS}; identifiers are made of the whole. */
function cut(name: string): string {
  return name.length <= NAME_CHARS ? name : `${[...name].slice(0, NAME_CHARS / 2).join("")}…`;
}

/** What a column or the office's name says of how many votes a contest allows. */
function seatsByContest(lines: readonly Line[], reading: Reading): (line: Line) => number | undefined {
  const found = new Map<string, Line>();
  for (const line of lines) {
    if (line.seats === undefined) continue;
    const first = getOr(found, reading.contestKey(line), () => line);
    if (first.seats !== line.seats) {
      throw new UsageError(
        `Cannot read ${reading.path}, line ${line.line}: ${line.office} allows ${line.seats} votes, and ` +
          `${first.seats} on line ${first.line}; both must be the same`,
      );
    }
  }
  return (line) => found.get(reading.contestKey(line))?.seats ?? votesAllowedIn(line.office);
}

/** The fewest votes that each contest must allow, by the precinct in which most were cast for each ballot. */
function seatsNeeded(
  contests: number,
  rows: readonly TableRow[],
  ballots: readonly BallotsCast[],
): { seats: number; votes: number; ballots: number }[] {
  const cast = new Map<string, number>();
  for (const { station, contest, votes } of ballots) {
    const key = contest === undefined ? `${station}` : `${station}/${contest}`;
    cast.set(key, Math.max(cast.get(key) ?? 0, votes.reduce((sum, count) => sum + count, 0)));
  }
  const votesIn = new Map<string, number>();
  for (const { station, contest, votes } of rows) {
    const key = `${station}/${contest}`;
    votesIn.set(key, (votesIn.get(key) ?? 0) + votes.reduce((sum, count) => sum + count, 0));
  }
  const found = Array.from({ length: contests }, () => ({ seats: 1, votes: 0, ballots: 0 }));
  for (const [key, votes] of votesIn) {
    const [station = "", contest] = key.split("/");
    const here = cast.get(key) ?? cast.get(station) ?? 0;
    const seats = here === 0 ? 1 : Math.ceil(votes / here);
    if (seats > found[Number(contest)]!.seats) found[Number(contest)] = { seats, votes, ballots: here };
  }
  return found;
}

/**
 * The ballots cast in each precinct. An office "Ballots Cast" has those of the precinct; a candidate "Ballots Cast"
 * those with its contest. A file may give them as a whole, by party, and by mode: the whole counts.
 */
function ballotsCast(
  others: readonly Line[],
  contestOf: (line: Line) => number | undefined,
  stations: ReadonlyMap<string, Station>,
  reading: Reading,
): BallotsCast[] {
  type Sum = { whole: readonly number[]; parts: number[] };
  const found = new Map<string, { station: number; contest: number | undefined; sum: Sum }>();
  for (const line of others) {
    const station = stations.get(reading.stationKey(line));
    if (line.other !== "ballots" || station === undefined || isTotalPrecinct(line.precinct, line.county)) {
      continue;
    }
    const isOfPrecinct = otherLine(line.office) === "ballots";
    const contest = isOfPrecinct ? undefined : contestOf(line);
    if (!isOfPrecinct && contest === undefined) continue;
    const { sum } = getOr(found, `${station.index}/${contest ?? ""}`, () => ({
      station: station.index,
      contest,
      sum: { whole: VOTING_MODES.map(() => 0), parts: VOTING_MODES.map(() => 0) },
    }));
    const names = isOfPrecinct ? line.candidate : "";
    const isPart = (isOfPrecinct && line.party !== "") || (names !== "" && otherLine(names) === undefined) ||
      (line.mode !== "" && !isAllModes(line.mode));
    if (isPart) line.votes.forEach((count, mode) => sum.parts[mode]! += count);
    else if (votesOf(line) > total(sum.whole)) sum.whole = line.votes;
  }
  return [...found.values()].map(({ station, contest, sum: { whole, parts } }) => ({
    station,
    contest,
    votes: total(whole) > 0 ? whole : parts,
  }));
}

function total(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
