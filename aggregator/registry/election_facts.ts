/**
 * What the registry adds to an election's manifest for readers: who candidates are, and where places lie.
 *
 * @module
 */
import { arrayLiteral, type Query } from "../database/database.ts";
import type { ElectionNames } from "./election_names.ts";
import type { Stations } from "./schemas.ts";

/** What is known of a candidate beside the name. */
export type CandidateFacts = Readonly<{ biography?: string; platform?: string; hasPhoto: boolean }>;

/** Where a place lies, in degrees of WGS 84. */
export type Coordinates = Readonly<{ latitude: number; longitude: number }>;

/** What the registry adds to an election: of candidates by `contest/candidate`, of regions by id. */
export type ElectionFacts = Readonly<{
  candidates: ReadonlyMap<string, CandidateFacts>;
  regions: ReadonlyMap<string, Coordinates>;
}>;

/** Reads what the registry adds to an election. */
export async function readFacts(query: Query, election: string): Promise<ElectionFacts> {
  const candidates = await query<
    { key: string; biography: string | null; platform: string | null; hasPhoto: boolean }
  >(
    `SELECT contest || '/' || candidate AS key, biography, platform, photo IS NOT NULL AS "hasPhoto"
     FROM registry.candidates WHERE election = $1`,
    [election],
  );
  const regions = await query<Coordinates & { region: string }>(
    `SELECT region, latitude, longitude FROM registry.regions
     WHERE election = $1 AND latitude IS NOT NULL`,
    [election],
  );
  return {
    candidates: new Map(candidates.map(({ key, biography, platform, hasPhoto }) => [
      key,
      { ...(biography !== null && { biography }), ...(platform !== null && { platform }), hasPhoto },
    ])),
    regions: new Map(regions.map(({ region, latitude, longitude }) => [region, { latitude, longitude }])),
  };
}

/**
 * Photos come from outside, and an SVG image may hold scripts. As an image of a page it can run none; opened by itself
 * it gets no origin, no script, and no address to load from.
 */
export const PHOTO_HEADERS = {
  "content-type": "image/svg+xml",
  "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
  "cache-control": "public, max-age=3600",
};

/** A candidate's photo, an SVG image's text; `undefined` when there is none. */
export async function readPhoto(
  query: Query,
  election: string,
  contest: string,
  candidate: string,
): Promise<string | undefined> {
  const [row] = await query<{ photo: string | null }>(
    "SELECT photo FROM registry.candidates WHERE election = $1 AND contest = $2 AND candidate = $3",
    [election, contest, candidate],
  );
  return row?.photo ?? undefined;
}

/** A page of stations: of one region or of all, after the station `after`, at most `limit`. */
export type StationsPart = Readonly<{ region?: string; after?: string; limit: number }>;

/** Why there is no such page: `field` says which of its parts names nothing. */
export type StationsFault = Readonly<{ fault: "no-such-part"; field: "region" | "after"; detail: string }>;

/** Stations in the manifest's order, and where they lie as far as the registry knows. */
export async function readStations(
  query: Query,
  { index, regions, stations, stationsOf }: ElectionNames,
  { region, after, limit }: StationsPart,
): Promise<Stations | StationsFault> {
  if (region !== undefined && !regions.has(region)) {
    return { fault: "no-such-part", field: "region", detail: `the election has no region ${region}` };
  }
  const { election } = index.manifest;
  const ids = region === undefined ? [...stations.keys()] : stationsOf.get(region)!;
  const before = after === undefined ? -1 : ids.indexOf(after);
  if (after !== undefined && before === -1) {
    return { fault: "no-such-part", field: "after", detail: `there is no station ${after} to go on from` };
  }
  const page = ids.slice(before + 1, before + 1 + limit);
  const rows = await query<Coordinates & { station: string }>(
    `SELECT station, latitude, longitude FROM registry.stations
     WHERE election = $1 AND latitude IS NOT NULL AND station = ANY ($2::text::text[])`,
    [election, arrayLiteral(page)],
  );
  const places = new Map(rows.map(({ station, latitude, longitude }) => [station, { latitude, longitude }]));
  return {
    election,
    rows: page.map((id) => ({
      id,
      name: stations.get(id)!,
      region: index.stations.get(id)!.region,
      ...places.get(id),
    })),
    next: before + 1 + page.length < ids.length ? page.at(-1)! : null,
  };
}
