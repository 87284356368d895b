/**
 * Results: sums of releases, and of nothing else. What has been counted and not released is not read here.
 *
 * One query a function. {@link readResults} runs what it needs in one snapshot, so its figures are of one moment.
 *
 * @module
 */
import type { VotingMode } from "../../shared/vote.ts";
import type { NotShown, Release, Results, ResultsBy, ResultsRow } from "./schemas.ts";
import { arrayLiteral, type Database, type Query, queryOne } from "../database/database.ts";
import { type ContestTotals, type MarkLine, totalsOf, withoutAdded } from "./contest_totals.ts";
import type { ElectionNames, Elections } from "../registry/election_names.ts";

/** Most rows, and most releases, of one answer by station; a larger election is asked for in parts. */
export const MAX_STATION_ROWS = 200_000;
const MAX_STATION_RELEASES = 20_000;

/** How a time is spelled everywhere: UTC, milliseconds. */
const ISO = `'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'`;

/** What part of the results is meant: one contest, the stations of one region, one station; all when left out. */
export type Part = Readonly<{ contest?: string; region?: string; station?: string }>;

/** What is asked: a part, and the moment `at` which it stood so (ISO 8601); now when left out. */
export type Asked = Part & Readonly<{ at?: string }>;

/**
 * A part as the queries take it. `stations` is PostgreSQL's spelling of an array; `region` is set when all units that lie
 * in it are meant, those of several stations too.
 */
type Narrowed = Readonly<{
  contest: string | null;
  stations: string | null;
  region: string | null;
  /** The newest revision of a past moment; `null` for now. */
  upTo: number | null;
}>;

/** Why there are no results: no such election, or the part that was asked for (`detail` says what is wrong). */
export type ResultsFault =
  | Readonly<{ fault: "unknown-election" }>
  | Readonly<{ fault: "no-such-part" | "too-large"; field: keyof Part; detail: string }>;

/** What the answer to a question about results depends on: the same tag, the same answer. */
export type ResultsTag = Readonly<{ names: ElectionNames; revision: number; releasedAt: string | null }>;

/** Reads the newest revision alone, and the names that go with it. */
export async function readTag(
  query: Query,
  elections: Elections,
  election: string,
): Promise<ResultsTag | undefined> {
  const names = await elections.find(query, election);
  return names && { names, ...await newestRelease(query, election) };
}

/** Reads results of one moment. */
export async function readResults(
  db: Database,
  elections: Elections,
  election: string,
  by: ResultsBy,
  { at, ...part }: Asked = {},
): Promise<Results | ResultsFault> {
  return await db.transaction(async (query) => {
    const tag = await readTag(query, elections, election);
    if (tag === undefined) return { fault: "unknown-election" };
    const { names } = tag;
    const { revision, releasedAt } = at === undefined ? tag : await releaseAt(query, election, at);
    const narrowed = narrow(names, part, at === undefined ? null : revision);
    if ("fault" in narrowed) return narrowed;
    const voters = await releasedVoters(query, election, narrowed);
    const final = await isFinal(query, election, at);
    const { version: manifestVersion } = names.index.manifest;
    const head = { election, manifestVersion, revision, releasedAt, final, voters };
    switch (by) {
      case "candidate":
        return {
          ...head,
          by,
          rows: candidateRows(names, part, await sumLines(query, election, narrowed, "votes")),
          contests: contestRows(names, part, await sumLines(query, election, narrowed, "marks")),
        };
      case "party":
        return { ...head, by, rows: partyRows(names, await sumLines(query, election, narrowed, "votes")) };
      case "region": {
        const marks = await regionLines(query, election, narrowed, names, "marks");
        return {
          ...head,
          by,
          rows: regionRows(names, part, await regionLines(query, election, narrowed, names, "votes")),
          contests: [...Map.groupBy(marks, ({ region }) => region)].flatMap(([region, lines]) =>
            totalsOf(lines).map((totals) => ({ region, ...withoutAdded(totals) }))
          ),
          regions: regionVoters(names, part, await unitVoters(query, election, narrowed)),
        };
      }
      case "station": {
        const answer = stationRows(names, part, await unitVotes(query, election, narrowed));
        if (answer !== undefined) return { ...head, by, ...answer };
        return {
          fault: "too-large",
          field: "region",
          detail: "the answer would be too large: name a region or a station",
        };
      }
      case "time":
        return { ...head, by, rows: await minuteVotes(query, election, narrowed) };
    }
  }, "snapshot");
}

