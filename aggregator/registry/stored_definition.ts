/**
 * An election's definition as the registry has it now: its newest manifest, with what the office keeps beside it.
 *
 * @module
 */
import type { ElectionDefinition, Manifest } from "../../shared/election.ts";
import type { Query } from "../database/database.ts";

/** A definition that becomes an election with the hours and the id of its own. */
export type StoredDefinition = Omit<
  ElectionDefinition,
  | "election"
  | "name"
  | "opensAt"
  | "closesAt"
  | "acceptsUntil"
  | "accreditation"
  | "retentionDays"
  | "devices"
>;

type Place = Readonly<{ id: string; latitude: number | null; longitude: number | null }>;

/** The definition that makes ballots and places like those of a manifest. */
export async function storedDefinition(query: Query, manifest: Manifest): Promise<StoredDefinition> {
  const { election, parties, contests, uncontested = [], regions, stations } = manifest;
  const { partitions, releaseThreshold, resultsBeforeClosing, withheld, heldModes, projection, gateways } =
    manifest;
  const candidates = new Map(
    (await query<{ key: string; biography: string | null; platform: string | null; photo: string | null }>(
      `SELECT contest || '/' || candidate AS key, biography, platform, photo FROM registry.candidates WHERE election = $1`,
      [election],
    )).map(({ key, ...facts }) => [key, withoutNulls(facts)]),
  );
  const regionPlaces = byId(
    await query<Place>("SELECT region AS id, latitude, longitude FROM registry.regions WHERE election = $1", [
      election,
    ]),
  );
  const stationPlaces = byId(
    await query<Place & { registered: number | null }>(
      "SELECT station AS id, latitude, longitude, registered FROM registry.stations WHERE election = $1",
      [election],
    ),
  );
  return {
    partitions,
    releaseThreshold,
    resultsBeforeClosing,
    ...withheld && { publish: "manual" as const },
    ...heldModes !== undefined && { heldModes },
    ...projection !== undefined && { projection },
    gateways,
    parties: parties.map(({ withdrawn: _, ...party }) => party),
    contests: [
      ...contests.map((contest) => ({
        ...contest,
        candidates: contest.candidates.map(({ withdrawn: _, ...candidate }) => ({
          ...candidate,
          ...candidates.get(`${contest.id}/${candidate.id}`),
        })),
      })),
      ...uncontested.map((contest) => ({ ...contest, uncontested: true as const })),
    ],
    regions: regions.map((region) => ({ ...region, ...regionPlaces.get(region.id) })),
    stations: stations.map((station) => ({ ...station, ...stationPlaces.get(station.id) })),
  };
}

/** An election's devices with the stations of their newest keys. */
export async function readDeviceStations(
  query: Query,
  election: string,
): Promise<{ device: string; station: string }[]> {
  return await query(
    `SELECT DISTINCT ON (device COLLATE "C") device, station FROM registry.device_keys
     WHERE election = $1 ORDER BY device COLLATE "C", version DESC`,
    [election],
  );
}

function byId<Row extends Readonly<{ id: string }>>(rows: readonly Row[]) {
  return new Map(rows.map(({ id, ...rest }) => [id, withoutNulls(rest)]));
}

type NonNull<Row> = { [Key in keyof Row]?: NonNullable<Row[Key]> };

function withoutNulls<Row extends object>(row: Row): NonNull<Row> {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null)) as NonNull<Row>;
}
