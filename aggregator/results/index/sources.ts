/**
 * What the index is made from: `results`, turnout, rejections and the audit trail, read page by page. One query a
 * function. Nothing here writes, or reads what would join a voter to a vote.
 *
 * @module
 */
import { MARK } from "../../../shared/marks.ts";
import { arrayLiteral, isoTime, type Query, queryOne } from "../../database/database.ts";
import {
  parseRelease,
  type Positions,
  RELEASE_COLUMNS,
  type ReleaseRow,
  type StoredRelease,
} from "../releases.ts";

/** How times are written to the minute: UTC. */
const ISO_MINUTE = `'YYYY-MM-DD"T"HH24:MI:00.000"Z"'`;

/** How many have voted in a unit, in a minute. */
export type TurnoutRow = Readonly<
  Pick<ReleaseRow, "unit" | "region" | "station" | "mode"> & { minute: string; voters: number }
>;

/** A record that was not counted. */
export type RejectionRow = Readonly<{
  partition: number;
  offset: number;
  /** In the entry. */
  index: number;
  /** Rises in a partition, from 1 on, in the order in which records were found not to count. */
  arrival: number;
  fate: string;
  reason: string;
  minute: string;
  gateway: string | null;
  station: string | null;
}>;

/** An event of the audit trail. */
export type AuditRow = Readonly<{
  number: number;
  at: string;
  election: string | null;
  event: string;
  details: Readonly<Record<string, string | number | boolean>>;
  hash: string;
}>;

/** Every election of the registry with its position: `e.election`, `p.revision`. */
const POSITIONS = `registry.elections e
  LEFT JOIN unnest($1::text::text[], $2::text::bigint[]) AS p (election, revision) USING (election)`;

function positionParameters(positions: Positions): string[] {
  return [arrayLiteral([...positions.keys()]), arrayLiteral([...positions.values()])];
}

/** The releases of all elections after a revision, oldest first, at most `limit`. */
export async function releasesAfter(query: Query, revision: number, limit: number): Promise<ReleaseRow[]> {
  const rows = await query<StoredRelease>(
    `SELECT ${RELEASE_COLUMNS} FROM results.releases r
     WHERE r.revision > $1::bigint ORDER BY r.revision LIMIT $2::int`,
    [revision, limit],
  );
  return rows.map(parseRelease);
}

/** A unit of an election: where a page of {@link currentReleases} begins. */
export type UnitName = Readonly<Pick<ReleaseRow, "election" | "unit">>;

/** The newest release of each unit after one, at most `limit`: what every total is a sum of. */
export async function currentReleases(query: Query, after: UnitName, limit: number): Promise<ReleaseRow[]> {
  const rows = await query<StoredRelease>(
    `SELECT ${RELEASE_COLUMNS} FROM (
       SELECT revision FROM results.current WHERE (election, unit) > ($1, $2)
       ORDER BY election, unit LIMIT $3::int
     ) c JOIN results.releases r USING (revision)
     ORDER BY r.election, r.unit`,
    [after.election, after.unit, limit],
  );
  return rows.map(parseRelease);
}

/** The newest revision of all elections; 0 while there is none. */
export async function newestRevision(query: Query): Promise<number> {
  const { newest } = await queryOne<{ newest: number }>(
    query,
    "SELECT coalesce(max(revision), 0)::float8 AS newest FROM results.releases",
  );
  return newest;
}

/** When a release was written, in milliseconds since 1970; `undefined` when there is none of that revision. */
export async function releasedAt(query: Query, revision: number): Promise<number | undefined> {
  const [row] = await query<{ at: number }>(
    `SELECT (extract(epoch FROM released_at) * 1000)::float8 AS at
     FROM results.releases WHERE releases.revision = $1::bigint`,
    [revision],
  );
  return row?.at;
}

/** How many releases there are after the positions, and how old the oldest of them is, in seconds; 0 when there is none. */
export async function readBehind(
  query: Query,
  positions: Positions,
  now: Date,
): Promise<{ releases: number; seconds: number }> {
  return await queryOne(
    query,
    `SELECT coalesce(sum(behind.releases), 0)::float8 AS releases,
       greatest(0, coalesce(extract(epoch FROM $3::timestamptz - min(behind.oldest)), 0))::float8 AS seconds
     FROM ${POSITIONS} CROSS JOIN LATERAL (
       SELECT count(*) AS releases, min(released_at) AS oldest FROM results.releases r
       WHERE r.election = e.election AND r.revision > coalesce(p.revision, 0)
     ) behind`,
    [...positionParameters(positions), now.toISOString()],
  );
}