/** Whether this is why there are none. */
export function isFault(results: Results | ResultsFault): results is ResultsFault {
  return "fault" in results;
}

/** Spells a part for the queries, or says which of its ids names nothing. */
function narrow(
  names: ElectionNames,
  { contest, region, station }: Part,
  upTo: number | null,
): Narrowed | ResultsFault {
  const none = (field: keyof Part, id: string): ResultsFault => ({
    fault: "no-such-part",
    field,
    detail: `the election has no ${field} ${id}`,
  });
  if (contest !== undefined && !names.contests.has(contest)) return none("contest", contest);
  if (region !== undefined && !names.regions.has(region)) return none("region", region);
  if (station !== undefined && !names.stations.has(station)) return none("station", station);
  let stations = region === undefined ? undefined : names.stationsOf.get(region)!;
  if (station !== undefined) stations = stations?.includes(station) === false ? [] : [station];
  return {
    contest: contest ?? null,
    stations: stations === undefined ? null : arrayLiteral(stations),
    region: station === undefined ? region ?? null : null,
    upTo,
  };
}

/** The newest revision of an election's releases, and its time; 0 and `null` while there is none. */
export async function newestRelease(
  query: Query,
  election: string,
): Promise<{ revision: number; releasedAt: string | null }> {
  const [row] = await query<{ revision: number; released_at: string }>(
    `SELECT revision::float8 AS revision, to_char(released_at AT TIME ZONE 'UTC', ${ISO}) AS released_at
     FROM results.releases WHERE election = $1 ORDER BY releases.revision DESC LIMIT 1`,
    [election],
  );
  return { revision: row?.revision ?? 0, releasedAt: row?.released_at ?? null };
}

/** The newest release up to a moment; 0 and `null` when there was none. */
async function releaseAt(
  query: Query,
  election: string,
  at: string,
): Promise<{ revision: number; releasedAt: string | null }> {
  const [row] = await query<{ revision: number; releasedAt: string }>(
    `SELECT revision::float8 AS revision, to_char(released_at AT TIME ZONE 'UTC', ${ISO}) AS "releasedAt"
     FROM results.releases WHERE election = $1 AND released_at <= $2::text::timestamptz
     ORDER BY releases.revision DESC LIMIT 1`,
    [election, at],
  );
  return row ?? { revision: 0, releasedAt: null };
}

/** Whether the final release of an election has been made, by a moment or by now. */
export async function isFinal(query: Query, election: string, at?: string): Promise<boolean> {
  const rows = await query(
    `SELECT FROM results.elections
     WHERE election = $1 AND final_at IS NOT NULL AND ($2::text IS NULL OR final_at <= $2::text::timestamptz)`,
    [election, at ?? null],
  );
  return rows.length > 0;
}

/**
 * The newest release of each unit, as `c`; `$1` is the election. A release is the whole state of its unit, so a past moment
 * is the newest releases of that moment.
 */
function currentUnits({ upTo }: Narrowed): string {
  if (upTo === null) return "results.current c";
  return `(
    SELECT DISTINCT ON (unit) election, unit, station, region, mode, members, revision, voters FROM results.releases
    WHERE election = $1 AND revision <= ${upTo} ORDER BY unit, revision DESC
  ) c`;
}

/**
 * Reads how many ballots were counted and are not shown: a number, and nothing of what is on them.
 *
 * @param counted Voters counted.
 */
