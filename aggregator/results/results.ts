/**
 * Results: sums of releases, and of nothing else. What has been counted and not released is not read here.
 *
 * One query a function. {@link readResults} runs what it needs in one snapshot, so its figures are of one moment.
 *
 * @module
 */
import type { NotShown, Results, ResultsBy, ResultsRow } from "./schemas.ts";
import { arrayLiteral, type Database, isoTime, type Query, queryOne } from "../database/database.ts";
import { totalsOf, withoutAdded } from "./contest_totals.ts";
import { newestRelease } from "./releases.ts";
import {
  candidateRows,
  contestRows,
  markWithdrawn,
  MAX_STATION_RELEASES,
  modeRows,
  type ModeVotes,
  type Part,
  partyRows,
  regionRows,
  regionVoters,
  stationRows,
  type UnitVoters,
  type UnitVotes,
  type Votes,
} from "./rows.ts";
import type { VotingMode } from "../../shared/mode.ts";
import type { ElectionNames, Elections } from "../registry/election_names.ts";

/** What is asked: a part, and the moment `at` which it stood so (ISO 8601); now when left out. */
export type Asked = Part & Readonly<{ at?: string }>;

/**
 * A part as the queries take it. `stations` is a PostgreSQL array literal; `region` is set when all units that lie
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
export type ResultsTag = Readonly<
  { names: ElectionNames; revision: number; releasedAt: string | null; final: boolean }
>;

/** Reads the newest revision and whether it is final, and the names that go with it. */
export async function readTag(
  query: Query,
  elections: Elections,
  election: string,
): Promise<ResultsTag | undefined> {
  const names = await elections.find(query, election);
  if (names === undefined) return undefined;
  // The final release may have nothing left to show, and then it is no revision.
  return { names, ...await newestRelease(query, election), final: await isFinal(query, election) };
}

/** Reads results of one moment. */
export async function readResults(
  db: Database,
  elections: Elections,
  election: string,
  by: ResultsBy,
  { at: asked, ...part }: Asked = {},
): Promise<Results | ResultsFault> {
  // PostgreSQL has no year 0, and nothing was released then.
  const at = asked?.replace(/^0000/, "0001");
  return await db.transaction(async (query) => {
    const tag = await readTag(query, elections, election);
    if (tag === undefined) return { fault: "unknown-election" };
    const { names } = tag;
    const { revision, releasedAt } = at === undefined ? tag : await newestRelease(query, election, at);
    const narrowed = narrow(names, part, at === undefined ? null : revision);
    if ("fault" in narrowed) return narrowed;
    const voters = await releasedVoters(query, election, narrowed);
    const final = await isFinal(query, election, at);
    const { version: manifestVersion } = names.index.manifest;
    const corrected = await readCorrection(query, election, revision);
    const head = { election, manifestVersion, revision, releasedAt, final, voters, corrected };
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
      case "mode": {
        const marks = await modeLines(query, election, narrowed, "marks");
        return {
          ...head,
          by,
          rows: modeRows(names, part, await modeLines(query, election, narrowed, "votes")),
          modes: await modeVoters(query, election, narrowed),
          contests: [...Map.groupBy(marks, ({ mode }) => mode)].flatMap(([mode, lines]) =>
            totalsOf(lines).map((totals) => ({ mode, ...withoutAdded(totals) }))
          ),
        };
      }
      case "time":
        return { ...head, by, rows: markWithdrawn(names, await minuteVotes(query, election, narrowed)) };
    }
  }, "snapshot");
}

/** Whether this is why there are none. */
export function isFault(results: Results | ResultsFault): results is ResultsFault {
  return "fault" in results;
}

/** Makes a part's parameters for the queries, or names the id that does not exist. */
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

async function sumLines(
  query: Query,
  election: string,
  narrowed: Narrowed,
  column: "votes" | "marks",
): Promise<Votes[]> {
  const { contest, stations, region, upTo } = narrowed;
  // The whole election, now: summed when it was published.
  if (stations === null && region === null && upTo === null) {
    return await query(
      `SELECT contest, candidate, votes::float8 AS votes FROM results.candidate_votes
       WHERE election = $1 AND ($2::text IS NULL OR contest = $2::text) AND (candidate LIKE '#%') = $3::boolean`,
      [election, contest, column === "marks"],
    );
  }
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

async function modeLines(
  query: Query,
  election: string,
  narrowed: Narrowed,
  column: "votes" | "marks",
): Promise<ModeVotes[]> {
  const { contest, stations, region } = narrowed;
  return await query(
    `SELECT c.mode, v.contest, v.candidate, sum(v.votes)::float8 AS votes FROM ${
      currentLines(narrowed, column)
    } GROUP BY c.mode, v.contest, v.candidate ORDER BY 1, 2, 3`,
    [election, stations, region, contest],
  );
}

/** Voters whose votes are shown, by mode. */
async function modeVoters(
  query: Query,
  election: string,
  narrowed: Narrowed,
): Promise<{ mode: VotingMode | null; voters: number }[]> {
  return await query(
    `SELECT mode, sum(voters)::float8 AS voters FROM ${currentUnits(narrowed)}
     WHERE election = $1 AND ${IN_PART} GROUP BY mode HAVING sum(voters) > 0 ORDER BY mode`,
    [election, narrowed.stations, narrowed.region],
  );
}

/** Whether releases up to a revision took votes off that were shown. */
async function readCorrection(
  query: Query,
  election: string,
  upTo: number,
): Promise<Results["corrected"]> {
  const rows = await query<{ revision: number; releasedAt: string; voters: number }>(
    `SELECT revision::float8 AS revision, ${isoTime("released_at")} AS "releasedAt",
       (-sum(added_voters) OVER (ORDER BY r.revision))::float8 AS voters
     FROM results.releases r WHERE election = $1 AND kind = 'withdrawn' AND r.revision <= $2::bigint
     ORDER BY r.revision DESC LIMIT 1`,
    [election, upTo],
  );
  return rows[0] ?? null;
}

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