/** How many releases each election has up to its position, and after a revision where one is given for it. */
export async function countReleasesUpTo(
  query: Query,
  positions: Positions,
  after: Positions = new Map(),
): Promise<Map<string, number>> {
  const rows = await query<{ election: string; counted: number }>(
    `SELECT e.election, count(r.revision)::float8 AS counted FROM ${POSITIONS}
     LEFT JOIN unnest($3::text::text[], $4::text::bigint[]) AS a (election, revision) ON a.election = e.election
     LEFT JOIN results.releases r
       ON r.election = e.election AND r.revision <= p.revision AND r.revision > coalesce(a.revision, 0)
     GROUP BY e.election`,
    [...positionParameters(positions), ...positionParameters(after)],
  );
  return new Map(rows.map(({ election, counted }) => [election, counted]));
}

/** What `released-votes` has a document for, of lines `v` of releases `r`. */
const RELEASED_VOTES = `(r.unit, date_trunc('minute', r.released_at), v.contest, v.candidate)`;

/** How many documents of `released-votes` those releases make. Reads each of them. */
export async function countReleasedVotesUpTo(
  query: Query,
  positions: Positions,
): Promise<Map<string, number>> {
  const rows = await query<{ election: string; documents: number }>(
    `SELECT e.election, count(DISTINCT ${RELEASED_VOTES}) FILTER (WHERE v.added <> 0)::float8 AS documents
     FROM ${POSITIONS} LEFT JOIN results.releases r ON r.election = e.election AND r.revision <= p.revision
     LEFT JOIN LATERAL jsonb_to_recordset(r.votes) AS v (contest text, candidate text, added bigint) ON true
     GROUP BY e.election`,
    positionParameters(positions),
  );
  return new Map(rows.map(({ election, documents }) => [election, documents]));
}

/** What an election's releases of a minute added, before a revision. */
export async function addedInMinute(
  query: Query,
  election: string,
  minute: string,
  before: number,
): Promise<{ unit: string; contest: string; candidate: string; added: number }[]> {
  return await query(
    `SELECT r.unit, v.contest, v.candidate, sum(v.added)::float8 AS added
     FROM results.releases r CROSS JOIN jsonb_to_recordset(r.votes) AS v (contest text, candidate text, added bigint)
     WHERE r.released_at >= $2::timestamptz AND r.released_at < $2::timestamptz + interval '1 minute'
       AND r.election = $1 AND r.revision < $3::bigint AND v.added <> 0
     GROUP BY r.unit, v.contest, v.candidate`,
    [election, minute, before],
  );
}

/** How many releases there are up to a revision. */
export async function countReleases(query: Query, upTo: number): Promise<number> {
  const { releases } = await queryOne<{ releases: number }>(
    query,
    "SELECT count(*)::float8 AS releases FROM results.releases WHERE revision <= $1::bigint",
    [upTo],
  );
  return releases;
}

/** How many documents of `released-votes` the releases up to a revision make, and the votes that they added. */
export async function countReleasedVotes(
  query: Query,
  upTo: number,
): Promise<{ documents: number; sum: number }> {
  return await queryOne(
    query,
    `SELECT count(DISTINCT (r.election, ${RELEASED_VOTES}))::float8 AS documents,
       coalesce(sum(v.added), 0)::float8 AS sum
     FROM results.releases r CROSS JOIN jsonb_to_recordset(r.votes) AS v (contest text, candidate text, added bigint)
     WHERE r.revision <= $1::bigint AND v.added <> 0`,
    [upTo],
  );
}

/** How many contests' ballots the newest releases tell of, and these ballots. */
export async function sumBallots(query: Query): Promise<{ documents: number; sum: number }> {
  return await queryOne(
    query,
    `SELECT count(*)::float8 AS documents, coalesce(sum(v.votes), 0)::float8 AS sum
     FROM results.current c JOIN results.releases r USING (revision)
     CROSS JOIN jsonb_to_recordset(r.marks) AS v (candidate text, votes bigint) WHERE v.candidate = '${MARK.ballots}'`,
  );
}