export async function readNotShown(query: Query, election: string, counted: number): Promise<NotShown> {
  const final = await isFinal(query, election);
  const all: Narrowed = { contest: null, stations: null, region: null, upTo: null };
  const voters = Math.max(0, counted - await releasedVoters(query, election, all));
  if (!final || voters === 0) return { final, voters, contests: [] };
  const contests = await query<{ contest: string; ballots: number }>(
    `SELECT contest, (sum(counted) - sum(shown))::float8 AS ballots FROM (
       SELECT contest, ballots AS counted, 0 AS shown FROM counting.ballots_of($1)
       UNION ALL
       SELECT v.contest, 0, v.votes FROM results.current c JOIN results.releases r USING (revision)
       CROSS JOIN jsonb_to_recordset(r.marks) AS v (contest text, candidate text, votes bigint)
       WHERE c.election = $1 AND v.candidate = '#ballots'
     ) t GROUP BY contest HAVING sum(counted) > sum(shown) ORDER BY contest`,
    [election],
  );
  return { final, voters, contests };
}

/** The units that a part takes in: `$2` stations, `$3` region. */
const IN_PART = `($2::text IS NULL OR c.station = ANY ($2::text::text[])
  OR (c.station IS NULL AND c.region = $3::text))`;

async function releasedVoters(query: Query, election: string, narrowed: Narrowed): Promise<number> {
  const { voters } = await queryOne<{ voters: number }>(
    query,
    `SELECT coalesce(sum(voters), 0)::float8 AS voters FROM ${
      currentUnits(narrowed)
    } WHERE election = $1 AND ${IN_PART}`,
    [election, narrowed.stations, narrowed.region],
  );
  return voters;
}

/** The lines of each unit's newest release that the part takes in; `$1` election, `$4` contest. */
const currentLines = (narrowed: Narrowed, column: "votes" | "marks") => `
  ${currentUnits(narrowed)}
  JOIN results.releases r ON r.revision = c.revision
  CROSS JOIN jsonb_to_recordset(r.${column}) AS v (contest text, candidate text, votes bigint)
  WHERE c.election = $1 AND ($4::text IS NULL OR v.contest = $4::text) AND ${IN_PART}`;

type Votes = { contest: string; candidate: string; votes: number };

async function sumLines(
  query: Query,
  election: string,
  narrowed: Narrowed,
  column: "votes" | "marks",
): Promise<Votes[]> {
  const { contest, stations, region } = narrowed;
  return await query(
    `SELECT v.contest, v.candidate, sum(v.votes)::float8 AS votes FROM ${
      currentLines(narrowed, column)
    } GROUP BY v.contest, v.candidate`,
    [election, stations, region, contest],
  );
}

async function regionLines(
  query: Query,
  election: string,
  narrowed: Narrowed,
  names: ElectionNames,
  column: "votes" | "marks",
): Promise<(Votes & { region: string | null })[]> {
  const { contest, stations, region } = narrowed;
  const all = names.index.manifest.stations;
  return await query(
    `WITH places AS MATERIALIZED (
       SELECT * FROM unnest($5::text::text[], $6::text::text[]) AS p (station, region)
     )
     SELECT coalesce(p.region, t.region) AS region, t.contest, t.candidate, sum(t.votes)::float8 AS votes
     FROM (
       SELECT c.station, c.region, v.contest, v.candidate, sum(v.votes) AS votes FROM ${
      currentLines(narrowed, column)
    }
       GROUP BY c.station, c.region, v.contest, v.candidate
     ) t LEFT JOIN places p USING (station)
     GROUP BY 1, t.contest, t.candidate ORDER BY 1, t.contest, t.candidate`,
    [
      election,
      stations,
      region,
      contest,
      arrayLiteral(all.map(({ id }) => id)),
      arrayLiteral(all.map(({ region }) => region)),
    ],
  );
}

type UnitVotes = {
  unit: string;
  station: string | null;
  region: string | null;
  mode: VotingMode | null;
  members: string | null;
  votes: string;
  marks: string;
};

