/**
 * Releases as the database has them, read in pages. One query a function.
 *
 * @module
 */
import type { VotingMode } from "../../shared/mode.ts";
import { arrayLiteral, isoTime, type Query } from "../database/database.ts";
import { type MarkLine, totalsOf } from "./contest_totals.ts";
import type { Release } from "./schemas.ts";

/** A release as it was written. */
export type ReleaseRow = Readonly<{
  election: string;
  revision: number;
  unit: string;
  /** Not there where the unit has several. Where there is a station, its region is the manifest's. */
  region: string | null;
  station: string | null;
  mode: VotingMode | null;
  /** Which modes, stations and regions a unit of several cells has. */
  members: Release["members"];
  kind: Release["kind"];
  releasedAt: string;
  voters: number;
  addedVoters: number;
  votes: readonly ReleaseLine[];
  /** In place of candidates marks: see shared/marks.ts. */
  marks: readonly MarkLine[];
}>;

/** What a release says of a candidate. */
export type ReleaseLine = Release["votes"][number];

/** The columns of a {@link ReleaseRow}, of `results.releases r`. */
export const RELEASE_COLUMNS =
  `r.election, r.revision::float8 AS revision, r.unit, r.region, r.station, r.mode, r.members::text AS members, r.kind,
  ${isoTime("r.released_at")} AS "releasedAt", r.voters::float8 AS voters,
  r.added_voters::float8 AS "addedVoters", r.votes::text AS votes, r.marks::text AS marks`;

/** The row of {@link RELEASE_COLUMNS}, its JSON not yet parsed. */
export type StoredRelease = Omit<ReleaseRow, "votes" | "marks" | "members"> & {
  votes: string;
  marks: string;
  members: string | null;
};

/** Parses a row's JSON. */
export function parseRelease(row: StoredRelease): ReleaseRow {
  return {
    ...row,
    members: row.members === null ? null : JSON.parse(row.members),
    votes: JSON.parse(row.votes),
    marks: JSON.parse(row.marks),
  };
}

/** A release as the API shows it. */
export function toRelease({ election: _, marks, votes, ...row }: ReleaseRow): Release {
  return { ...row, votes: [...votes], contests: totalsOf(marks) };
}

/** The releases of an election after a revision, oldest first, at most `limit`. */
export async function readReleases(
  query: Query,
  election: string,
  revision: number,
  limit: number,
): Promise<ReleaseRow[]> {
  const rows = await query<StoredRelease>(
    `SELECT ${RELEASE_COLUMNS} FROM results.releases r
     WHERE r.election = $1 AND r.revision > $2::bigint ORDER BY r.revision LIMIT $3::int`,
    [election, revision, limit],
  );
  return rows.map(parseRelease);
}

/** The same, as the API shows them. */
export async function releasesSince(...page: Parameters<typeof readReleases>): Promise<Release[]> {
  return (await readReleases(...page)).map(toRelease);
}

/**
 * The newest revision of an election's releases, and its time; 0 and `null` while there is none.
 *
 * @param at The newest of those up to this moment (ISO 8601); of all when left out.
 */
export async function newestRelease(
  query: Query,
  election: string,
  at?: string,
): Promise<{ revision: number; releasedAt: string | null }> {
  const [row] = await query<{ revision: number; releasedAt: string }>(
    `SELECT revision::float8 AS revision, ${isoTime("released_at")} AS "releasedAt" FROM results.releases
     WHERE election = $1 AND ($2::text IS NULL OR released_at <= $2::text::timestamptz)
     ORDER BY releases.revision DESC LIMIT 1`,
    [election, at ?? null],
  );
  return row ?? { revision: 0, releasedAt: null };
}

/** By election: the revision up to which somebody has its releases. An election that is not there is at 0. */
export type Positions = ReadonlyMap<string, number>;

/** An election whose newest release is not the one of its position; 0 when it has no release. */
export type News = Readonly<{ election: string; newest: number }>;

/**
 * The elections of the registry whose newest release is not that of their position: newer, or older where the database
 * was replaced.
 *
 * @param only This election alone; all when left out.
 */
export async function readNews(query: Query, positions: Positions, only?: string): Promise<News[]> {
  return await query(
    `SELECT e.election, coalesce(n.revision, 0)::float8 AS newest
     FROM registry.elections e
     LEFT JOIN unnest($1::text::text[], $2::text::bigint[]) AS p (election, revision) USING (election)
     CROSS JOIN LATERAL (SELECT max(revision) AS revision FROM results.releases r WHERE r.election = e.election) n
     WHERE coalesce(n.revision, 0) <> coalesce(p.revision, 0) AND ($3::text IS NULL OR e.election = $3::text)
     ORDER BY e.election`,
    [arrayLiteral([...positions.keys()]), arrayLiteral([...positions.values()]), only ?? null],
  );
}