/** How many figures the newest releases have, and their votes. */
export async function sumCurrent(query: Query): Promise<{ documents: number; sum: number }> {
  return await queryOne(
    query,
    `SELECT count(*)::float8 AS documents, coalesce(sum(v.votes), 0)::float8 AS sum
     FROM results.current c JOIN results.releases r USING (revision)
     CROSS JOIN jsonb_to_recordset(r.votes) AS v (votes bigint)`,
  );
}

/** The events of the audit trail after a number, oldest first, at most `limit`. */
export async function auditAfter(query: Query, number: number, limit: number): Promise<AuditRow[]> {
  const rows = await query<Omit<AuditRow, "details"> & { details: string }>(
    `SELECT number::float8 AS number, ${isoTime("at")} AS at, election, event,
       details #>> '{}' AS details, encode(hash, 'hex') AS hash
     FROM audit.events WHERE events.number > $1::bigint ORDER BY events.number LIMIT $2::int`,
    [number, limit],
  );
  return rows.map((row) => ({ ...row, details: JSON.parse(row.details) }));
}

/** How many events there are up to a number. */
export async function countAudit(query: Query, upTo: number): Promise<number> {
  const { events } = await queryOne<{ events: number }>(
    query,
    "SELECT count(*)::float8 AS events FROM audit.events WHERE number <= $1::bigint",
    [upTo],
  );
  return events;
}

/** The records of an election that were not counted, after an arrival in each partition, at most `limit` of each partition. */
export async function rejectionsAfter(
  query: Query,
  election: string,
  after: readonly number[],
  limit: number,
): Promise<RejectionRow[]> {
  return await query(
    `SELECT r.partition, r.log_offset::float8 AS offset, r.record_index::int AS index, r.arrival::float8 AS arrival, r.fate, r.reason, r.gateway, r.station,
       to_char(r.appended_at AT TIME ZONE 'UTC', ${ISO_MINUTE}) AS minute
     FROM unnest($2::text::int[], $3::text::bigint[]) AS p (partition, after)
     CROSS JOIN LATERAL (
       SELECT partition, log_offset, record_index, arrival, fate, reason, gateway, station, appended_at FROM counting.rejections r
       WHERE r.election = $1 AND r.partition = p.partition AND r.arrival > p.after
       ORDER BY r.arrival LIMIT $4::int
     ) r ORDER BY r.partition, r.arrival`,
    [election, arrayLiteral(after.map((_, partition) => partition)), arrayLiteral(after), limit],
  );
}

/** How many of those there are up to an arrival in each partition, by partition. */
export async function countRejections(
  query: Query,
  election: string,
  upTo: readonly number[],
): Promise<number[]> {
  const rows = await query<{ partition: number; rejections: number }>(
    `SELECT p.partition, (
       SELECT count(*) FROM counting.rejections r
       WHERE r.election = $1 AND r.partition = p.partition AND r.arrival <= p.up_to
     )::float8 AS rejections
     FROM unnest($2::text::int[], $3::text::bigint[]) AS p (partition, up_to)`,
    [election, arrayLiteral(upTo.map((_, partition) => partition)), arrayLiteral(upTo)],
  );
  const counts = upTo.map(() => 0);
  for (const { partition, rejections } of rows) counts[partition] = rejections;
  return counts;
}

/** Which cells of turnout are read, of counts `c` and of releases `r`. */
const CELLS = {
  all: { counted: "true", released: "true" },
  /** Of election `$1`, from minute `$2` to `$3`. */
  between: {
    counted: "c.election = $1 AND c.minute BETWEEN $2::timestamptz AND $3::timestamptz",
    released:
      "r.election = $1 AND r.released_at >= $2::timestamptz AND r.released_at < $3::timestamptz + interval '1 minute'",
  },
} as const;

/**
 * Turnout by unit and minute, `t`. For k = 1 a unit is a station and mode, and the minute that of acceptance. For k > 1
 * turnout is no finer than the results: units and minutes are those of releases.
 */
function turnout({ counted, released }: Readonly<{ counted: string; released: string }>): string {
  return `(
  SELECT c.election, c.station || '/' || c.mode AS unit, NULL AS region, c.station, c.mode, c.minute, sum(c.voters) AS voters
  FROM counting.turnout_counts c JOIN results.elections e ON e.election = c.election AND e.release_threshold = 1
  WHERE ${counted} GROUP BY c.election, c.station, c.mode, c.minute
  UNION ALL
  SELECT r.election, r.unit, r.region, r.station, r.mode, date_trunc('minute', r.released_at), sum(r.added_voters)
  FROM results.releases r JOIN results.elections e ON e.election = r.election AND e.release_threshold > 1
  WHERE ${released} AND r.added_voters <> 0
  GROUP BY r.election, r.unit, r.region, r.station, r.mode, date_trunc('minute', r.released_at)
) AS t`;
}