async function unitVotes(query: Query, election: string, narrowed: Narrowed): Promise<UnitVotes[]> {
  const { stations, region } = narrowed;
  return await query(
    `SELECT c.unit, c.station, c.region, c.mode, c.members::text AS members, r.votes::text AS votes, r.marks::text AS marks
     FROM ${currentUnits(narrowed)} JOIN results.releases r ON r.revision = c.revision
     WHERE c.election = $1 AND ${IN_PART}
     ORDER BY c.station, c.mode, c.unit LIMIT ${MAX_STATION_RELEASES + 1}`,
    [election, stations, region],
  );
}

type UnitVoters = { station: string | null; region: string | null; members: string | null; voters: number };

/** Voters whose votes are shown, by place. */
async function unitVoters(query: Query, election: string, narrowed: Narrowed): Promise<UnitVoters[]> {
  return await query(
    `SELECT station, region, members::text AS members, sum(voters)::float8 AS voters FROM ${
      currentUnits(narrowed)
    }
     WHERE election = $1 AND ${IN_PART} GROUP BY station, region, c.members::text HAVING sum(voters) > 0 ORDER BY 1, 2`,
    [election, narrowed.stations, narrowed.region],
  );
}

/** Votes that releases added, by minute. A part is summed from its own releases, a whole election was when it was published. */
async function minuteVotes(
  query: Query,
  election: string,
  { contest, stations, region, upTo }: Narrowed,
): Promise<ResultsRow<"time">[]> {
  const isWhole = stations === null && region === null && upTo === null;
  const before = upTo === null ? "" : ` AND revision <= ${upTo}`;
  const sums = isWhole
    ? `SELECT minute, contest, candidate, added FROM results.minute_votes
       WHERE election = $1 AND ($2::text IS NULL OR contest = $2::text)`
    : `SELECT date_trunc('minute', r.released_at, 'UTC') AS minute, v.contest, v.candidate, sum(v.added) AS added
       FROM (
         SELECT released_at, votes FROM results.releases 
         WHERE election = $1 AND ($3::text IS NULL OR station = ANY ($3::text::text[]))${before}
         UNION ALL
         SELECT released_at, votes FROM results.releases
         WHERE election = $1 AND station IS NULL AND region = $4::text${before}
       ) r
       CROSS JOIN jsonb_to_recordset(r.votes) AS v (contest text, candidate text, added bigint)
       WHERE $2::text IS NULL OR v.contest = $2::text
       GROUP BY 1, 2, 3`;
  return await query(
    `SELECT to_char(minute AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"') AS minute, contest, candidate,
       added::float8 AS votes,
       (sum(added) OVER (PARTITION BY contest, candidate ORDER BY t.minute))::float8 AS total
     FROM (${sums}) t ORDER BY t.minute, contest, candidate`,
    isWhole ? [election, contest] : [election, contest, stations, region],
  );
}

/** Votes by `contest/candidate`, to look up; a candidate nobody voted for is not there. */
function tally(votes: readonly Votes[]): (contest: string, candidate: string) => number {
  const found = new Map(votes.map(({ contest, candidate, votes }) => [`${contest}/${candidate}`, votes]));
  return (contest, candidate) => found.get(`${contest}/${candidate}`) ?? 0;
}

function contestsIn(names: ElectionNames, contest?: string) {
  return contest === undefined ? names.index.manifest.contests : [names.contests.get(contest)!];
}

function candidateRows(
  names: ElectionNames,
  { contest }: Part,
  votes: readonly Votes[],
): ResultsRow<"candidate">[] {
  const votesOf = tally(votes);
  return contestsIn(names, contest).flatMap(({ id: contest, candidates }) =>
    candidates.map(({ id: candidate, name, party }) => ({
      contest,
      candidate,
      name,
      party: party ?? null,
      votes: votesOf(contest, candidate),
    }))
  );
}

