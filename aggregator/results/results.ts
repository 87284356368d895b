/**
 * Results: sums of releases, and of nothing else. What has been counted and not released is not read here.
 *
 * One query a function. {@link readResults} runs what it needs in one snapshot, so its figures are of one moment.
 *
 * @module
 */
import type { VotingMode } from "../../shared/vote.ts";
import type { Release, Results, ResultsBy, ResultsRow } from "../public/schemas.ts";
import { arrayLiteral, type Database, type Query } from "../database/database.ts";
import type { ElectionNames, Elections } from "../registry/election_names.ts";

/** Most rows, and most releases, of one answer by station; a larger election is asked for in parts. */
export const MAX_STATION_ROWS = 200_000;
const MAX_STATION_RELEASES = 20_000;

/** How a time is spelled everywhere: UTC, milliseconds. */
const ISO = `'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'`;

/** What part of the results is meant: one contest, the stations of one region, one station; all when left out. */
export type Part = Readonly<{ contest?: string; region?: string; station?: string }>;

/** A part as the queries take it. `stations` is PostgreSQL's spelling of an array. */
type Narrowed = Readonly<{ contest: string | null; stations: string | null }>;

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
  part: Part = {},
): Promise<Results | ResultsFault> {
  return await db.transaction(async (query) => {
    const tag = await readTag(query, elections, election);
    if (tag === undefined) return { fault: "unknown-election" };
    const { names, revision, releasedAt } = tag;
    const narrowed = narrow(names, part);
    if ("fault" in narrowed) return narrowed;
    const voters = await releasedVoters(query, election, narrowed);
    const head = { election, manifestVersion: names.index.manifest.version, revision, releasedAt, voters };
    switch (by) {
      case "candidate":
        return {
          ...head,
          by,
          rows: candidateRows(names, part, await candidateVotes(query, election, narrowed)),
        };
      case "party":
        return { ...head, by, rows: partyRows(names, await candidateVotes(query, election, narrowed)) };
      case "region":
        return {
          ...head,
          by,
          rows: regionRows(names, part, await regionVotes(query, election, narrowed, names)),
        };
      case "station": {
        const stations = await stationVotes(query, election, narrowed);
        const rows = stationRows(names, part, stations);
        if (rows !== undefined) return { ...head, by, rows };
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
function narrow(names: ElectionNames, { contest, region, station }: Part): Narrowed | ResultsFault {
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
  return { contest: contest ?? null, stations: stations === undefined ? null : arrayLiteral(stations) };
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

async function releasedVoters(query: Query, election: string, { stations }: Narrowed): Promise<number> {
  const [{ voters }] = await query<{ voters: number }>(
    `SELECT coalesce(sum(voters), 0)::float8 AS voters FROM results.current
     WHERE election = $1 AND ($2::text IS NULL OR station = ANY ($2::text::text[]))`,
    [election, stations],
  );
  return voters;
}

/** The votes of each newest release that the part takes in; `$1` election, `$2` contest, `$3` stations. */
const CURRENT_VOTES = `
  results.current c
  JOIN results.releases r ON r.revision = c.revision
  CROSS JOIN jsonb_to_recordset(r.votes) AS v (contest text, candidate text, votes bigint)
  WHERE c.election = $1 AND ($2::text IS NULL OR v.contest = $2::text)
    AND ($3::text IS NULL OR c.station = ANY ($3::text::text[]))`;

type Votes = { contest: string; candidate: string; votes: number };

async function candidateVotes(
  query: Query,
  election: string,
  { contest, stations }: Narrowed,
): Promise<Votes[]> {
  return await query(
    `SELECT v.contest, v.candidate, sum(v.votes)::float8 AS votes FROM ${CURRENT_VOTES} GROUP BY v.contest, v.candidate`,
    [election, contest, stations],
  );
}

async function regionVotes(
  query: Query,
  election: string,
  { contest, stations }: Narrowed,
  names: ElectionNames,
): Promise<(Votes & { region: string })[]> {
  const all = names.index.manifest.stations;
  return await query(
    `WITH places AS MATERIALIZED (
       SELECT * FROM unnest($4::text::text[], $5::text::text[]) AS p (station, region)
     )
     SELECT p.region, t.contest, t.candidate, sum(t.votes)::float8 AS votes
     FROM (
       SELECT c.station, v.contest, v.candidate, sum(v.votes) AS votes FROM ${CURRENT_VOTES}
       GROUP BY c.station, v.contest, v.candidate
     ) t JOIN places p USING (station)
     GROUP BY p.region, t.contest, t.candidate`,
    [
      election,
      contest,
      stations,
      arrayLiteral(all.map(({ id }) => id)),
      arrayLiteral(all.map(({ region }) => region)),
    ],
  );
}

type StationVotes = { station: string; mode: VotingMode; votes: string };

async function stationVotes(query: Query, election: string, { stations }: Narrowed): Promise<StationVotes[]> {
  return await query(
    `SELECT c.station, c.mode, r.votes::text AS votes
     FROM results.current c JOIN results.releases r ON r.revision = c.revision
     WHERE c.election = $1 AND ($2::text IS NULL OR c.station = ANY ($2::text::text[]))
     ORDER BY c.station, c.mode LIMIT ${MAX_STATION_RELEASES + 1}`,
    [election, stations],
  );
}

async function minuteVotes(
  query: Query,
  election: string,
  { contest, stations }: Narrowed,
): Promise<ResultsRow<"time">[]> {
  return await query(
    `SELECT to_char(minute AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"') AS minute, contest, candidate,
       added::float8 AS votes,
       (sum(added) OVER (PARTITION BY contest, candidate ORDER BY minute))::float8 AS total
     FROM (
       SELECT date_trunc('minute', r.released_at) AS minute, v.contest, v.candidate, sum(v.added) AS added
       FROM results.releases r
       CROSS JOIN jsonb_to_recordset(r.votes) AS v (contest text, candidate text, added bigint)
       WHERE r.election = $1 AND ($2::text IS NULL OR v.contest = $2::text)
         AND ($3::text IS NULL OR r.station = ANY ($3::text::text[]))
       GROUP BY 1, 2, 3
     ) t ORDER BY t.minute, contest, candidate`,
    [election, contest, stations],
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

function regionRows(
  names: ElectionNames,
  { contest: only, region: one, station }: Part,
  votes: readonly (Votes & { region: string })[],
): ResultsRow<"region">[] {
  const place = station === undefined ? one : names.index.stations.get(station)!.region;
  const found = Map.groupBy(votes, ({ region }) => region);
  return names.index.manifest.regions.filter(({ id }) => place === undefined || id === place).flatMap(
    ({ id: region, name }) => {
      const votesOf = tally(found.get(region) ?? []);
      const here = names.contestsOf.get(region)!;
      return contestsIn(names, only).filter(({ id }) => here.has(id)).flatMap(({ id: contest, candidates }) =>
        candidates.map(({ id: candidate }) => ({
          region,
          name,
          contest,
          candidate,
          votes: votesOf(contest, candidate),
        }))
      );
    },
  );
}

/** A row for each candidate whom a released station votes on; `undefined` when they are too many. */
function stationRows(
  names: ElectionNames,
  { contest: only }: Part,
  stations: readonly StationVotes[],
): ResultsRow<"station">[] | undefined {
  if (stations.length > MAX_STATION_RELEASES) return undefined;
  const rows: ResultsRow<"station">[] = [];
  for (const { station, mode, votes } of stations) {
    const place = names.index.stations.get(station);
    if (place === undefined) continue;
    const votesOf = tally(JSON.parse(votes));
    const name = names.stations.get(station)!;
    for (const { id: contest, candidates } of contestsIn(names, only)) {
      if (!place.contests.has(contest)) continue;
      for (const { id: candidate } of candidates) {
        rows.push({
          station,
          name,
          region: place.region,
          mode,
          contest,
          candidate,
          votes: votesOf(contest, candidate),
        });
      }
    }
    if (rows.length > MAX_STATION_ROWS) return undefined;
  }
  return rows;
}

/** A release as the database has it; the names of places are joined later. */
export type StoredRelease = Omit<Release, "region">;

/** The releases after a revision, oldest first, at most `limit`. */
export async function releasesSince(
  query: Query,
  election: string,
  revision: number,
  limit: number,
): Promise<StoredRelease[]> {
  const rows = await query<Omit<StoredRelease, "votes"> & { votes: string }>(
    `SELECT revision::float8 AS revision, station, mode, voters::float8 AS voters, closing,
       to_char(released_at AT TIME ZONE 'UTC', ${ISO}) AS "releasedAt", added_voters::float8 AS "addedVoters",
       votes::text AS votes
     FROM results.releases WHERE election = $1 AND releases.revision > $2::bigint
     ORDER BY releases.revision LIMIT $3::int`,
    [election, revision, limit],
  );
  return rows.map((row) => ({ ...row, votes: JSON.parse(row.votes) }));
}