/** An election's turnout by minute, in milliseconds since 1970. For k > 1 it reads all releases. */
export async function turnoutByMinute(query: Query, election: string): Promise<Map<number, number>> {
  const rows = await query<{ minute: number; voters: number }>(
    `SELECT (extract(epoch FROM minute) * 1000)::float8 AS minute, sum(voters)::float8 AS voters
     FROM (
       SELECT v.minute, v.voters
       FROM counting.minute_voters v JOIN results.elections e ON e.election = v.election AND e.release_threshold = 1
       WHERE v.election = $1
       UNION ALL
       SELECT date_trunc('minute', r.released_at), r.added_voters
       FROM results.releases r JOIN results.elections e ON e.election = r.election AND e.release_threshold > 1
       WHERE r.election = $1 AND r.added_voters <> 0
     ) AS t GROUP BY minute`,
    [election],
  );
  return new Map(rows.map(({ minute, voters }) => [minute, voters]));
}

/**
 * The turnout of some minutes, by unit, and the database's clock, in milliseconds since 1970. The database reads all from the
 * first of these minutes to the last.
 */
export async function turnoutOf(
  query: Query,
  election: string,
  minutes: readonly number[],
): Promise<{ readAt: number; rows: TurnoutRow[] }> {
  const iso = (ms: number) => new Date(ms).toISOString();
  const rows = await query<TurnoutRow & { readAt: number }>(
    `SELECT unit, region, station, mode, to_char(t.minute AT TIME ZONE 'UTC', ${ISO_MINUTE}) AS minute,
       t.voters::float8 AS voters, (extract(epoch FROM now()) * 1000)::float8 AS "readAt"
     FROM ${turnout(CELLS.between)} WHERE t.minute = ANY ($4::text::timestamptz[])`,
    [election, iso(Math.min(...minutes)), iso(Math.max(...minutes)), arrayLiteral(minutes.map(iso))],
  );
  return { readAt: Math.floor(rows[0]?.readAt ?? 0), rows };
}

/** How many cells of turnout there are, and their voters. */
export async function sumTurnout(query: Query): Promise<{ documents: number; sum: number }> {
  return await queryOne(
    query,
    `SELECT count(*)::float8 AS documents, coalesce(sum(voters), 0)::float8 AS sum FROM ${
      turnout(CELLS.all)
    }`,
  );
}

/** Where an election's stations and regions lie, as far as the registry knows, in degrees. */
export async function readLocations(
  query: Query,
  election: string,
): Promise<{ station: string | null; region: string; lat: number; lon: number }[]> {
  return await query(
    `SELECT station, region, latitude AS lat, longitude AS lon FROM registry.stations
     WHERE election = $1 AND latitude IS NOT NULL
     UNION ALL
     SELECT NULL, region, latitude, longitude FROM registry.regions WHERE election = $1 AND latitude IS NOT NULL`,
    [election],
  );
}

/** How many records were not counted and are kept. */
export async function countAllRejections(query: Query): Promise<number> {
  const { rejections } = await queryOne<{ rejections: number }>(
    query,
    "SELECT count(*)::float8 AS rejections FROM counting.rejections",
  );
  return rejections;
}

/** How many documents the tallies have of some candidates of an election. */
export async function countTalliesOf(
  query: Query,
  election: string,
  candidates: readonly Readonly<{ contest: string; candidate: string }>[],
): Promise<number> {
  const { documents } = await queryOne<{ documents: number }>(
    query,
    `SELECT count(*)::float8 AS documents FROM results.current c JOIN results.releases r USING (revision)
     CROSS JOIN LATERAL jsonb_to_recordset(r.votes) AS v (contest text, candidate text)
     JOIN json_to_recordset($2::json) AS w (contest text, candidate text)
       ON w.contest = v.contest AND w.candidate = v.candidate
     WHERE c.election = $1`,
    [election, JSON.stringify(candidates)],
  );
  return documents;
}
