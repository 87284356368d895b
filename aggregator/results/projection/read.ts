/**
 * Reads a contest's projection: from releases, the roll and the manifest, and from nothing else.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import { MARK } from "../../../shared/marks.ts";
import type { Database, Query } from "../../database/database.ts";
import { readRegistered } from "../../registry/election_facts.ts";
import type { Elections } from "../../registry/election_names.ts";
import { count, id, instant } from "../../registry/schemas.ts";
import { isFinal, readTag } from "../results.ts";
import type { RollCounts } from "../turnout.ts";
import { contestStations, type ContestUnit } from "./contest_stations.ts";
import { CONFIDENCE, LEAST, project } from "./project.ts";
import { sum } from "./stations.ts";

/** Most units that are read for a projection; it takes processor time in step with them. */
const MAX_UNITS = 20_000;
/** Candidates that are projected: those with the most votes. */
const MAX_CANDIDATES = 8;

const share = z.number().min(0).max(1);
const range = { low: share, high: share };

/** Why no projection is shown. */
const HIDDEN = [
  "not_allowed",
  "before_closing",
  "complete",
  "no_roll",
  "too_large",
  "too_little",
  "order_roll",
  "order_earlier",
] as const;

export const projectionSchema = z.strictObject({
  election: id,
  contest: id,
  revision: count.describe("Of the newest release"),
  releasedAt: instant.nullable(),
  confidence: share.describe("How often an interval should hold the final share"),
  least: z.strictObject({ rollShare: share, stations: count, regions: count })
    .describe("What must have reported before anything is projected"),
  reported: z.strictObject({
    stations: count,
    ofStations: count,
    regions: count,
    ofRegions: count,
    rollShare: share.describe("Of the voters on the roll, those of stations that have reported"),
  }).nullable(),
  hidden: z.enum(HIDDEN).nullable().describe("Why nothing is projected; null: something is"),
  randomOrderHidden: z.enum(["roll", "earlier", "regions", "rolls"]).nullable().describe(
    "What shows that the order is not random; rolls: nobody said how many voters each station has",
  ),
  rows: z.array(z.strictObject({
    candidate: id,
    name: z.string(),
    share: share.describe("Of the votes in the contest"),
    ...range,
    randomOrder: z.strictObject(range).nullable().describe("Holds if stations report in random order"),
  })),
}).openapi("Projection");
/** A contest's projection. */
export type ProjectionAnswer = z.infer<typeof projectionSchema>;

/** Where the projection comes from. */
export type ProjectionSources = Readonly<{ db: Database; elections: Elections; roll: RollCounts }>;

/**
 * Reads it; `undefined` when there is no such election or contest.
 *
 * @param isClosed Whether voting has ended.
 */
export async function readProjection(
  { db, elections, roll }: ProjectionSources,
  election: string,
  contest: string,
  isClosed: boolean,
): Promise<ProjectionAnswer | undefined> {
  const groups = await roll.of(db.query, election);
  return await db.transaction(async (query) => {
    const tag = await readTag(query, elections, election);
    const ballot = tag?.names.contests.get(contest);
    if (tag === undefined || ballot === undefined) return undefined;
    const { names, revision, releasedAt } = tag;
    const head = { election, contest, revision, releasedAt, confidence: CONFIDENCE, least: LEAST };
    const without = (hidden: (typeof HIDDEN)[number]): ProjectionAnswer => ({
      ...head,
      reported: null,
      hidden,
      randomOrderHidden: null,
      rows: [],
    });
    if (names.index.manifest.projection !== true) return without("not_allowed");
    if (!isClosed) return without("before_closing");
    if (await isFinal(query, election)) return without("complete");
    const regions = new Map<string, number>();
    for (const { region, voters } of groups) regions.set(region, (regions.get(region) ?? 0) + voters);
    if (regions.size === 0) return without("no_roll");
    const units = await readUnits(query, election, contest);
    if (units === undefined) return without("too_large");
    const rolls = { regions, stations: await readRegistered(query, election) };
    const candidates = mostVoted(ballot.candidates, units);
    const projection = project(contestStations(names, contest, candidates.map(({ id }) => id), units, rolls));
    if (projection.hidden !== null) return { ...without(projection.hidden), reported: projection.reported };
    const { reported, hidden, randomOrderHidden, shares } = projection;
    const rows = candidates.map(({ id, name }, at) => ({ candidate: id, name, ...shares[at]! }));
    return { ...head, reported, hidden, randomOrderHidden, rows };
  }, "snapshot");
}

/** The candidates with the most votes, in the order of the ballot. */
function mostVoted<Candidate extends { id: string }>(
  candidates: readonly Candidate[],
  units: readonly ContestUnit[],
): Candidate[] {
  const votesOf = new Map(
    candidates.map(({ id }) => [id, sum(units.map(({ votes }) => votes.get(id) ?? 0))]),
  );
  const most = candidates.toSorted((a, b) => votesOf.get(b.id)! - votesOf.get(a.id)!).slice(
    0,
    MAX_CANDIDATES,
  );
  return candidates.filter((candidate) => most.includes(candidate));
}

/** What each unit shows of a contest; `undefined` when they are too many. */
async function readUnits(
  query: Query,
  election: string,
  contest: string,
): Promise<ContestUnit[] | undefined> {
  const rows = await query<
    Omit<ContestUnit, "members" | "votes" | "ballots"> & {
      members: string | null;
      votes: string;
      marks: string;
    }
  >(
    `SELECT c.station, c.region, c.members::text AS members, c.revision::float8 AS revision,
       jsonb_path_query_array(r.votes, '$[*] ? (@.contest == $contest)', jsonb_build_object('contest', $2::text))::text AS votes,
       jsonb_path_query_array(r.marks, '$[*] ? (@.contest == $contest)', jsonb_build_object('contest', $2::text))::text AS marks
     FROM results.current c JOIN results.releases r ON r.revision = c.revision
     WHERE c.election = $1 ORDER BY c.unit LIMIT ${MAX_UNITS + 1}`,
    [election, contest],
  );
  if (rows.length > MAX_UNITS) return undefined;
  type Line = { candidate: string; votes: number };
  return rows.map(({ station, region, members, revision, votes, marks }) => {
    const lines: Line[] = JSON.parse(votes);
    return {
      station,
      region,
      members: members === null ? null : JSON.parse(members),
      revision,
      ballots: (JSON.parse(marks) as Line[]).find(({ candidate }) => candidate === MARK.ballots)?.votes ?? 0,
      votes: new Map(lines.map(({ candidate, votes }) => [candidate, votes])),
    };
  });
}
