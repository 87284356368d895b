/**
 * What exports are made of: published results, as they stand or as a version of them was certified, and the names that go with
 * them. Nothing here reads what was counted and not released.
 *
 * @module
 */
import type { Manifest } from "../../../shared/election.ts";
import { isoTime, type Query, queryOne } from "../../database/database.ts";
import { newestManifest, parseManifest, readSignedManifest } from "../../registry/manifests.ts";
import type { AdjustmentLine } from "../../results/adjustments.ts";
import { newestRelease } from "../../results/releases.ts";
import type { UnitMembers } from "../../results/units.ts";
import {
  type Adjustment,
  type Figure,
  type PublishedUnit,
  readAdjustments,
  readUnits,
} from "../lifecycle/certified.ts";

/** Numbers by contest, and candidate or mark. */
export type Figures = ReadonlyMap<string, ReadonlyMap<string, number>>;

/** A unit, and what it is made of when it is more than one cell. */
export type ExportedUnit =
  & Omit<PublishedUnit, "votes" | "marks">
  & Readonly<{ votes: Figures; marks: Figures; members: UnitMembers | null }>;

/** Published results of one moment. */
export type Published = Readonly<{
  manifest: Manifest;
  /** The certified version; `undefined` for what is published now. */
  version?: number;
  /** Certified, all of it published, or some of it. */
  status: "certified" | "complete" | "partial";
  /** When it was certified, or the newest release was made; when the manifest took effect while nothing is published. */
  asOf: string;
  units: readonly ExportedUnit[];
  /** What officials added beside the count; nothing when left out. */
  adjustments?: readonly AdjustmentLine[];
}>;

/** Maximum figures of one export. A larger election is read by the API, in parts. */
export const MAX_EXPORT_FIGURES = 5_000_000;

/** Why there is nothing to export. */
export type ExportFault = Readonly<
  { fault: "unknown-election" | "no-such-version" | "no-comparison" | "too-large" }
>;

/** Reads what is published, or a certified version of it. */
export async function readPublished(
  query: Query,
  election: string,
  version?: number,
): Promise<Published | ExportFault> {
  const read = version === undefined
    ? await readCurrent(query, election)
    : await readVersion(query, election, version);
  if ("fault" in read) return read;
  const { units, ...rest } = read;
  const figures = units.reduce((sum, { votes, marks }) => sum + votes.length + marks.length, 0);
  if (figures > MAX_EXPORT_FIGURES) return { fault: "too-large" };
  return { ...rest, units: await exportedUnits(query, election, units) };
}

type Read = Omit<Published, "units"> & Readonly<{ units: readonly PublishedUnit[] }>;

async function readCurrent(query: Query, election: string): Promise<Read | ExportFault> {
  const manifest = await newestManifest(query, election);
  if (manifest === undefined) return { fault: "unknown-election" };
  const { releasedAt } = await newestRelease(query, election);
  const { isFinal, effectiveAt } = await queryOne<{ isFinal: boolean; effectiveAt: string }>(
    query,
    `SELECT EXISTS (SELECT FROM results.elections WHERE election = $1 AND final_at IS NOT NULL) AS "isFinal",
       ${isoTime("max(effective_at)")} AS "effectiveAt" FROM registry.manifests WHERE election = $1`,
    [election],
  );
  return {
    manifest,
    status: isFinal ? "complete" : "partial",
    asOf: releasedAt ?? effectiveAt,
    units: await readUnits(query, election),
    // While results are withheld, officials have not released these either.
    adjustments: manifest.withheld
      ? []
      : (await readAdjustments(query, election)).flatMap(({ lines }) => lines),
  };
}

async function readVersion(query: Query, election: string, version: number): Promise<Read | ExportFault> {
  const [row] = await query<{ results: string }>(
    "SELECT results FROM office.result_versions WHERE election = $1 AND version = $2::bigint",
    [election, version],
  );
  if (row === undefined) {
    return {
      fault: await newestManifest(query, election) === undefined ? "unknown-election" : "no-such-version",
    };
  }
  // Versions of before there were adjustments have none.
  const { manifestVersion, certifiedAt, units, adjustments = [] } = JSON.parse(row.results) as {
    manifestVersion: number;
    certifiedAt: string;
    units: PublishedUnit[];
    adjustments?: Adjustment[];
  };
  return {
    manifest: parseManifest(await readSignedManifest(query, election, manifestVersion)),
    version,
    status: "certified",
    asOf: certifiedAt,
    units,
    adjustments: adjustments.flatMap(({ lines }) => lines),
  };
}

/** The members of a unit never change: its id is made of them. */
async function exportedUnits(
  query: Query,
  election: string,
  units: readonly PublishedUnit[],
): Promise<ExportedUnit[]> {
  const rows = await query<{ unit: string; members: string }>(
    `SELECT DISTINCT ON (unit) unit, members::text AS members FROM results.releases
     WHERE election = $1 AND members IS NOT NULL ORDER BY unit, revision DESC`,
    [election],
  );
  const members = new Map(rows.map(({ unit, members }) => [unit, JSON.parse(members) as UnitMembers]));
  return units.map((unit) => ({
    ...unit,
    votes: byContest(unit.votes),
    marks: byContest(unit.marks),
    members: members.get(unit.unit) ?? null,
  }));
}

function byContest(figures: readonly Figure[]): Figures {
  const found = new Map<string, Map<string, number>>();
  for (const { contest, candidate, votes } of figures) {
    const known = found.get(contest);
    if (known === undefined) found.set(contest, new Map([[candidate, votes]]));
    else known.set(candidate, votes);
  }
  return found;
}