function contestRows(names: ElectionNames, { contest }: Part, marks: readonly MarkLine[]): ContestTotals[] {
  const found = new Map(totalsOf(marks).map((totals) => [totals.contest, withoutAdded(totals)]));
  return contestsIn(names, contest).map(({ id }) =>
    found.get(id) ?? { contest: id, ballots: 0, undervotes: 0, blanks: 0 }
  );
}

/** The last row is of the candidates without a party, where there are any. */
function partyRows(names: ElectionNames, votes: readonly Votes[]): ResultsRow<"party">[] {
  const rows = new Map<string | undefined, ResultsRow<"party">>(
    names.index.manifest.parties.map(({ id, name, colour }) => [
      id,
      { party: id, name, colour: colour ?? null, votes: 0 },
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

/** The last rows are of units with several regions, where there are any. */
function regionRows(
  names: ElectionNames,
  { contest: only, region: one, station }: Part,
  votes: readonly (Votes & { region: string | null })[],
): ResultsRow<"region">[] {
  const place = station === undefined ? one : names.index.stations.get(station)!.region;
  const found = Map.groupBy(votes, ({ region }) => region);
  const rowsOf = (region: string | null, name: string | null, here: ReadonlySet<string>) => {
    const votesOf = tally(found.get(region) ?? []);
    return contestsIn(names, only).filter(({ id }) => here.has(id)).flatMap(({ id: contest, candidates }) =>
      candidates.map(({ id: candidate }) => ({
        region,
        name,
        contest,
        candidate,
        votes: votesOf(contest, candidate),
      }))
    );
  };
  const rows = names.index.manifest.regions.filter(({ id }) => place === undefined || id === place)
    .flatMap(({ id, name }) => rowsOf(id, name, names.contestsOf.get(id)!));
  const together = new Set(found.get(null)?.map(({ contest }) => contest));
  return [...rows, ...rowsOf(null, null, together)];
}

/** Regions with the voters whose votes are shown there; the last row is of units with several regions, where there are any. */
function regionVoters(
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

/** The stations and regions of a unit that has several. */
type Members = { stations?: string[]; regions?: string[] };

type StationAnswer = Pick<Extract<Results, { by: "station" }>, "rows" | "contests" | "units">;

/** A row for each candidate of each contest that a unit shows; `undefined` when they are too many. */
function stationRows(
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
      if (own !== undefined) answer.contests.push({ unit, station, mode, ...withoutAdded(own) });
      for (const { id: candidate } of candidates) {
        const votes = votesOf(contest, candidate);
        answer.rows.push({ unit, station, name, region, mode, contest, candidate, votes });
      }
    }
    if (answer.rows.length > MAX_STATION_ROWS) return undefined;
  }
  return answer;
}

/** A release as the database has it; the names of places are joined later. */
export type StoredRelease = Release;

/** The releases after a revision, oldest first, at most `limit`. */
export async function releasesSince(
  query: Query,
  election: string,
  revision: number,
  limit: number,
): Promise<StoredRelease[]> {
  type Row = Omit<StoredRelease, "votes" | "members" | "contests"> & {
    votes: string;
    marks: string;
    members: string | null;
  };
  const rows = await query<Row>(
    `SELECT revision::float8 AS revision, unit, region, station, mode, members::text AS members, kind,
       voters::float8 AS voters, to_char(released_at AT TIME ZONE 'UTC', ${ISO}) AS "releasedAt",
       added_voters::float8 AS "addedVoters", votes::text AS votes, marks::text AS marks
     FROM results.releases WHERE election = $1 AND releases.revision > $2::bigint
     ORDER BY releases.revision LIMIT $3::int`,
    [election, revision, limit],
  );
  return rows.map(({ votes, marks, members, ...row }) => ({
    ...row,
    members: members === null ? null : JSON.parse(members),
    votes: JSON.parse(votes),
    contests: totalsOf(JSON.parse(marks)),
  }));
}
